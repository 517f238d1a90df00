#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/url.h"
#include "cli/commands.h"
#include "cli/lib/api_session.h"
#include "cli/lib/data_arg.h"
#include "cli/lib/installation_arg.h"
#include "cli/lib/progress.h"
#include "fluid/token.h"
#include "fluid/api.h"

/* Any call of Fluid's API, as an installation or as the company. */

static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };

/* The method in capital letters, or NULL where it is none of ours. */
static const char *
find_method(const char *name)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcasecmp(name, methods[i]) == 0)
			return (methods[i]);
	return (NULL);
}

/* The token of an installation. Becomes the owner of the state directory. Returns 0, or -1. */
static int
token_of(const struct conf *conf, const char *argument, struct fluid_token *token)
{
	struct installation *i;
	struct fluid_error e;
	int result = -1;

	if (cli_become_owner(conf) || (i = installation_arg(conf, argument)) == NULL)
		return (-1);
	if (i->status != INSTALLATION_ACTIVE)
		cli_fail("%s: is %s, and only an active installation can call Fluid", i->record,
		    installation_status_name(i->status));
	else if (token_installation(token, i->authentication_token, i->record, &e))
		api_session_say(&e);
	else
		result = 0;
	installation_free(i);
	return (result);
}

/* Byte for byte; on a terminal so that it can do nothing to it. */
static void
print_body(const struct buf *body)
{
	if (body->len == 0)
		return;
	if (!isatty(STDOUT_FILENO)) {
		fwrite(body->data, 1, body->len, stdout);
		return;
	}
	cli_print_lines(stdout, body->data, body->len);
	if (body->data[body->len - 1] != '\n')
		putchar('\n');
}

/* Make the call and print its answer. Returns the exit status. */
static int
call(struct fluid_api *t, const struct fluid_token *token, const char *method, const char *path,
    const struct buf *data)
{
	struct http_response a = { 0 };
	struct progress progress;
	struct fluid_error e;
	int failed;

	progress_begin(&progress, "Waiting for Fluid");
	failed = fluid_api_call_path(t, method, path, token, data ? data->data : NULL,
	    data ? data->len : 0, &a, &e);
	progress_end(&progress);
	/* Half an answer is none: only one that came with a status as a whole is shown. */
	if (!failed || e.failure == FLUID_REFUSED || e.failure == FLUID_BUSY)
		print_body(&a.body);
	http_response_free(&a);
	return (failed ? api_session_say(&e) : CLI_DONE);
}

struct api_options {
	const char *installation, *data;
	bool company;
};

static const struct cli_option api_options[] = {
	CLI_VALUE(struct api_options, installation, "installation", '\0'),
	CLI_FLAG(struct api_options, company, "company", '\0'),
	CLI_VALUE(struct api_options, data, "data", '\0'),
	CLI_END,
};

static int
check(const struct cli *c)
{
	const struct api_options *o = c->options;

	if (o->company && o->installation)
		return (cli_misuse(c, "--installation and --company exclude each other"));
	if (find_method(c->argv[0]) == NULL)
		return (cli_misuse(c, "METHOD is GET, HEAD, POST, PUT, PATCH or DELETE"));
	if (!url_is_path(c->argv[1]))
		return (
		    cli_misuse(c, "PATH is a path at Fluid's API, such as /api/products?page=2"));
	return (CLI_DONE);
}

static int
run(struct cli *c)
{
	const struct api_options *o = c->options;
	struct fluid_token token = { 0 };
	struct fluid_api *t = NULL;
	struct buf data = { 0 };
	struct fluid_error e;
	int status = CLI_FAILED;

	/* All that only root may read comes first. */
	if (o->data && data_arg(o->data, &data))
		goto out;
	if ((t = fluid_api_new(c->conf, &e)) == NULL ||
	    (o->installation == NULL && token_company(&token, c->conf, &e))) {
		api_session_say(&e);
		goto out;
	}
	if (o->installation && token_of(c->conf, o->installation, &token))
		goto out;
	status = call(t, &token, find_method(c->argv[0]), c->argv[1], o->data ? &data : NULL);
out:
	buf_wipe(&data);
	fluid_api_free(t);
	token_free(&token);
	return (status);
}

const struct command api_command = {
	.name = "api",
	.args = "METHOD PATH [--installation I | --company] [--data FILE]",
	.summary = "Call Fluid's API and print what it answers",
	.help =
	    "      --installation I  with the token of this installation (a dri, or a shop)\n"
	    "      --company         with the company's token; the default\n"
	    "      --data FILE       send this JSON; - is standard input\n"
	    "\n"
	    "Exit status 1 where the answer is 4xx or 5xx; its body is printed all the same. Examples:\n"
	    "\n"
	    "  fluidhook api GET /api/company/webhooks\n"
	    "  fluidhook api POST /api/products --installation acme --data product.json\n",
	.flags = COMMAND_CONF | COMMAND_CHANGES,
	.least = 2,
	.most = 2,
	.options = api_options,
	.options_size = sizeof(struct api_options),
	.check = check,
	.run = run,
};
