#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "cli/doctor.h"
#include "cli/lib/secret_file.h"
#include "cli/lib/signed.h"

/* Bytes: how far below max_body the large probe is, how large it is at most, how exactly a limit is found. */
enum { BELOW_MAX_BODY = 1024, LARGE_MOST = 8 << 20, LIMIT_STEP = 1024 };

static const char shop[] = "probe.fluid.app";

static const char nginx_way[] = "nginx, in the http block or the site's default server block:\n"
				"  underscores_in_headers on;\n";

static const char apache_way[] =
    "Apache, in the site or its .htaccess (mod_setenvif and mod_headers):\n"
    "  SetEnvIfNoCase ^AUTH.TOKEN$ ^(.+)$ fix_auth_token=$1\n"
    "  RequestHeader set Auth-Token %{fix_auth_token}e env=fix_auth_token\n";

/* What the answer to a probe says. */
struct probe_answer {
	bool is_probe, in_headers;
	struct buf headers; /* " X-Fluid-Shop AUTH_TOKEN " */
};

static void
on_answer(void *user, enum json_kind kind, const char *text, size_t len, unsigned depth)
{
	struct probe_answer *p = user;

	if (kind == JSON_KEY && depth == 1)
		p->in_headers = len == 7 && memcmp(text, "headers", len) == 0;
	if (kind != JSON_STRING)
		return;
	if (depth == 1 && len == 5 && memcmp(text, "probe", len) == 0)
		p->is_probe = true;
	if (depth == 2 && p->in_headers) {
		buf_add(&p->headers, text, len);
		buf_addc(&p->headers, ' ');
	}
}

static void
read_answer(struct probe_answer *p, const struct http_response *a)
{
	struct json_parser *parser = json_parser_new(on_answer, p);

	*p = (struct probe_answer){ .is_probe = false };
	buf_addc(&p->headers, ' ');
	if (parser &&
	    (json_parser_feed(parser, a->body.data ? a->body.data : "", a->body.len) ||
		json_parser_finish(parser)))
		p->is_probe = false;
	json_parser_free(parser);
}

/* Send a probe of about `size` bytes, with all headers of a business event. As http_client_send(). */
static int
send_probe(struct doctor *d, size_t size, struct http_response *a, struct http_error *e)
{
	struct signed_headers headers;
	struct buf body = { 0 };
	int result = -1;

	buf_adds(&body, "{\"resource\":\"fluidhook\",\"event\":\"probe\",\"filler\":\"");
	while (body.len + 2 < size && !body.failed)
		buf_addc(&body, 'x');
	buf_adds(&body, "\"}");
	*a = (struct http_response){ 0 };
	http_error_set(e, HTTP_LOCAL, "out of memory");
	if (!body.failed) {
		/* Whether the token's headers arrive is all that matters: whoever gets them learns nothing. */
		signed_headers(&headers, d->secret, shop, "probe", body.data, body.len);
		result = doctor_send(d,
		    &(struct http_request){ .method = "POST",
			.headers = headers.list,
			.body = body.data,
			.body_len = body.len },
		    a, e);
	}
	buf_free(&body);
	return (result);
}

static bool
is_ours(const struct http_response *a, const char *error)
{
	return (a->body.data && strstr(a->body.data, error) != NULL);
}

/* The receiver does not take the probe. */
static void
say_refused(struct doctor *d, const struct http_response *a)
{
	const char *hint = doctor_hint(a->status);

	if (a->status == 401 && is_ours(a, "\"unauthorized\""))
		hint =
		    "It does not know this secret, or the signature's headers do not arrive: does it "
		    "read this\nconfiguration? Its log says the reason.";
	else if (a->status == 503 && is_ours(a, "\"unavailable\""))
		hint =
		    "Its clock may be wrong, its secrets unreadable, or its disk full: its log says "
		    "the reason.";
	else if (is_ours(a, "\"error\":"))
		hint = "Something on the way changes requests: the receiver's log says the reason.";
	checklist_bad(&d->list, "probe", hint, "a signed probe was answered %ld", a->status);
}

static void
check_headers(struct doctor *d, const struct buf *arrived)
{
	static const char *const wanted[] = { "X-Fluid-Shop", "X-Fluid-Timestamp",
		"X-Fluid-Signature", "X-Fluid-Token" };
	bool nginx = strcasestr(d->server, "nginx") != NULL;
	bool apache = strcasestr(d->server, "apache") != NULL;
	struct buf hint = { 0 };
	char name[32];

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		snprintf(name, sizeof(name), " %s ", wanted[i]);
		if (arrived->data && strcasestr(arrived->data, name) == NULL) {
			checklist_bad(&d->list, "headers",
			    "Something on the way takes it out: a proxy, a "
			    "firewall, or the web server's own lines.",
			    "%s does not arrive", wanted[i]);
			return;
		}
	}
	if (arrived->data && strstr(arrived->data, " AUTH_TOKEN ")) {
		checklist_good(&d->list, "headers", "all of Fluid's arrive, AUTH_TOKEN too");
		return;
	}
	/* Unless it is known which one it is, both. */
	if (nginx || !apache)
		buf_adds(&hint, nginx_way);
	if (apache || !nginx)
		buf_adds(&hint, apache_way);
	checklist_bad(&d->list, "headers", hint.data ? hint.data : nginx_way,
	    "AUTH_TOKEN does not arrive: the web server drops names with an underscore");
	buf_free(&hint);
}

/*
 * The largest body, in whole steps, that arrives: between `good` and `bad` bytes. One that is cut off on the way is
 * refused by the receiver, one that is too large by the web server.
 */
static size_t
find_limit(struct doctor *d, size_t good, size_t bad)
{
	struct http_response a;
	struct http_error e;
	struct probe_answer p;
	size_t middle;

	while (bad - good > LIMIT_STEP) {
		middle = good + (bad - good) / 2;
		if (send_probe(d, middle, &a, &e) == 0) {
			read_answer(&p, &a);
			if (p.is_probe)
				good = middle;
			else
				bad = middle;
			buf_free(&p.headers);
		} else {
			bad = middle;
		}
		http_response_free(&a);
	}
	return (good / LIMIT_STEP * LIMIT_STEP);
}

/* A large body does not arrive, though a small one does. */
static void
say_too_large(struct doctor *d, size_t size, const struct http_response *a)
{
	const char *hint = is_ours(a, "\"too_large\"") ?
	    "Raise max_body in fluidhook.conf." :
	    is_ours(a, "\"error\":") ?
	    "The web server, or a proxy in front of it, cuts bodies off: raise its limit.\n"
	    "nginx: client_max_body_size 2m;  Apache: LimitRequestBody 2097152" :
	    a->status == 413 ? "Raise the web server's limit: client_max_body_size 2m; (nginx), "
			       "LimitRequestBody 2097152 (Apache)." :
			       doctor_hint(a->status);

	checklist_bad(&d->list, "body size", hint,
	    "a body of %zu kB was answered %ld; the largest that arrives has %zu kB", size / 1024,
	    a->status, find_limit(d, LIMIT_STEP, size) / 1024);
}

/* Bodies of this size are rare, but one that is too large for the web server is lost. */
static void
check_large(struct doctor *d)
{
	size_t most = (size_t)d->conf->max_body, size;
	struct http_response a = { 0 };
	struct http_error e;
	struct probe_answer p;

	size = most > LARGE_MOST      ? LARGE_MOST :
	    most > 2 * BELOW_MAX_BODY ? most - BELOW_MAX_BODY :
					most;
	if (send_probe(d, size, &a, &e)) {
		checklist_bad(&d->list, "body size", "The web server's error log says more.",
		    "a body of %zu kB: %s", size / 1024, e.text);
		http_response_free(&a);
		return;
	}
	read_answer(&p, &a);
	if (p.is_probe)
		checklist_good(&d->list, "body size", "%zu kB arrive", size / 1024);
	else
		say_too_large(d, size, &a);
	buf_free(&p.headers);
	http_response_free(&a);
}

void
doctor_probe(struct doctor *d)
{
	struct http_response a = { 0 };
	struct http_error e;
	struct probe_answer p;
	char print[FINGERPRINT_SIZE];

	if (send_probe(d, 0, &a, &e)) {
		checklist_bad(&d->list, "probe", "The web server's error log says more.", "%s",
		    e.text);
		http_response_free(&a);
		return;
	}
	read_answer(&p, &a);
	if (p.is_probe) {
		secret_fingerprint(print, d->secret);
		checklist_good(&d->list, "probe",
		    "signed with secret %s, and known to the receiver", print);
		check_headers(d, &p.headers);
		check_large(d);
	} else {
		say_refused(d, &a);
	}
	buf_free(&p.headers);
	http_response_free(&a);
}
