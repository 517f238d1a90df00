#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/lib/api_session.h"
#include "cli/lib/registered.h"
#include "cli/lib/secret_file.h"
#include "cli/lib/url_arg.h"
#include "fluid/webhooks.h"

/*
 * Fluid's "register your first webhook": one secret, live before Fluid hears of it, and the two
 * subscriptions that a receiver needs. What is there already is used, so that doing it again completes
 * what was cut short.
 */

enum done { DONE_NOT, DONE_CREATED, DONE_UPDATED, DONE_KEPT };

static const char *const done_names[] = { NULL, "created", "updated", "kept" };

static const char resource[] = "droplet";
static const char *const events[] = { "installed", "uninstalled" };

enum { N_EVENTS = sizeof(events) / sizeof(events[0]) };

/* One of the two subscriptions. */
struct subscription {
	struct webhook webhook; /* as Fluid described it last; without an id: there is none */
	enum done done;
};

struct registering {
	const char *url;
	bool new_secret, no_doctor, json;
	struct api_session k;
	int lock; /* of the configuration file; -1: none */
	const struct conf_droplet *droplet;
	char *secret; /* for secret_free(); NULL while it is not known */
	bool fresh;
	struct subscription subscriptions[N_EVENTS];
};

static bool
is_same(const char *a, const char *b)
{
	return (a && b && strcmp(a, b) == 0);
}

static void
print_event(FILE *fp, const char *event)
{
	fprintf(fp, "%s.%s", resource, event);
}

/* One that is not ours to change, but good to know of: it delivers the same elsewhere, or twice. */
static void
note_other(const struct registering *r, const struct webhook *w)
{
	fprintf(stderr, "fluidhook: note: webhook %s sends %s.%s to ", w->id, w->resource,
	    w->event);
	cli_print_text(stderr, w->url ? w->url : "-", strlen(w->url ? w->url : "-"));
	fputs(", and stays as it is", stderr);
	if (is_same(w->url, r->url))
		fprintf(stderr,
		    ": a second one for the same, which \"fluidhook webhook delete %s\" removes",
		    w->id);
	fputc('\n', stderr);
}

/* Whether it is the subscription of the company itself to this event, at our address. */
static bool
is_ours(const struct registering *r, const struct webhook *w, size_t which)
{
	return (w->droplet_installation_uuid == NULL && is_same(w->resource, resource) &&
	    is_same(w->event, events[which]) && is_same(w->url, r->url));
}

/*
 * Find the subscriptions that are there, with all that Fluid says of them. Those of an installation are
 * not the company's. Returns 0, or -1 with the error set.
 */
static int
look(struct registering *r)
{
	struct webhook_list list = { 0 };
	struct api_session *k = &r->k;
	int result = webhooks_list(k->api, &k->token, &list, &k->e);

	for (size_t i = 0; result == 0 && i < list.n; i++) {
		const struct webhook *w = &list.items[i];

		if (w->droplet_installation_uuid || !is_same(w->resource, resource))
			continue;
		for (size_t e = 0; result == 0 && e < N_EVENTS; e++) {
			struct webhook *ours = &r->subscriptions[e].webhook;

			if (!is_same(w->event, events[e]))
				continue;
			if (!is_same(w->url, r->url) || ours->id)
				note_other(r, w);
			else
				result = webhooks_show(k->api, &k->token, w->id, ours, &k->e);
		}
	}
	webhook_list_free(&list);
	return (result);
}

/* The secret of a registration that did not complete, if it is still live; else NULL. */
static const char *
find_pending(const struct registering *r, const struct secret_list *live)
{
	char wanted[FINGERPRINT_SIZE], print[FINGERPRINT_SIZE];

	if (!registered_pending(r->droplet->secrets, wanted))
		return (NULL);
	for (size_t i = 0; i < live->n; i++) {
		secret_fingerprint(print, live->secrets[i]);
		if (strcmp(print, wanted) == 0)
			return (live->secrets[i]);
	}
	return (NULL);
}

static bool
is_live(const struct secret_list *live, const char *secret)
{
	for (size_t i = 0; secret && i < live->n; i++)
		if (strcmp(live->secrets[i], secret) == 0)
			return (true);
	return (false);
}

/* Make a fresh secret and have it live; until Fluid has it, the next registration would use it. Returns 0, or -1 after saying what is wrong. */
static int
make_secret(struct registering *r)
{
	char fresh[FRESH_SECRET_SIZE], print[FINGERPRINT_SIZE];
	int result = -1;

	if (secret_fresh(fresh))
		cli_fail("no random bytes: %s", strerror(errno));
	else if ((r->secret = strdup(fresh)) == NULL)
		cli_fail("out of memory");
	else {
		secret_fingerprint(print, fresh);
		/* The note comes first: one about a secret that is not live does no harm. */
		if (registered_note(r->droplet->secrets, print, r->url, true) == 0)
			result = secret_file_add(r->k.conf, r->droplet->secrets, fresh);
	}
	explicit_bzero(fresh, sizeof(fresh));
	r->fresh = result == 0;
	return (result);
}

/*
 * Which secret they shall have: the live one that one of them has already; where Fluid does not tell
 * which it has, the newest; and a fresh one where there is nothing yet. Returns 0, or -1 after saying
 * what is wrong.
 */
static int
choose_secret(struct registering *r)
{
	struct secret_list *live = secret_file_read(r->droplet->secrets);
	const char *chosen = NULL, *pending;
	bool any = false;

	if (live == NULL)
		return (-1);
	pending = find_pending(r, live);
	for (size_t e = 0; e < N_EVENTS; e++) {
		const struct webhook *w = &r->subscriptions[e].webhook;

		any = any || w->id;
		if (chosen == NULL && is_live(live, w->auth_token))
			chosen = w->auth_token;
	}
	if (r->new_secret || (chosen == NULL && pending))
		chosen = pending;
	else if (chosen == NULL && any && live->n)
		chosen = live->secrets[0];
	if (chosen == NULL) {
		secret_list_free(live);
		return (make_secret(r));
	}
	if ((r->secret = strdup(chosen)) == NULL)
		cli_fail("out of memory");
	secret_list_free(live);
	return (r->secret ? 0 : -1);
}

static bool
is_complete(const struct registering *r, const struct webhook *w)
{
	return (w->active && is_same(w->auth_token, r->secret) && w->http_method &&
	    strcasecmp(w->http_method, "post") == 0);
}

/*
 * A subscription was asked for, and whether it was made is not known. There was none before, and nobody
 * else registers here: one that is there now, with our secret, was made. Returns 0, or -1 with the error
 * of the call that failed.
 */
static int
find_created(struct registering *r, size_t which)
{
	struct subscription *s = &r->subscriptions[which];
	const struct fluid_error failed = r->k.e;
	struct webhook_list list = { 0 };
	struct api_session *k = &r->k;

	if (webhooks_list(k->api, &k->token, &list, &k->e) == 0)
		for (size_t i = 0; s->webhook.id == NULL && i < list.n; i++)
			if (is_ours(r, &list.items[i], which) &&
			    webhooks_show(k->api, &k->token, list.items[i].id, &s->webhook, &k->e))
				break;
	webhook_list_free(&list);
	if (s->webhook.id && is_complete(r, &s->webhook)) {
		s->done = DONE_CREATED;
		return (0);
	}
	k->e = failed;
	return (-1);
}

/* Have one subscription as it has to be. Returns 0, or -1 with the error set. */
static int
subscribe(struct registering *r, size_t which)
{
	struct subscription *s = &r->subscriptions[which];
	struct api_session *k = &r->k;
	const bool active = true;
	struct webhook_values v = { .http_method = "post",
		.auth_token = r->secret,
		.active = &active };
	struct webhook answer = { 0 };
	enum done done = s->webhook.id ? DONE_UPDATED : DONE_CREATED;
	int result;

	if (s->webhook.id && is_complete(r, &s->webhook)) {
		s->done = DONE_KEPT;
		return (0);
	}
	if (s->webhook.id) {
		result = webhooks_update(k->api, &k->token, s->webhook.id, &v, &answer, &k->e);
	} else {
		v.resource = resource;
		v.event = events[which];
		v.url = r->url;
		result = webhooks_create(k->api, &k->token, &v, &answer, &k->e);
	}
	if (result)
		return (done == DONE_CREATED && fluid_error_is_uncertain(&k->e) ?
			find_created(r, which) :
			-1);
	webhook_free(&s->webhook);
	s->webhook = answer;
	s->done = done;
	return (0);
}

/* What exists now that one of them failed, and what to do. Returns CLI_FAILED. */
static int
say_incomplete(const struct registering *r, size_t failed)
{
	const bool uncertain = fluid_error_is_uncertain(&r->k.e);
	char print[FINGERPRINT_SIZE];

	api_session_fail(&r->k);
	for (size_t e = 0; e < failed; e++) {
		fputs("fluidhook: ", stderr);
		print_event(stderr, events[e]);
		fprintf(stderr, " is registered (webhook %s)\n", r->subscriptions[e].webhook.id);
	}
	fputs("fluidhook: ", stderr);
	print_event(stderr, events[failed]);
	fputs(uncertain ? " may be registered or not" : " is not registered", stderr);
	fputs(": run the same command again, which completes what is there\n", stderr);
	if (failed == 0 && r->fresh) {
		secret_fingerprint(print, r->secret);
		fprintf(stderr,
		    "fluidhook: the fresh secret %s stays live in %s%s; the next run uses it\n",
		    print, r->droplet->secrets,
		    uncertain ? ", as the subscription may use it" : "");
	}
	return (CLI_FAILED);
}

static void
write_json(const struct registering *r, struct json_writer *w)
{
	char print[FINGERPRINT_SIZE], name[64];

	secret_fingerprint(print, r->secret);
	json_object(w);
	json_key(w, "url");
	json_string(w, r->url);
	json_key(w, "secret");
	json_object(w);
	json_key(w, "fingerprint");
	json_string(w, print);
	json_key(w, "file");
	json_string(w, r->droplet->secrets);
	json_key(w, "fresh");
	json_bool(w, r->fresh);
	json_object_end(w);
	json_key(w, "webhooks");
	json_array(w);
	for (size_t e = 0; e < N_EVENTS; e++) {
		snprintf(name, sizeof(name), "%s.%s", resource, events[e]);
		json_object(w);
		json_key(w, "id");
		json_number(w, r->subscriptions[e].webhook.id);
		json_key(w, "event");
		json_string(w, name);
		json_key(w, "done");
		json_string(w, done_names[r->subscriptions[e].done]);
		json_object_end(w);
	}
	json_array_end(w);
	json_object_end(w);
}

static int
print_json(const struct registering *r)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);
	int failed;

	if (w)
		write_json(r, w);
	failed = w == NULL || json_writer_end(w);
	if (!failed)
		printf("%s\n", out.data);
	buf_free(&out);
	return (failed ? cli_fail("out of memory") : CLI_DONE);
}

static int
print(const struct registering *r)
{
	char print[FINGERPRINT_SIZE], name[64];

	if (r->json)
		return (print_json(r));
	secret_fingerprint(print, r->secret);
	printf("secret   %s  %s\n", print, r->droplet->secrets);
	for (size_t e = 0; e < N_EVENTS; e++) {
		snprintf(name, sizeof(name), "%s.%s", resource, events[e]);
		printf("%-7s  webhook %s  %-19s  %s\n", done_names[r->subscriptions[e].done],
		    r->subscriptions[e].webhook.id, name, r->url);
	}
	return (CLI_DONE);
}

/* Whether what Fluid will send arrives. The new secret is live, whatever this finds. Returns the exit status. */
static int
try_the_way(const struct registering *r)
{
	if (r->no_doctor) {
		if (!r->json)
			printf("\nNext: fluidhook doctor %s\n", r->url);
		return (CLI_DONE);
	}
	if (!r->json)
		putchar('\n');
	fflush(stdout);
	return (doctor(r->k.conf, r->droplet, r->url, r->json));
}

/* Returns the exit status. */
static int
register_url(struct registering *r, const struct cli *c, const char *droplet)
{
	int status = api_session_open(&r->k, c->conf);
	char fingerprint[FINGERPRINT_SIZE];

	if (status != CLI_DONE)
		return (status);
	if ((r->droplet = secret_droplet(r->k.conf, droplet)) == NULL)
		return (CLI_USAGE);
	if ((r->lock = registered_lock(r->k.conf)) == -1)
		return (CLI_FAILED);
	/* A refused token or a missing network show here, before anything is changed. */
	if (look(r))
		return (api_session_fail(&r->k));
	if (choose_secret(r))
		return (CLI_FAILED);
	for (size_t e = 0; e < N_EVENTS; e++)
		if (subscribe(r, e))
			return (say_incomplete(r, e));
	secret_fingerprint(fingerprint, r->secret);
	if (registered_note(r->droplet->secrets, fingerprint, r->url, false))
		return (CLI_FAILED);
	if (print(r) != CLI_DONE)
		return (CLI_FAILED);
	return (try_the_way(r));
}

struct register_options {
	const char *droplet;
	bool new_secret, no_doctor;
};

static const struct cli_option register_options[] = {
	CLI_VALUE(struct register_options, droplet, "droplet", '\0'),
	CLI_FLAG(struct register_options, new_secret, "new-secret", '\0'),
	CLI_FLAG(struct register_options, no_doctor, "no-doctor", '\0'),
	CLI_END,
};

static int
check(const struct cli *c)
{
	return (url_arg_check(c->argv[0]) ? CLI_USAGE : CLI_DONE);
}

static int
run(struct cli *c)
{
	const struct register_options *o = c->options;
	struct registering r = { .url = c->argv[0],
		.new_secret = o->new_secret,
		.no_doctor = o->no_doctor,
		.json = c->json,
		.lock = -1 };
	int status = register_url(&r, c, o->droplet);

	for (size_t e = 0; e < N_EVENTS; e++)
		webhook_free(&r.subscriptions[e].webhook);
	secret_free(r.secret);
	api_session_close(&r.k);
	file_close(r.lock);
	return (status);
}

const struct command register_command = {
	.name = "register",
	.args = "URL [OPTIONS]",
	.summary = "Let Fluid deliver installs and uninstalls to URL, signed with a fresh secret",
	.help =
	    "The secret is added to the droplet's file, and live, before Fluid is told of it. What Fluid\n"
	    "has already for URL is used: running it again completes what was cut short, and makes\n"
	    "nothing twice. Uses the company's token: the file that `company_token` under [fluid]\n"
	    "names, or $FLUID_COMPANY_TOKEN. Then it tries the way to URL, as \"fluidhook doctor\" does:\n"
	    "exit status 1 also where the webhooks exist and something on the way is wrong.\n"
	    "\n"
	    "      --droplet NAME  of [droplet NAME], where there are several\n"
	    "      --new-secret    a fresh secret also where there is a registration already\n"
	    "      --no-doctor     do not try the way to URL afterwards\n"
	    "      --json          print what was done as JSON, then what doctor finds, a line each\n"
	    "\n"
	    "Example:\n"
	    "\n"
	    "  fluidhook register https://hooks.example.com/webhook\n",
	.flags = COMMAND_CONF | COMMAND_JSON | COMMAND_CHANGES,
	.least = 1,
	.most = 1,
	.options = register_options,
	.options_size = sizeof(struct register_options),
	.check = check,
	.run = run,
};
