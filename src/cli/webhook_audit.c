#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/url.h"
#include "cli/commands.h"
#include "cli/lib/api_session.h"
#include "cli/lib/checklist.h"
#include "cli/lib/company_webhooks.h"
#include "cli/lib/installation_arg.h"
#include "cli/lib/progress.h"
#include "cli/lib/registered.h"
#include "cli/lib/secret_file.h"
#include "store/installation.h"
#include "store/installations.h"

/* The subscriptions at Fluid, compared with those that the configuration wants. Nothing is changed there. */

enum { HINT_SIZE = 512, EVENT_SIZE = 256 };

static const char *const lifecycle[] = { "droplet.installed", "droplet.uninstalled" };

/* A droplet's secrets and registrations, read while the process may read them. */
struct droplet_secrets {
	struct secret_list *live;
	struct registered_list registered;
};

struct auditing {
	struct checklist list;
	struct api_session k;
	struct droplet_secrets *droplets; /* as many as the configuration has */
	struct progress progress;
	size_t company, installations, asked; /* how many were looked at */
	bool away;                            /* Fluid cannot be asked now */
};

/* What the webhooks of one owner are compared with. */
struct owner {
	const char *record;               /* NULL: the company */
	const struct installation *i;     /* NULL: the company */
	const struct webhook_list *there; /* all that belong to it, and lead here */
};

static bool
is_same(const char *a, const char *b)
{
	return (a && b && strcmp(a, b) == 0);
}

static bool
is_event(const struct webhook *w, const char *event)
{
	size_t len = w->resource ? strlen(w->resource) : 0;

	return (len && w->event && strncmp(w->resource, event, len) == 0 && event[len] == '.' &&
	    strcmp(event + len + 1, w->event) == 0);
}

/* "webhook 42 (order.created)", and whose it is. */
static const char *
describe(char out[EVENT_SIZE], const struct owner *o, const struct webhook *w)
{
	snprintf(out, EVENT_SIZE, "%s%swebhook %s (%s.%s)", o->record ? o->record : "",
	    o->record ? ": " : "", w->id, w->resource ? w->resource : "?",
	    w->event ? w->event : "?");
	return (out);
}

/* How to change a webhook: by the company's token, or by the installation's. */
static const char *
how_to_change(char out[HINT_SIZE], const struct owner *o, const struct webhook *w,
    const char *option, const char *json)
{
	if (o->record == NULL)
		snprintf(out, HINT_SIZE, "\"fluidhook webhook update %s %s\" changes it.", w->id,
		    option);
	else
		snprintf(out, HINT_SIZE,
		    "echo '{\"webhook\":{%s}}' |\n"
		    "  fluidhook api PUT /api/company/webhooks/%s --installation %s --data -",
		    json, w->id, o->record);
	return (out);
}

/* Whether a webhook delivers at all. */
static void
check_delivery(struct auditing *a, const struct owner *o, const struct webhook *w)
{
	char hint[HINT_SIZE], text[EVENT_SIZE];

	if (!w->active)
		checklist_bad(&a->list, "inactive",
		    how_to_change(hint, o, w, "--active", "\"active\":true"), "%s: is inactive",
		    describe(text, o, w));
	if (w->http_method && strcasecmp(w->http_method, "get") == 0)
		checklist_bad(&a->list, "method",
		    how_to_change(hint, o, w, "--method post", "\"http_method\":\"post\""),
		    "%s: is delivered with get, without a body", describe(text, o, w));
}

/* Whether an earlier one delivers the same to the same place. */
static void
check_duplicate(struct auditing *a, const struct owner *o, const struct webhook *w)
{
	char hint[HINT_SIZE], text[EVENT_SIZE];

	for (const struct webhook *other = o->there->items; other < w; other++) {
		if (!is_same(other->resource, w->resource) || !is_same(other->event, w->event) ||
		    !url_is_same(other->url, w->url))
			continue;
		if (o->record)
			snprintf(hint, sizeof(hint),
			    "\"fluidhook api DELETE /api/company/webhooks/%s --installation %s\" "
			    "removes it.",
			    w->id, o->record);
		else
			snprintf(hint, sizeof(hint), "\"fluidhook webhook delete %s\" removes it.",
			    w->id);
		checklist_bad(&a->list, "duplicate", hint, "%s: delivers the same as webhook %s",
		    describe(text, o, w), other->id);
		return;
	}
}

/* Whether a secret of any droplet of ours is this one. */
static bool
is_live(const struct auditing *a, const char *secret)
{
	for (size_t d = 0; d < a->k.conf->n_droplets; d++) {
		const struct secret_list *l = a->droplets[d].live;

		for (size_t i = 0; l && i < l->n; i++)
			if (strcmp(l->secrets[i], secret) == 0)
				return (true);
	}
	return (false);
}

static void
check_secret(struct auditing *a, const struct owner *o, const struct webhook *w)
{
	char hint[HINT_SIZE], text[EVENT_SIZE];

	if (w->auth_token == NULL) {
		checklist_note(&a->list, "secret",
		    "\"fluidhook register URL\" gives the company's webhooks a secret that is live, "
		    "\"fluidhook subscribe\"\nthose of installations.",
		    "%s: Fluid does not say which secret it has", describe(text, o, w));
	} else if (o->i) {
		if (is_same(w->auth_token, o->i->subscription_auth_token) ||
		    is_same(w->auth_token, o->i->webhook_verification_token))
			return;
		snprintf(hint, sizeof(hint),
		    "\"fluidhook subscribe %s\" gives it the installation's own.", o->record);
		checklist_bad(&a->list, "secret", hint, "%s: has another secret",
		    describe(text, o, w));
	} else if (!is_live(a, w->auth_token)) {
		snprintf(hint, sizeof(hint),
		    "\"fluidhook register URL\" gives those of installs a secret that is live. Any:\n"
		    "  fluidhook webhook update %s --auth-token-file FILE",
		    w->id);
		checklist_bad(&a->list, "secret", hint,
		    "%s: has a secret that is not live here: its deliveries are refused",
		    describe(text, o, w));
	}
}

static void
check_all(struct auditing *a, const struct owner *o)
{
	for (size_t i = 0; i < o->there->n; i++) {
		const struct webhook *w = &o->there->items[i];

		check_delivery(a, o, w);
		check_duplicate(a, o, w);
		check_secret(a, o, w);
	}
}

static bool
has(const struct webhook_list *l, const char *event, const char *url)
{
	for (size_t i = 0; i < l->n; i++)
		if (is_event(&l->items[i], event) && url_is_same(l->items[i].url, url))
			return (true);
	return (false);
}

/* Whether deliveries to an address come here: one that was registered, or the installations'. */
static bool
leads_here(const struct auditing *a, const char *url)
{
	if (url == NULL)
		return (false);
	if (a->k.conf->public_url && url_is_same(a->k.conf->public_url, url))
		return (true);
	for (size_t d = 0; d < a->k.conf->n_droplets; d++)
		for (size_t i = 0; i < a->droplets[d].registered.n; i++)
			if (url_is_same(a->droplets[d].registered.urls[i], url))
				return (true);
	return (false);
}

/* Remove from a list those that `keep` does not want. */
static void
filter(struct webhook_list *l, bool (*keep)(const void *user, const struct webhook *w),
    const void *user)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (!keep(user, &l->items[i])) {
			webhook_free(&l->items[i]);
			continue;
		}
		if (n != i) {
			l->items[n] = l->items[i];
			l->items[i] = (struct webhook){ 0 };
		}
		n++;
	}
	l->n = n;
}

static bool
is_companys(const void *user, const struct webhook *w)
{
	return (leads_here(user, w->url));
}

/* Fluid did not answer, or refused. Nothing is known then. */
static void
say_unknown(struct auditing *a, const char *what, const struct fluid_error *e)
{
	a->away = e->failure != FLUID_REFUSED;
	checklist_bad(&a->list, "unknown",
	    a->away ? "Is this machine on the internet, and Fluid up? Then try again." :
		      "Look at what Fluid says: is the token good?",
	    "%s: %s", what, e->text);
}

static void
audit_company(struct auditing *a)
{
	struct webhook_list list = { 0 };
	const struct owner o = { .there = &list };
	char hint[HINT_SIZE];
	int failed;

	progress_begin(&a->progress, "Waiting for Fluid");
	failed = company_webhooks(&a->k, &list);
	progress_end(&a->progress);
	if (failed) {
		say_unknown(a, "the company's webhooks", &a->k.e);
		return;
	}
	filter(&list, is_companys, a);
	a->company = list.n;
	check_all(a, &o);
	for (size_t d = 0; d < a->k.conf->n_droplets; d++)
		for (size_t i = 0; i < a->droplets[d].registered.n; i++)
			for (size_t e = 0; e < 2; e++) {
				const char *url = a->droplets[d].registered.urls[i];

				if (has(&list, lifecycle[e], url))
					continue;
				snprintf(hint, sizeof(hint), "\"fluidhook register %s\" makes it.",
				    url);
				checklist_bad(&a->list, "missing", hint, "no webhook for %s to %s",
				    lifecycle[e], url);
			}
	webhook_list_free(&list);
}

/* Whether an id is one of those in a list with blanks between them, which may be NULL. */
static bool
has_id(const char *ids, const char *id)
{
	size_t len = strlen(id);

	for (const char *at = ids; at && (at = strstr(at, id)) != NULL; at += len)
		if ((at == ids || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return (true);
	return (false);
}

struct subscribed {
	const struct conf *conf;
	const struct installation *i;
};

/* The list is the whole company's: only this installation's, to our address. */
static bool
is_installations(const void *user, const struct webhook *w)
{
	const struct subscribed *s = user;

	return (w->url && url_is_same(w->url, s->conf->public_url) &&
	    (is_same(w->droplet_installation_uuid, s->i->droplet_installation_uuid) ||
		has_id(s->i->webhook_ids, w->id)));
}

/* All of an installation's to our address, each as it looks alone. Returns 0, or -1 with the error set. */
static int
read_subscriptions(struct auditing *a, const struct installation *i,
    const struct fluid_token *token, struct webhook_list *out, struct fluid_error *e)
{
	const struct subscribed s = { a->k.conf, i };
	struct webhook whole;

	if (webhooks_list(a->k.api, token, out, e))
		return (-1);
	filter(out, is_installations, &s);
	for (size_t n = 0; n < out->n; n++) {
		if (webhooks_show(a->k.api, token, out->items[n].id, &whole, e))
			return (-1);
		webhook_free(&out->items[n]);
		out->items[n] = whole;
	}
	return (0);
}

static void
audit_installation(struct auditing *a, const struct installation *i)
{
	struct webhook_list list = { 0 };
	const struct owner o = { .record = i->record, .i = i, .there = &list };
	const struct conf *conf = a->k.conf;
	struct fluid_token token = { 0 };
	struct fluid_error e;
	char hint[HINT_SIZE];

	if (token_installation(&token, i->authentication_token, i->record, &e) ||
	    read_subscriptions(a, i, &token, &list, &e)) {
		say_unknown(a, i->record, &e);
	} else {
		a->asked++;
		progress_hide(&a->progress);
		check_all(a, &o);
		snprintf(hint, sizeof(hint), "\"fluidhook subscribe %s\" makes it.", i->record);
		for (size_t n = 0; n < conf->n_subscribe; n++)
			if (!has(&list, conf->subscribe[n], conf->public_url))
				checklist_bad(&a->list, "missing", hint,
				    "%s: no webhook for %s to %s", i->record, conf->subscribe[n],
				    conf->public_url);
	}
	webhook_list_free(&list);
	token_free(&token);
}

static int
look_at(void *user, const char *file, struct installation *i)
{
	struct auditing *a = user;

	if (i == NULL) {
		checklist_bad(&a->list, "unknown", "\"fluidhook repair\" looks at the records.",
		    "installations/%s: %s", file, installation_problem(errno));
	} else if (i->status == INSTALLATION_ACTIVE) {
		a->installations++;
		if (!a->away)
			audit_installation(a, i);
		progress_count(&a->progress, a->installations);
	}
	installation_free(i);
	return (0);
}

/* Returns 0, or -1 after saying what is wrong. */
static int
audit_installations(struct auditing *a)
{
	int dir, result;

	if (a->k.conf->n_subscribe == 0 || a->k.conf->public_url == NULL)
		return (0);
	if ((dir = cli_directory(a->k.conf, "installations")) == -1)
		return (-1);
	progress_begin(&a->progress, "Looking at subscriptions");
	result = installations_each(dir, look_at, a);
	progress_end(&a->progress);
	if (result)
		cli_fail("%s/installations: %s", a->k.conf->state_dir, strerror(errno));
	close(dir);
	return (result ? -1 : 0);
}

/* Returns 0, or -1 after saying what is wrong. */
static int
read_droplets(struct auditing *a)
{
	const struct conf *conf = a->k.conf;

	if ((a->droplets = calloc(conf->n_droplets + 1, sizeof(*a->droplets))) == NULL)
		return (cli_fail("out of memory"), -1);
	for (size_t d = 0; d < conf->n_droplets; d++) {
		const char *secrets = conf->droplets[d].secrets;

		if (secrets == NULL)
			continue;
		if ((a->droplets[d].live = secret_file_read(secrets)) == NULL ||
		    registered_read(secrets, &a->droplets[d].registered))
			return (-1);
	}
	return (0);
}

static int
say_result(struct auditing *a)
{
	if (a->away)
		checklist_bad(&a->list, "unknown", "Run this again when Fluid answers.",
		    "%zu of %zu installations were looked at", a->asked, a->installations);
	else if (!a->list.failed)
		checklist_good(&a->list, "webhooks",
		    "%zu of the company, and those of %zu installation%s, are as the configuration "
		    "wants them",
		    a->company, a->asked, a->asked == 1 ? "" : "s");
	return (checklist_status(&a->list));
}

static int
run(struct cli *c)
{
	struct auditing a = { .list.json = c->json };
	int status = api_session_open(&a.k, c->conf);

	if (status == CLI_DONE) {
		status = CLI_FAILED;
		if (read_droplets(&a) == 0) {
			audit_company(&a);
			if (a.away || audit_installations(&a) == 0)
				status = CLI_DONE;
		}
		if (status == CLI_DONE)
			status = say_result(&a);
	}
	for (size_t d = 0; a.droplets && d < c->conf->n_droplets; d++) {
		secret_list_free(a.droplets[d].live);
		registered_list_free(&a.droplets[d].registered);
	}
	free(a.droplets);
	api_session_close(&a.k);
	return (status);
}

const struct command webhook_audit_command = {
	.name = "audit",
	.args = "[--json]",
	.summary = "Compare the webhooks at Fluid with those that the configuration wants",
	.help =
	    "Looks at the company's webhooks that lead to an address given to \"fluidhook register\" or to\n"
	    "public_url, and at those of [worker] subscribe for every active installation. Says which are\n"
	    "missing, inactive, duplicate, delivered with get, or have another secret than a live one.\n"
	    "Changes nothing: below each fault it says what does.\n"
	    "\n"
	    "      --json  one JSON object a line\n"
	    "\n"
	    "Exit status: 0 all is well, 1 something is wrong.\n",
	.flags = COMMAND_CONF | COMMAND_JSON,
	.run = run,
};
