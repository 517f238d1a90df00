#include <string.h>

#include "base/buf.h"
#include "cli/lib/api_session.h"
#include "cli/lib/progress.h"
#include "cli/lib/table.h"
#include "cli/webhook.h"
#include "fluid/webhooks.h"

/* The commands of `fluidhook webhook` that only look: list, show, events. */

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

int
webhook_print(const struct webhook *w, bool json)
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

int
webhook_check_id(const struct cli *c)
{
	return (webhook_is_id(c->argv[0]) ? CLI_DONE :
					    cli_misuse(c, "the ID of a webhook is a number"));
}

static int
run_show(struct cli *c)
{
	struct webhook w = { 0 };
	struct api_session k;
	int status = api_session_open(&k, c->conf);

	if (status == CLI_DONE) {
		status = webhooks_show(k.api, &k.token, c->argv[0], &w, &k.e) ?
		    api_session_fail(&k) :
		    webhook_print(&w, c->json);
		webhook_free(&w);
	}
	api_session_close(&k);
	return (status);
}

const struct command webhook_show_command = {
	.name = "show",
	.args = "ID [--json]",
	.summary = "Show one webhook",
	.help = "      --json  print it as JSON\n"
		"\n"
		"Of its auth_token only whether there is one. Example:\n"
		"\n"
		"  fluidhook webhook show 4711\n",
	.flags = COMMAND_CONF | COMMAND_JSON,
	.least = 1,
	.most = 1,
	.check = webhook_check_id,
	.run = run_show,
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
run_list(struct cli *c)
{
	struct webhook_list l = { 0 };
	struct progress progress;
	struct api_session k;
	int status = api_session_open(&k, c->conf), failed;

	if (status == CLI_DONE) {
		progress_begin(&progress, "Waiting for Fluid");
		failed = webhooks_list(k.api, &k.token, &l, &k.e);
		progress_end(&progress);
		status = failed ? api_session_fail(&k) : print_list(&l, c->json);
		webhook_list_free(&l);
	}
	api_session_close(&k);
	return (status);
}

const struct command webhook_list_command = {
	.name = "list",
	.args = "[--json]",
	.summary = "List the company's webhooks",
	.help = "      --json  one JSON object a line\n"
		"\n"
		"All of the company's, whoever made them. Example:\n"
		"\n"
		"  fluidhook webhook list --json | jq -r 'select(.active | not) | .id'\n",
	.flags = COMMAND_CONF | COMMAND_JSON,
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
run_events(struct cli *c)
{
	struct webhook_events l = { 0 };
	struct api_session k;
	int status = api_session_open(&k, c->conf);

	if (status == CLI_DONE) {
		status = webhooks_events(k.api, &k.token, &l, &k.e) ? api_session_fail(&k) :
								      print_events(&l, c->json);
		webhook_events_free(&l);
	}
	api_session_close(&k);
	return (status);
}

const struct command webhook_events_command = {
	.name = "events",
	.args = "[--json]",
	.summary = "List what can be subscribed to",
	.help = "      --json  one JSON object a line\n"
		"\n"
		"A line each, as RESOURCE.EVENT. Example:\n"
		"\n"
		"  fluidhook webhook events | grep ^order\n",
	.flags = COMMAND_CONF | COMMAND_JSON,
	.run = run_events,
};
