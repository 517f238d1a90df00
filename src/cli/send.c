#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/utf8.h"
#include "cli/commands.h"
#include "cli/lib/data_arg.h"
#include "cli/lib/progress.h"
#include "cli/lib/secret_arg.h"
#include "cli/lib/secret_file.h"
#include "cli/send_bodies.h"
#include "cli/lib/signed.h"
#include "cli/lib/url_arg.h"
#include "delivery/delivery.h"
#include "http/client.h"

/* A signed delivery, posted the way Fluid posts it. */

static const char default_event[] = "droplet.installed", default_shop[] = "example.fluid.app";

struct sending {
	const char *url, *event, *contract, *body_file, *secret_file, *shop, *droplet;
	bool json;
	struct conf *conf;        /* or NULL, where none is needed */
	const char *droplet_uuid; /* of the configuration, or NULL */
	char *secret;
	struct buf body;
	char *body_shop; /* what a body out of a file says, or NULL */
	bool lifecycle;
};

/* Whether there is a configuration that can be read. Only then is one read that is not needed. */
static bool
has_conf(const struct cli *c)
{
	char *file = conf_find(c->conf_file);
	bool has = c->conf_file || (file && access(file, R_OK) == 0);

	free(file);
	return (has);
}

/* The configuration's droplet and the secret. Returns CLI_DONE, or the exit status. */
static int
find_secret(struct sending *s, const struct cli *c)
{
	const struct conf_droplet *droplet = NULL;

	if ((!s->secret_file || s->droplet || has_conf(c)) &&
	    (s->conf = cli_conf(c->conf_file)) == NULL)
		return (CLI_USAGE);
	if (!s->secret_file || s->droplet) {
		if ((droplet = secret_droplet(s->conf, s->droplet)) == NULL)
			return (CLI_FAILED);
	} else if (s->conf && s->conf->n_droplets == 1) {
		/* With a secret out of a file, the droplet is only good for its uuid. */
		droplet = &s->conf->droplets[0];
	}
	s->droplet_uuid = droplet ? droplet->uuid : NULL;
	s->secret = s->secret_file ? secret_arg(s->secret_file) : secret_newest(droplet);
	return (s->secret ? CLI_DONE : CLI_FAILED);
}

/* What a body out of a file is about; it need not be about anything. */
static void
look_at_body(struct sending *s)
{
	struct delivery *d = delivery_new();
	const char *event, *shop;

	if (d == NULL)
		return;
	delivery_feed(d, s->body.data, s->body.len);
	delivery_finish(d);
	event = delivery_event(d);
	shop = delivery_text(d, COMPANY_SHOP);
	s->lifecycle = s->event ? send_event_is_lifecycle(s->event) :
				  event == NULL || send_event_is_lifecycle(event);
	/* Only what can stand in a header. */
	for (const char *p = shop; p && *p; p++)
		if (!isgraph((unsigned char)*p))
			shop = NULL;
	s->body_shop = shop ? strdup(shop) : NULL;
	delivery_free(d);
}

static int
find_body(struct sending *s)
{
	const struct send_body b = { .event = s->event ? s->event : default_event,
		.v2 = s->contract && strcmp(s->contract, "v2") == 0,
		.shop = s->shop ? s->shop : default_shop,
		.droplet_uuid = s->droplet_uuid };

	if (s->body_file) {
		if (data_arg(s->body_file, &s->body))
			return (CLI_FAILED);
		look_at_body(s);
		return (CLI_DONE);
	}
	s->lifecycle = send_event_is_lifecycle(b.event);
	return (send_body(&s->body, &b) ? cli_fail("out of memory") : CLI_DONE);
}

static int
print_json(const struct http_response *a, const struct http_error *e)
{
	struct buf out = { 0 }, ms = { 0 };
	struct json_writer *w = json_writer_new(&out, false);
	int status = CLI_DONE;

	buf_addf(&ms, "%.1f", a->ms);
	if (w && ms.data) {
		json_object(w);
		json_key(w, "status");
		if (e->failure == HTTP_OK)
			json_int(w, a->status);
		else
			json_null(w);
		json_key(w, "ms");
		json_number(w, ms.data);
		json_key(w, "answer");
		if (e->failure == HTTP_OK && utf8_is_valid(a->body.data, a->body.len))
			json_string_len(w, a->body.data ? a->body.data : "", a->body.len);
		else
			json_null(w);
		json_key(w, "error");
		json_string(w,
		    e->failure == HTTP_OK || !utf8_is_valid(e->text, strlen(e->text)) ? NULL :
											e->text);
		json_object_end(w);
	}
	if (w == NULL || json_writer_end(w) || ms.failed)
		status = cli_fail("out of memory");
	else
		printf("%s\n", out.data);
	buf_free(&ms);
	buf_free(&out);
	return (status);
}

static void
print_answer(const struct http_response *a)
{
	size_t len = a->body.len;

	printf("%ld in %.1f ms\n", a->status, a->ms);
	while (len && strchr("\r\n", a->body.data[len - 1]))
		len--;
	if (len == 0)
		return;
	cli_print_text(stdout, a->body.data, len);
	putchar('\n');
}

/* What an answer means where it is no success. Returns CLI_FAILED. */
static int
say_refused(const struct http_response *a)
{
	if (a->redirect)
		return (cli_fail("answered %ld, a redirect, which Fluid does not follow; use the "
				 "address that it leads to: %s",
		    a->status, a->redirect));
	if (a->status == 401)
		return (cli_fail(
		    "answered 401: the receiver does not know this secret, or its clock is wrong, "
		    "or a header was dropped; \"fluidhook doctor URL\" finds out"));
	return (cli_fail("answered %ld", a->status));
}

static int
post(const struct sending *s)
{
	const char *shop = s->shop ? s->shop : s->body_shop ? s->body_shop : default_shop;
	struct signed_headers headers;
	struct http_request r = { .method = "POST",
		.url = s->url,
		.body = s->body.data,
		.body_len = s->body.len,
		.headers = headers.list,
		.timeout_ms = s->lifecycle ? SIGNED_LIFECYCLE_MS : SIGNED_BUSINESS_MS,
		.connect_ms = SIGNED_CONNECT_MS,
		.answer_max = SIGNED_ANSWER_MAX };
	struct http_response a = { 0 };
	struct http_client *http;
	struct http_error e;
	struct progress progress;
	int status = CLI_DONE;

	if ((http = http_client_new(http_authorities_env(), &e)) == NULL)
		return (cli_fail("%s", e.text));
	signed_headers(&headers, s->secret, shop, s->lifecycle ? NULL : s->secret, s->body.data,
	    s->body.len);
	progress_begin(&progress, "Waiting for the answer");
	http_client_send(http, &r, &a, &e);
	progress_end(&progress);
	if (e.failure == HTTP_OK && !s->json)
		print_answer(&a);
	if (s->json)
		status = print_json(&a, &e);
	if (e.failure != HTTP_OK)
		status = cli_fail("%s: %s", s->url, e.text);
	else if (a.status < 200 || a.status > 299)
		status = say_refused(&a);
	http_response_free(&a);
	http_client_free(http);
	return (status);
}

struct send_options {
	const char *event, *contract, *body_file, *secret_file, *shop, *droplet;
};

static const struct cli_option send_options[] = {
	CLI_VALUE(struct send_options, event, "event", '\0'),
	CLI_VALUE(struct send_options, contract, "contract", '\0'),
	CLI_VALUE(struct send_options, body_file, "body", '\0'),
	CLI_VALUE(struct send_options, secret_file, "secret-file", '\0'),
	CLI_VALUE(struct send_options, shop, "shop", '\0'),
	CLI_VALUE(struct send_options, droplet, "droplet", '\0'),
	CLI_END,
};

static int
check(const struct cli *c)
{
	const struct send_options *s = c->options;

	if (s->event && !s->body_file && !send_event_is_known(s->event))
		return (cli_misuse(c, "there is no built-in body for %s; give one with --body FILE",
		    s->event));
	if (s->contract && strcmp(s->contract, "v1") != 0 && strcmp(s->contract, "v2") != 0)
		return (cli_misuse(c, "--contract is v1 or v2"));
	if (s->contract && s->body_file)
		return (
		    cli_misuse(c, "--contract chooses a built-in body: not together with --body"));
	for (const char *p = s->shop ? s->shop : "x"; p; p = p[1] ? p + 1 : NULL)
		if (!isgraph((unsigned char)*p))
			return (cli_misuse(c, "--shop is a name such as acme or acme.fluid.app"));
	return (url_arg_check(c->argv[0]) ? CLI_USAGE : CLI_DONE);
}

static int
run(struct cli *c)
{
	const struct send_options *o = c->options;
	struct sending s = { .url = c->argv[0],
		.event = o->event,
		.contract = o->contract,
		.body_file = o->body_file,
		.secret_file = o->secret_file,
		.shop = o->shop,
		.droplet = o->droplet,
		.json = c->json };
	int status;

	if ((status = find_secret(&s, c)) == CLI_DONE && (status = find_body(&s)) == CLI_DONE)
		status = post(&s);
	free(s.body_shop);
	secret_free(s.secret);
	buf_wipe(&s.body);
	conf_free(s.conf);
	return (status);
}

const struct command send_command = {
	.name = "send",
	.args = "URL [OPTIONS]",
	.summary = "Post a signed delivery, the way Fluid does",
	.help =
	    "      --event E        droplet.installed (default), droplet.uninstalled, order.created;\n"
	    "                       with --body any\n"
	    "      --contract V     v1 (default) or v2: whether an install brings permanent tokens or\n"
	    "                       one to exchange\n"
	    "      --body FILE      send this file unchanged; - is standard input\n"
	    "      --secret-file F  sign with the first secret in this file, which must not be readable\n"
	    "                       by others; else with the droplet's newest\n"
	    "      --droplet NAME   which droplet, where the configuration has several\n"
	    "      --shop S         X-Fluid-Shop, and the shop in the bodies built in\n"
	    "      --json           print status, time and answer as JSON\n"
	    "\n"
	    "The ids and tokens in the bodies built in are fresh each time and mean nothing to Fluid,\n"
	    "but a receiver stores what it gets. URL is https, or http to this machine. Its\n"
	    "certificate is verified with the system's authorities, or those of $SSL_CERT_FILE.\n"
	    "Exit status 1 unless the answer is 2xx.\n"
	    "Examples:\n"
	    "\n"
	    "  fluidhook send https://hooks.example.com/webhook\n"
	    "  fluidhook send http://127.0.0.1:8080/webhook --event order.created\n",
	.flags = COMMAND_JSON | COMMAND_CHANGES,
	.least = 1,
	.most = 1,
	.options = send_options,
	.options_size = sizeof(struct send_options),
	.check = check,
	.run = run,
};
