#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/url.h"
#include "cli/commands.h"
#include "cli/lib/api_session.h"
#include "cli/lib/secret_arg.h"
#include "cli/webhook.h"
#include "cli/lib/url_arg.h"
#include "fluid/webhooks.h"

/* The webhooks that Fluid knows for the company: create, update, delete; webhook_view.c has the others. */

/* What create and update take. */
struct webhook_options {
	const char *resource, *event, *url, *method, *token_file;
	bool active, inactive;
};

static const struct cli_option create_options[] = {
	CLI_VALUE(struct webhook_options, resource, "resource", '\0'),
	CLI_VALUE(struct webhook_options, event, "event", '\0'),
	CLI_VALUE(struct webhook_options, url, "url", '\0'),
	CLI_VALUE(struct webhook_options, method, "method", '\0'),
	CLI_FLAG(struct webhook_options, inactive, "inactive", '\0'),
	CLI_VALUE(struct webhook_options, token_file, "auth-token-file", '\0'),
	CLI_END,
};

/* Check the values of the options. Returns CLI_DONE, or the exit status. */
static int
check_values(const struct cli *c)
{
	const struct webhook_options *o = c->options;

	if (o->method && strcasecmp(o->method, "post") != 0 && strcasecmp(o->method, "put") != 0 &&
	    strcasecmp(o->method, "get") != 0)
		return (cli_misuse(c, "--method is post, put or get"));
	if (o->active && o->inactive)
		return (cli_misuse(c, "--active and --inactive exclude each other"));
	return (o->url && url_arg_check(o->url) ? CLI_USAGE : CLI_DONE);
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
send_values(const struct cli *c, const char *id)
{
	const struct webhook_options *g = c->options;
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
	if ((status = api_session_open(&k, c->conf)) == CLI_DONE &&
	    (status = check_method(&k, id, &v)) == CLI_DONE) {
		failed = id ? webhooks_update(k.api, &k.token, id, &v, &w, &k.e) :
			      webhooks_create(k.api, &k.token, &v, &w, &k.e);
		status = failed ? api_session_fail(&k) : webhook_print(&w, c->json);
		webhook_free(&w);
	}
	api_session_close(&k);
	secret_free(secret);
	return (status);
}

static int
check_create(const struct cli *c)
{
	const struct webhook_options *o = c->options;
	int status = check_values(c);

	if (status == CLI_DONE && (o->resource == NULL || o->event == NULL || o->url == NULL))
		status = cli_misuse(c, "%s is needed",
		    o->resource == NULL  ? "--resource" :
			o->event == NULL ? "--event" :
					   "--url");
	return (status);
}

static int
run_create(struct cli *c)
{
	return (send_values(c, NULL));
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
	.flags = COMMAND_CONF | COMMAND_JSON | COMMAND_CHANGES,
	.options = create_options,
	.options_size = sizeof(struct webhook_options),
	.check = check_create,
	.run = run_create,
};

static const struct cli_option update_options[] = {
	CLI_VALUE(struct webhook_options, url, "url", '\0'),
	CLI_VALUE(struct webhook_options, method, "method", '\0'),
	CLI_FLAG(struct webhook_options, active, "active", '\0'),
	CLI_FLAG(struct webhook_options, inactive, "inactive", '\0'),
	CLI_VALUE(struct webhook_options, token_file, "auth-token-file", '\0'),
	CLI_END,
};

static int
check_update(const struct cli *c)
{
	const struct webhook_options *o = c->options;
	int status = check_values(c);

	if (status == CLI_DONE)
		status = webhook_check_id(c);
	if (status == CLI_DONE && !o->url && !o->method && !o->active && !o->inactive &&
	    !o->token_file)
		status = cli_misuse(c,
		    "nothing to change: give --url, --method, --active, --inactive or --auth-token-file");
	return (status);
}

static int
run_update(struct cli *c)
{
	return (send_values(c, c->argv[0]));
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
	.flags = COMMAND_CONF | COMMAND_JSON | COMMAND_CHANGES,
	.least = 1,
	.most = 1,
	.options = update_options,
	.options_size = sizeof(struct webhook_options),
	.check = check_update,
	.run = run_update,
};

static int
run_delete(struct cli *c)
{
	struct api_session k;
	int status = api_session_open(&k, c->conf);

	if (status == CLI_DONE) {
		if (webhooks_delete(k.api, &k.token, c->argv[0], &k.e))
			status = api_session_fail(&k);
		else
			printf("deleted webhook %s\n", c->argv[0]);
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
	.flags = COMMAND_CONF | COMMAND_CHANGES,
	.least = 1,
	.most = 1,
	.check = webhook_check_id,
	.run = run_delete,
};

static const struct command *const commands[] = {
	&create_command,
	&webhook_list_command,
	&webhook_show_command,
	&update_command,
	&delete_command,
	&webhook_events_command,
	&webhook_audit_command,
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
