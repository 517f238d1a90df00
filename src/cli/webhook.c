#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/url.h"
#include "cli/commands.h"
#include "cli/lib/api_session.h"
#include "cli/lib/progress.h"
#include "cli/lib/secret_arg.h"
#include "cli/lib/table.h"
#include "cli/lib/url_arg.h"
#include "fluid/webhooks.h"

/* The webhooks that Fluid knows for the company: create, list, show, update, delete, events. */

/* Print JSON that was written to `out`, on one line. Returns the exit status. */
static int
print_line(struct buf *out, int written)
{
	if (written)
		cli_fail("out of memory");
	else
		printf("%s\n", out->data);
	buf_free(out);
	return (written ? CLI_FAILED : CLI_DONE);
}

static int
print_json(const struct webhook *w)
{
	struct buf out = { 0 };
	struct json_writer *json = json_writer_new(&out, false);

	if (json)
		webhook_write(w, json);
	return (print_line(&out, json ? json_writer_end(json) : -1));
}

static void
print_field(const char *name, const char *value)
{
	printf("%-14s", name);
	if (value)
		cli_print_text(stdout, value, strlen(value));
	else
		putchar('-');
	putchar('\n');
}

static int
print_webhook(const struct webhook *w, bool json)
{
	if (json)
		return (print_json(w));
	print_field("id", w->id);
	if (w->resource && w->event) {
		struct buf name = { 0 };

		buf_addf(&name, "%s.%s", w->resource, w->event);
		print_field("event", name.data);
		buf_free(&name);
	} else {
		print_field("event", w->event_identifier);
	}
	print_field("url", w->url);
	print_field("active", w->active ? "yes" : "no");
	print_field("http_method", w->http_method);
	print_field("auth_token", w->auth_token ? "present" : NULL);
	print_field("installation", w->droplet_installation_uuid);
	print_field("created_at", w->created_at);
	print_field("updated_at", w->updated_at);
	return (CLI_DONE);
}

/* What create and update take. */
struct given {
	const char *resource, *event, *url, *method, *token_file;
	bool active, inactive, json;
};

/* Check what was given. Returns 0, or -1 with *status set. */
static int
check_given(const struct command *self, struct given *g, int *status)
{
	if (g->method && strcasecmp(g->method, "post") != 0 && strcasecmp(g->method, "put") != 0 &&
	    strcasecmp(g->method, "get") != 0) {
		*status = cli_misuse(self, "--method is post, put or get");
		return (-1);
	}
	if (g->active && g->inactive) {
		*status = cli_misuse(self, "--active and --inactive exclude each other");
		return (-1);
	}
	if (g->url && url_arg_check(g->url)) {
		*status = CLI_USAGE;
		return (-1);
	}
	return (0);
}

static const char *
lower_method(const char *method)
{
	if (method == NULL)
		return (NULL);
	return (strcasecmp(method, "post") == 0 ? "post" :
		strcasecmp(method, "put") == 0  ? "put" :
						  "get");
}

/* Whether another webhook than `id` says that a receiver of ours is here: one for installs or uninstalls. */
static bool
is_registered(const struct webhook_list *l, const char *id, const char *url)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct webhook *w = &l->items[i];

		if (id && strcmp(w->id, id) == 0)
			continue;
		if (w->resource && strcmp(w->resource, "droplet") == 0 && w->url &&
		    !(w->http_method && strcasecmp(w->http_method, "get") == 0) &&
		    url_is_same(w->url, url))
			return (true);
	}
	return (false);
}

/* Whether deliveries to this address reach a receiver of ours. Returns 1, 0, or -1 with the error set. */
static int
is_our_address(struct api_session *k, const char *id, const char *url)
{
	struct webhook_list list = { 0 };
	int result;

	if (k->conf->public_url && url_is_same(k->conf->public_url, url))
		return (1);
	if (webhooks_list(k->api, &k->token, &list, &k->e))
		return (-1);
	result = is_registered(&list, id, url);
	webhook_list_free(&list);
	return (result);
}

/*
 * A receiver answers GET as a health check, so what Fluid delivers that way is lost without a trace.
 * Refuse to make such a webhook. id: of the one that is updated, or NULL. Returns the exit status.
 */
static int
check_method(struct api_session *k, const char *id, const struct webhook_values *v)
{
	struct webhook before = { 0 };
	const char *method = v->http_method, *url = v->url;
	int status = CLI_DONE, ours;

	/* Also an older webhook with get that is moved to our address. */
	if (id &&
	    (method ? strcmp(method, "get") == 0 && url == NULL :
		      url && k->conf->public_url && url_is_same(k->conf->public_url, url))) {
		if (webhooks_show(k->api, &k->token, id, &before, &k->e))
			return (api_session_fail(k));
		method = method ? method : before.http_method;
		url = url ? url : before.url;
	}
	if (method && url && strcasecmp(method, "get") == 0) {
		if ((ours = is_our_address(k, id, url)) == -1)
			status = api_session_fail(k);
		else if (ours)
			status =
			    cli_fail("%s: fluidhook answers GET as a health check, so deliveries "
				     "with http_method get are lost; use --method post",
				url);
	}
	webhook_free(&before);
	return (status);
}

/* Create (id is NULL) or update a webhook, and print it. Returns the exit status. */
static int
send_values(const struct cli *c, const char *id, const struct given *g)
{
	bool active = !g->inactive;
	struct webhook_values v = { .resource = g->resource,
		.event = g->event,
		.url = g->url,
		.http_method = lower_method(g->method) };
	struct webhook w = { 0 };
	struct api_session k;
	char *secret = NULL;
	int status, failed;

	if (g->active || g->inactive)
		v.active = &active;
	if (g->token_file && (secret = secret_arg(g->token_file)) == NULL)
		return (CLI_FAILED);
	v.auth_token = secret;
	if ((status = api_session_open(&k, c)) == CLI_DONE &&
	    (status = check_method(&k, id, &v)) == CLI_DONE) {
		failed = id ? webhooks_update(k.api, &k.token, id, &v, &w, &k.e) :
			      webhooks_create(k.api, &k.token, &v, &w, &k.e);
		status = failed ? api_session_fail(&k) : print_webhook(&w, g->json);
		webhook_free(&w);
	}
	api_session_close(&k);
	secret_free(secret);
	return (status);
}

static int
run_create(const struct cli *c, const struct command *self, int argc, char **argv)
{
	struct given g = { 0 };
	const struct cli_option options[] = {
		{ "resource", '\0', NULL, &g.resource },
		{ "event", '\0', NULL, &g.event },
		{ "url", '\0', NULL, &g.url },
		{ "method", '\0', NULL, &g.method },
		{ "inactive", '\0', &g.inactive, NULL },
		{ "auth-token-file", '\0', NULL, &g.token_file },
		{ "json", '\0', &g.json, NULL },
		{ NULL, '\0', NULL, NULL },
	};
	int status;

	if (cli_parse(self, argc, argv, options, 0, 0, &status) == -1 ||
	    check_given(self, &g, &status))
		return (status);
	if (g.resource == NULL || g.event == NULL || g.url == NULL)
		return (cli_misuse(self, "%s is needed",
		    g.resource == NULL  ? "--resource" :
			g.event == NULL ? "--event" :
					  "--url"));
	return (send_values(c, NULL, &g));
}

static const struct command create_command = {
	.name = "create",
	.args = "--resource R --event E --url U [OPTIONS]",
	.summary = "Create a webhook at Fluid",
	.help =
	    "      --resource R         what it is about: order, droplet, ...\n"
	    "      --event E            what happened to it: created, installed, ...\n"
	    "      --url U              where Fluid delivers to: https, or http to this machine\n"
	    "      --method M           post (default), put or get; get is refused for the address of\n"
	    "                           a fluidhook, which answers GET as a health check\n"
	    "      --inactive           make it, but let nothing be delivered yet\n"
	    "      --auth-token-file F  sign its deliveries with the secret in this file, which must\n"
	    "                           not be readable by others\n"
	    "      --json               print it as JSON\n"
	    "\n"
	    "\"fluidhook webhook events\" lists resources and events. Example:\n"
	    "\n"
	    "  fluidhook webhook create --resource order --event created \\\n"
	    "      --url https://hooks.example.com/webhook \\\n"
	    "      --auth-token-file /etc/fluidhook/droplet.secrets\n",
	.changes = true,
	.run = run_create,
};

static int
run_update(const struct cli *c, const struct command *self, int argc, char **argv)
{
	struct given g = { 0 };
	const struct cli_option options[] = {
		{ "url", '\0', NULL, &g.url },
		{ "method", '\0', NULL, &g.method },
		{ "active", '\0', &g.active, NULL },
		{ "inactive", '\0', &g.inactive, NULL },
		{ "auth-token-file", '\0', NULL, &g.token_file },
		{ "json", '\0', &g.json, NULL },
		{ NULL, '\0', NULL, NULL },
	};
	int status;

	if (cli_parse(self, argc, argv, options, 1, 1, &status) == -1 ||
	    check_given(self, &g, &status))
		return (status);
	if (!webhook_is_id(argv[1]))
		return (cli_misuse(self, "the ID of a webhook is a number"));
	if (!g.url && !g.method && !g.active && !g.inactive && !g.token_file)
		return (cli_misuse(self,
		    "nothing to change: give --url, --method, --active, --inactive or --auth-token-file"));
	return (send_values(c, argv[1], &g));
}

static const struct command update_command = {
	.name = "update",
	.args = "ID [OPTIONS]",
	.summary = "Change a webhook at Fluid",
	.help =
	    "      --url U              where Fluid shall deliver\n"
	    "      --method M           post, put or get\n"
	    "      --active             deliver\n"
	    "      --inactive           deliver nothing for now\n"
	    "      --auth-token-file F  sign its deliveries with the secret in this file, which must\n"
	    "                           not be readable by others\n"
	    "      --json               print it as JSON\n"
	    "\n"
	    "Only what is given changes. Example:\n"
	    "\n"
	    "  fluidhook webhook update 4711 --inactive\n",
	.changes = true,
	.run = run_update,
};

static int
run_show(const struct cli *c, const struct command *self, int argc, char **argv)
{
	bool json = false;
	const struct cli_option options[] = {
		{ "json", '\0', &json, NULL },
		{ NULL, '\0', NULL, NULL },
	};
	struct webhook w = { 0 };
	struct api_session k;
	int status;

	if (cli_parse(self, argc, argv, options, 1, 1, &status) == -1)
		return (status);
	if (!webhook_is_id(argv[1]))
		return (cli_misuse(self, "the ID of a webhook is a number"));
	if ((status = api_session_open(&k, c)) == CLI_DONE) {
		status = webhooks_show(k.api, &k.token, argv[1], &w, &k.e) ?
		    api_session_fail(&k) :
		    print_webhook(&w, json);
		webhook_free(&w);
	}
	api_session_close(&k);
	return (status);
}

static const struct command show_webhook_command = {
	.name = "show",
	.args = "ID [--json]",
	.summary = "Show one webhook",
	.help = "      --json  print it as JSON\n"
		"\n"
		"Of its auth_token only whether there is one. Example:\n"
		"\n"
		"  fluidhook webhook show 4711\n",
	.run = run_show,
};

static int
run_delete(const struct cli *c, const struct command *self, int argc, char **argv)
{
	struct api_session k;
	int status;

	if (cli_parse(self, argc, argv, NULL, 1, 1, &status) == -1)
		return (status);
	if (!webhook_is_id(argv[1]))
		return (cli_misuse(self, "the ID of a webhook is a number"));
	if ((status = api_session_open(&k, c)) == CLI_DONE) {
		if (webhooks_delete(k.api, &k.token, argv[1], &k.e))
			status = api_session_fail(&k);
		else
			printf("deleted webhook %s\n", argv[1]);
	}
	api_session_close(&k);
	return (status);
}

static const struct command delete_command = {
	.name = "delete",
	.args = "ID",
	.summary = "Delete a webhook at Fluid",
	.help = "Fluid delivers nothing more for it. Example:\n"
		"\n"
		"  fluidhook webhook delete 4711\n",
	.changes = true,
	.run = run_delete,
};

static void
print_table(const struct webhook_list *l)
{
	struct table *t = table_new((
	    const char *const[]){ "ID", "EVENT", "ACTIVE", "METHOD", "INSTALLATION", "URL", NULL });

	for (size_t i = 0; t && i < l->n; i++) {
		const struct webhook *w = &l->items[i];
		struct buf event = { 0 };

		if (w->resource && w->event)
			buf_addf(&event, "%s.%s", w->resource, w->event);
		table_add(t,
		    (const char *const[]){ w->id, event.len ? event.data : w->event_identifier,
			w->active ? "yes" : "no", w->http_method, w->droplet_installation_uuid,
			w->url });
		buf_free(&event);
	}
	if (t)
		table_print(t, stdout);
	table_free(t);
}

static int
print_list(const struct webhook_list *l, bool json)
{
	int status = CLI_DONE;

	for (size_t i = 0; json && status == CLI_DONE && i < l->n; i++)
		status = print_json(&l->items[i]);
	if (json)
		return (status);
	if (l->n)
		print_table(l);
	else
		fputs("Fluid has no webhooks for this company.\n", stderr);
	return (CLI_DONE);
}

static int
run_list(const struct cli *c, const struct command *self, int argc, char **argv)
{
	bool json = false;
	const struct cli_option options[] = {
		{ "json", '\0', &json, NULL },
		{ NULL, '\0', NULL, NULL },
	};
	struct webhook_list l = { 0 };
	struct progress progress;
	struct api_session k;
	int status, failed;

	if (cli_parse(self, argc, argv, options, 0, 0, &status) == -1)
		return (status);
	if ((status = api_session_open(&k, c)) == CLI_DONE) {
		progress_begin(&progress, "Waiting for Fluid");
		failed = webhooks_list(k.api, &k.token, &l, &k.e);
		progress_end(&progress);
		status = failed ? api_session_fail(&k) : print_list(&l, json);
		webhook_list_free(&l);
	}
	api_session_close(&k);
	return (status);
}

static const struct command list_webhook_command = {
	.name = "list",
	.args = "[--json]",
	.summary = "List the company's webhooks",
	.help = "      --json  one JSON object a line\n"
		"\n"
		"All of the company's, whoever made them. Example:\n"
		"\n"
		"  fluidhook webhook list --json | jq -r 'select(.active | not) | .id'\n",
	.run = run_list,
};

static int
print_event_json(const struct webhook_event *event)
{
	struct buf out = { 0 };
	struct json_writer *json = json_writer_new(&out, false);

	if (json) {
		json_object(json);
		json_key(json, "event");
		json_string(json, event->name);
		json_key(json, "deprecated");
		json_bool(json, event->deprecated);
		json_object_end(json);
	}
	return (print_line(&out, json ? json_writer_end(json) : -1));
}

static int
print_events(const struct webhook_events *l, bool json)
{
	int status = CLI_DONE;

	for (size_t i = 0; status == CLI_DONE && i < l->n; i++) {
		const struct webhook_event *event = &l->items[i];

		if (json) {
			status = print_event_json(event);
		} else {
			cli_print_text(stdout, event->name, strlen(event->name));
			puts(event->deprecated ? "  (deprecated)" : "");
		}
	}
	return (status);
}

static int
run_events(const struct cli *c, const struct command *self, int argc, char **argv)
{
	bool json = false;
	const struct cli_option options[] = {
		{ "json", '\0', &json, NULL },
		{ NULL, '\0', NULL, NULL },
	};
	struct webhook_events l = { 0 };
	struct api_session k;
	int status;

	if (cli_parse(self, argc, argv, options, 0, 0, &status) == -1)
		return (status);
	if ((status = api_session_open(&k, c)) == CLI_DONE) {
		status = webhooks_events(k.api, &k.token, &l, &k.e) ? api_session_fail(&k) :
								      print_events(&l, json);
		webhook_events_free(&l);
	}
	api_session_close(&k);
	return (status);
}

static const struct command events_command = {
	.name = "events",
	.args = "[--json]",
	.summary = "List what can be subscribed to",
	.help = "      --json  one JSON object a line\n"
		"\n"
		"A line each, as RESOURCE.EVENT. Example:\n"
		"\n"
		"  fluidhook webhook events | grep ^order\n",
	.run = run_events,
};

static const struct command *const commands[] = {
	&create_command,
	&list_webhook_command,
	&show_webhook_command,
	&update_command,
	&delete_command,
	&events_command,
	NULL,
};

const struct command webhook_command = {
	.name = "webhook",
	.args = "COMMAND [...]",
	.summary = "Manage the company's webhooks at Fluid",
	.help =
	    "All of them use the company's token: the file that `company_token` under [fluid] names,\n"
	    "or $FLUID_COMPANY_TOKEN.\n",
	.commands = commands,
};
