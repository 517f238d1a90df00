#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/timefmt.h"
#include "cli/commands.h"
#include "cli/lib/api_session.h"
#include "cli/lib/company_webhooks.h"
#include "cli/lib/last_use.h"
#include "cli/lib/progress.h"
#include "cli/lib/registered.h"
#include "cli/lib/rotation.h"
#include "cli/lib/secret_file.h"

/*
 * Exchange the secret that Fluid signs the company's webhooks with for a fresh one. Each step is durable before the
 * next one begins: the fresh secret is live, then the webhooks move, then the old secret is retired. At any time,
 * every secret that a webhook has is live. <secrets>.rotation says what was begun (cli/lib/rotation.h); a run that
 * finds one goes on with it.
 */

enum { QUIET_SECONDS = 24 * 60 * 60 };

struct rotating {
	bool now, json;
	struct api_session k;
	const struct conf_droplet *droplet;
	struct secret_list *live;
	struct rotation r;
	const char *fresh; /* one of `live`; NULL: not made yet */
	struct webhook_list webhooks;
	struct buf moved; /* the ids of the webhooks that moved in this run, with blanks between */
	struct last_use uses[1 + SECRETS_MAX]; /* of the fresh secret, then of the old ones */
	bool retired;
	const char *waits_for; /* why the old ones are not retired yet */
	int64_t retire_at;     /* when they can be at the earliest; 0: unknown */
};

static const char *
find_live(const struct secret_list *l, const char *fingerprint)
{
	char print[FINGERPRINT_SIZE];

	for (size_t i = 0; i < l->n; i++) {
		secret_fingerprint(print, l->secrets[i]);
		if (strcmp(print, fingerprint) == 0)
			return (l->secrets[i]);
	}
	return (NULL);
}

static int
read_live(struct rotating *x)
{
	secret_list_free(x->live);
	if ((x->live = secret_file_read(x->droplet->secrets)) == NULL)
		return (-1);
	x->fresh = *x->r.fresh ? find_live(x->live, x->r.fresh) : NULL;
	return (0);
}

/* The fingerprint of the secret that a webhook has: as Fluid tells it, else as register noted it. */
static bool
secret_of(const struct rotating *x, const struct webhook *w, char print[FINGERPRINT_SIZE])
{
	if (w->auth_token == NULL)
		return (w->url && registered_secret_of(x->droplet->secrets, w->url, print));
	secret_fingerprint(print, w->auth_token);
	return (true);
}

/* Which of the live secrets webhooks have. One that no webhook has may be the droplet's own at Fluid: it stays. */
static int
find_old(struct rotating *x)
{
	char print[FINGERPRINT_SIZE];

	for (size_t i = 0; i < x->webhooks.n; i++)
		if (secret_of(x, &x->webhooks.items[i], print) && find_live(x->live, print))
			rotation_add_old(&x->r, print);
	if (x->r.n_old)
		return (0);
	cli_fail(
	    "%s: no webhook of the company at Fluid is signed with a secret in this file; "
	    "\"fluidhook register URL\" makes webhooks, \"fluidhook webhook audit\" looks at them",
	    x->droplet->secrets);
	return (-1);
}

/* Make the fresh secret and have it live. Returns 0, or -1 after saying what is wrong. */
static int
make_fresh(struct rotating *x)
{
	char fresh[FRESH_SECRET_SIZE];
	int result = -1;

	if (secret_fresh(fresh))
		cli_fail("no random bytes: %s", strerror(errno));
	else {
		secret_fingerprint(x->r.fresh, fresh);
		x->r.moved_at = 0;
		/* The note comes first: a note about a secret that is not live does no harm. */
		if (rotation_write(x->droplet->secrets, &x->r) == 0 &&
		    secret_file_add(x->k.conf, x->droplet->secrets, fresh) == 0)
			result = read_live(x);
	}
	explicit_bzero(fresh, sizeof(fresh));
	if (result == 0 && x->fresh == NULL)
		return (cli_fail("%s: another process has changed it; run this again",
			    x->droplet->secrets),
		    -1);
	return (result);
}

/* Returns 0, or -1 with the session's error set. */
static int
move_one(struct rotating *x, const struct webhook *w)
{
	const struct webhook_values v = { .resource = w->resource,
		.event = w->event,
		.url = w->url,
		.http_method = w->http_method,
		.auth_token = x->fresh,
		.active = &w->active };
	struct webhook after = { 0 };
	int result = webhooks_update(x->k.api, &x->k.token, w->id, &v, &after, &x->k.e);

	if (result == 0 && after.auth_token && !company_webhook_has(&after, x->fresh))
		result = fluid_error_set(&x->k.e, FLUID_NO_ANSWER,
		    "webhook %s did not take the new secret", w->id);
	webhook_free(&after);
	if (result == 0)
		buf_addf(&x->moved, "%s%s", x->moved.len ? " " : "", w->id);
	return (result);
}

/* Give every webhook that has an old secret the fresh one. Returns 0, or -1 after saying what is wrong. */
static int
move_webhooks(struct rotating *x)
{
	char print[FINGERPRINT_SIZE];

	for (size_t i = 0; i < x->webhooks.n; i++) {
		const struct webhook *w = &x->webhooks.items[i];

		if (!secret_of(x, w, print) || !rotation_is_old(&x->r, print))
			continue;
		if (move_one(x, w)) {
			api_session_fail(&x->k);
			cli_fail("webhook %s may still be signed with the old secret, which stays "
				 "live: run the same command again, which completes the rotation",
			    w->id);
			return (-1);
		}
	}
	for (size_t i = 0; i < x->r.n_old; i++)
		if (registered_replace(x->droplet->secrets, x->r.old[i], x->r.fresh))
			return (-1);
	if (x->r.moved_at && x->moved.len == 0)
		return (0);
	x->r.moved_at = clock_wall_s();
	return (rotation_write(x->droplet->secrets, &x->r));
}

static void
wait_for(struct rotating *x, const char *why, int64_t retire_at)
{
	x->waits_for = why;
	x->retire_at = retire_at;
}

/* Whether the old secrets can go. Returns 1, 0 if not yet, or -1 after saying what is wrong. */
static int
is_due(struct rotating *x)
{
	int64_t quiet_since = x->r.moved_at;

	snprintf(x->uses[0].fingerprint, FINGERPRINT_SIZE, "%s", x->r.fresh);
	for (size_t i = 0; i < x->r.n_old; i++)
		snprintf(x->uses[1 + i].fingerprint, FINGERPRINT_SIZE, "%s", x->r.old[i]);
	if (last_use_find(x->k.conf, x->uses, 1 + x->r.n_old))
		return (-1);
	for (size_t i = 0; i < x->r.n_old; i++)
		if (x->uses[1 + i].at > quiet_since)
			quiet_since = x->uses[1 + i].at;
	if (x->now)
		return (1);
	if (x->uses[0].at == 0) {
		wait_for(x, "no delivery came under the new secret yet", 0);
		return (0);
	}
	if (clock_wall_s() - quiet_since < QUIET_SECONDS) {
		wait_for(x, "a day has to pass without a delivery under the old one",
		    quiet_since + QUIET_SECONDS);
		return (0);
	}
	return (1);
}

/* Returns 0, or -1 after saying what is wrong. */
static int
retire(struct rotating *x)
{
	const char *old;

	for (size_t i = 0; i < x->r.n_old; i++) {
		old = find_live(x->live, x->r.old[i]);
		if (old && secret_file_remove(x->k.conf, x->droplet->secrets, old, false))
			return (-1);
	}
	if (rotation_end(x->droplet->secrets))
		return (-1);
	x->retired = true;
	return (0);
}

static void
write_use(struct json_writer *w, const struct last_use *use)
{
	char at[TIMEFMT_SECONDS_SIZE];

	timefmt_seconds(at, use->at);
	json_object(w);
	json_key(w, "fingerprint");
	json_string(w, use->fingerprint);
	json_key(w, "last_used");
	json_string(w, use->at ? at : NULL);
	json_object_end(w);
}

static void
write_json(const struct rotating *x, struct json_writer *w)
{
	char at[TIMEFMT_SECONDS_SIZE];

	timefmt_seconds(at, x->retire_at);
	json_object(w);
	json_key(w, "file");
	json_string(w, x->droplet->secrets);
	json_key(w, "new");
	write_use(w, &x->uses[0]);
	json_key(w, "old");
	json_array(w);
	for (size_t i = 0; i < x->r.n_old; i++)
		write_use(w, &x->uses[1 + i]);
	json_array_end(w);
	json_key(w, "moved");
	json_array(w);
	for (char *rest = x->moved.data, *id; (id = strsep(&rest, " ")) != NULL;)
		json_number(w, id);
	json_array_end(w);
	json_key(w, "retired");
	json_bool(w, x->retired);
	json_key(w, "waits_for");
	json_string(w, x->waits_for);
	json_key(w, "retire_at");
	json_string(w, x->retire_at ? at : NULL);
	json_object_end(w);
}

static int
print_json(const struct rotating *x)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);
	int failed;

	if (w)
		write_json(x, w);
	failed = w == NULL || json_writer_end(w);
	if (!failed)
		printf("%s\n", out.data);
	buf_free(&out);
	return (failed ? cli_fail("out of memory") : CLI_DONE);
}

static int
print(const struct rotating *x)
{
	char at[TIMEFMT_SECONDS_SIZE];

	if (x->json)
		return (print_json(x));
	printf("new      %s  %s\n", x->r.fresh, x->droplet->secrets);
	for (char *rest = x->moved.data, *id; (id = strsep(&rest, " ")) != NULL;)
		printf("moved    webhook %s\n", id);
	for (size_t i = 0; i < x->r.n_old; i++) {
		timefmt_seconds(at, x->uses[1 + i].at);
		printf("%-7s  %s  last used %s\n", x->retired ? "retired" : "old", x->r.old[i],
		    x->uses[1 + i].at ? at : "never");
	}
	if (x->retired)
		return (CLI_DONE);
	timefmt_seconds(at, x->retire_at);
	printf("\nThe old secret stays live: %s.\nNext: fluidhook secret rotate%s%s%s%s\n",
	    x->waits_for, *x->droplet->name ? " --droplet " : "", x->droplet->name,
	    x->retire_at ? ", after " : "", x->retire_at ? at : "");
	return (CLI_DONE);
}

/* Returns 0, or -1 after saying what is wrong. */
static int
read_webhooks(struct rotating *x)
{
	struct progress progress;
	int result;

	progress_begin(&progress, "Waiting for Fluid");
	webhook_list_free(&x->webhooks);
	result = company_webhooks(&x->k, &x->webhooks);
	progress_end(&progress);
	if (result)
		api_session_fail(&x->k);
	return (result);
}

/* All steps, from the first one that is not done. Returns 0, or -1 after saying what is wrong. */
static int
rotate(struct rotating *x)
{
	int due;

	if (rotation_read(x->droplet->secrets, &x->r) == -1 || read_live(x))
		return (-1);
	/* A refused token or a missing network show here, before anything is changed. */
	if (read_webhooks(x))
		return (-1);
	if (x->fresh == NULL && (find_old(x) || make_fresh(x)))
		return (-1);
	if (move_webhooks(x) || (due = is_due(x)) == -1)
		return (-1);
	return (due ? retire(x) : 0);
}

struct rotate_options {
	const char *droplet;
	bool now;
};

static const struct cli_option options[] = {
	CLI_VALUE(struct rotate_options, droplet, "droplet", '\0'),
	CLI_FLAG(struct rotate_options, now, "now", '\0'),
	CLI_END,
};

static int
rotate_droplet(struct rotating *x, const struct conf *conf, const char *name)
{
	int status = api_session_open(&x->k, conf), lock;

	if (status != CLI_DONE)
		return (status);
	if ((x->droplet = secret_droplet(conf, name)) == NULL)
		return (CLI_USAGE);
	if ((lock = registered_lock(conf)) == -1)
		return (CLI_FAILED);
	status = rotate(x) ? CLI_FAILED : print(x);
	close(lock);
	return (status);
}

static int
run(struct cli *c)
{
	const struct rotate_options *o = c->options;
	struct rotating x = { .now = o->now, .json = c->json };
	int status = rotate_droplet(&x, c->conf, o->droplet);

	webhook_list_free(&x.webhooks);
	secret_list_free(x.live);
	buf_free(&x.moved);
	api_session_close(&x.k);
	return (status);
}

const struct command secret_rotate_command = {
	.name = "rotate",
	.args = "[--droplet NAME] [--now] [--json]",
	.summary = "Exchange the secret of the company's webhooks for a fresh one",
	.help =
	    "Makes a fresh secret live, gives it to every webhook of the company at Fluid that has an old\n"
	    "one, and retires the old one when deliveries came under the new one, and none under the old\n"
	    "one for a day. Until then, the old one stays live: run the command again later. If it is\n"
	    "interrupted, run it again: it goes on where it was, and no delivery is refused meanwhile.\n"
	    "Uses the company's token: the file that `company_token` under [fluid] names, or\n"
	    "$FLUID_COMPANY_TOKEN. A secret that no webhook has is not touched. If the droplet's own\n"
	    "settings at Fluid have the old secret too, change it there first.\n"
	    "\n"
	    "      --droplet NAME  of [droplet NAME], where there are several\n"
	    "      --now           retire the old secret at once; a delivery that Fluid has signed with it\n"
	    "                      and not sent yet is then refused\n"
	    "      --json          print what was done as JSON\n",
	.flags = COMMAND_CONF | COMMAND_JSON | COMMAND_CHANGES,
	.options = options,
	.options_size = sizeof(struct rotate_options),
	.run = run,
};
