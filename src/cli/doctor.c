#include "cli/doctor.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/url.h"
#include "cli/commands.h"
#include "cli/lib/secret_arg.h"
#include "cli/lib/secret_file.h"
#include "cli/lib/signed.h"
#include "cli/lib/url_arg.h"

enum {
	LIFE_LEAST = 10, /* a certificate is renewed before the last tenth of its life */
	SKEW_MOST = 30,  /* seconds; of the 300 that a signature may be old */
	SLOW_MS = 5000,  /* of the 15 s that Fluid waits */
	ADDRESSES_SHOWN = 4,
};

/* What an error of the TLS library is about. It says so in words only. */
static const struct {
	const char *part, *hint;
} tls_faults[] = {
	{ "expired", "Renew the certificate." },
	{ "not yet valid", "Set the clock right, here or where the certificate was made." },
	{ "subject name", "The certificate has to be made for the name in the URL." },
	{ "self-signed",
	    "Use a certificate of an authority that everybody trusts, such as Let's "
	    "Encrypt." },
	{ "self signed",
	    "Use a certificate of an authority that everybody trusts, such as Let's "
	    "Encrypt." },
	{ "error setting certificate",
	    "Install your system's certificate authorities (Debian: ca-certificates), "
	    "or correct $SSL_CERT_FILE." },
	{ "unable to get local issuer",
	    "Serve the whole chain (nginx: ssl_certificate fullchain.pem), and use a "
	    "certificate of a\npublic authority. `ca_file` does not count here: Fluid does not have it." },
	{ "issuer", "Serve the whole chain (nginx: ssl_certificate fullchain.pem)." },
	{ "", "Look at it: openssl s_client -connect HOST:443 -servername HOST" },
};

static const struct {
	long from, to;
	const char *hint;
} ways_out[] = {
	{ 200, 299, "Something else answers here: the URL has to lead to fluidhook.fcgi." },
	{ 300, 399, "Fluid does not follow redirects: use the address that it leads to." },
	{ 401, 401,
	    "The web server wants a password here, which Fluid does not have: take it away." },
	{ 403, 403,
	    "The web server lets nobody in here: look at its allow, deny or Require lines." },
	{ 404, 404,
	    "The web server knows no such path: mount the receiver at the path of the URL\n"
	    "(nginx: include fluidhook.conf in this site's server block)." },
	{ 405, 405, "Something else answers here: the URL has to lead to fluidhook.fcgi." },
	{ 429, 429, "The web server limits requests: take the limit away for this path." },
	{ 500, 500,
	    "The web server's error log says why. With mod_fcgid, larger bodies need\n"
	    "FcgidMaxRequestLen 2097152 in the server's configuration." },
	{ 502, 504,
	    "The web server does not reach the receiver: is it running, and may the web server\n"
	    "open its socket? Its error log says more." },
	{ 0, 999, "The web server's error log says more." },
};

const char *
doctor_hint(long status)
{
	size_t i = 0;

	while (status < ways_out[i].from || status > ways_out[i].to)
		i++;
	return (ways_out[i].hint);
}

int
doctor_send(struct doctor *d, const struct http_request *r, struct http_response *a,
    struct http_error *e)
{
	struct http_request request = *r;
	int result;

	request.url = d->url;
	request.timeout_ms = SIGNED_BUSINESS_MS;
	request.connect_ms = SIGNED_CONNECT_MS;
	request.answer_max = SIGNED_ANSWER_MAX;
	/* A probe is not stored, so a second one does no harm. */
	request.repeatable = true;
	request.certificate = true;
	result = http_client_send(d->http, &request, a, e);
	http_response_header(a, "Server", d->server, sizeof(d->server));
	if (a->ms > d->slowest)
		d->slowest = a->ms;
	return (result);
}

/* Whether only this machine, or only a private network, knows such an address (RFC 1918, RFC 4193). */
static bool
is_private(const struct sockaddr *sa)
{
	uint32_t v4;
	const unsigned char *v6;

	if (sa->sa_family == AF_INET) {
		v4 = ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr);
		return (v4 >> 24 == 127 || v4 >> 24 == 10 || v4 >> 20 == 0xac1 ||
		    v4 >> 16 == 0xc0a8 || v4 >> 16 == 0xa9fe);
	}
	v6 = ((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr.s6_addr;
	return (IN6_IS_ADDR_LOOPBACK((const struct in6_addr *)(const void *)v6) ||
	    (v6[0] & 0xfe) == 0xfc || (v6[0] == 0xfe && (v6[1] & 0xc0) == 0x80));
}

/* Returns 0, or -1 where the name leads nowhere. */
static int
check_name(struct doctor *d, const struct url *u)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG };
	struct addrinfo *found = NULL;
	struct buf list = { 0 };
	char host[URL_HOST_SIZE];
	char text[INET6_ADDRSTRLEN];
	unsigned n = 0;
	bool all_private = true;
	int error;

	/* The brackets around an IPv6 address are the URL's. */
	snprintf(host, sizeof(host), "%.*s", (int)strcspn(u->host + (*u->host == '['), "]"),
	    u->host + (*u->host == '['));
	if ((error = getaddrinfo(host, NULL, &hints, &found)) != 0) {
		checklist_bad(&d->list, "name",
		    error == EAI_AGAIN ? "No name server answers here: try "
					 "again, or look at /etc/resolv.conf." :
					 "Create an A or AAAA record for it, or correct the URL.",
		    "%s: %s", host, gai_strerror(error));
		return (-1);
	}
	for (struct addrinfo *a = found; a; a = a->ai_next) {
		all_private = all_private && is_private(a->ai_addr);
		if (n++ < ADDRESSES_SHOWN &&
		    getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), NULL, 0,
			NI_NUMERICHOST) == 0)
			buf_addf(&list, "%s%s", list.len ? ", " : "", text);
	}
	checklist_good(&d->list, "name", "%s is %s%s", host, list.len ? list.data : "known",
	    all_private ? " (private: Fluid needs a public address)" : "");
	buf_free(&list);
	freeaddrinfo(found);
	return (0);
}

static void
check_certificate(struct doctor *d, const char *host, const struct http_response *a)
{
	int64_t left = a->expires - time(NULL), life = a->expires - a->issued, days = left / 86400;

	if (strncasecmp(d->url, "http:", 5) == 0)
		checklist_good(&d->list, "tls", "none, on this machine only: Fluid wants https");
	else if (a->expires == 0)
		checklist_good(&d->list, "tls", "the certificate is good for %s", host);
	else if (a->issued && left < life / LIFE_LEAST)
		checklist_bad(&d->list, "tls",
		    "Renew the certificate: Fluid delivers to no site without "
		    "a good one.",
		    "the certificate is good for %" PRId64 " more hours only", left / 3600);
	else
		checklist_good(&d->list, "tls",
		    "the certificate is good for %s, %" PRId64 " more days", host, days);
}

/* The variable that names the proxy in use for https; NULL: there is none. */
static const char *
proxy_variable(void)
{
	/* Those that libcurl looks at, in its order. */
	static const char *const names[] = { "https_proxy", "HTTPS_PROXY", "all_proxy",
		"ALL_PROXY" };
	const char *value = getenv("no_proxy");

	if (value && strcmp(value, "*") == 0)
		return (NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if ((value = getenv(names[i])) != NULL && *value)
			return (names[i]);
	return (NULL);
}

/* There was no answer: which part of the way is it? */
static void
say_no_answer(struct doctor *d, unsigned port, const struct http_error *e)
{
	const char *proxy = strncasecmp(d->url, "http:", 5) ? proxy_variable() : NULL;
	char hint[160];
	size_t i = 0;

	switch (e->failure == HTTP_CONNECT && proxy ? HTTP_PROXY : e->failure) {
	case HTTP_PROXY:
		snprintf(hint, sizeof(hint),
		    "Look at $%s, which names a proxy, or go without it: "
		    "no_proxy='*' fluidhook doctor ...",
		    proxy ? proxy : "https_proxy");
		checklist_bad(&d->list, "proxy", hint, "%s", e->text);
		break;
	case HTTP_TLS:
		while (strstr(e->text, tls_faults[i].part) == NULL)
			i++;
		checklist_bad(&d->list, "tls", tls_faults[i].hint, "%s", e->text);
		break;
	case HTTP_RESOLVE:
	case HTTP_CONNECT:
		snprintf(hint, sizeof(hint),
		    "Does the web server run, and does the firewall let "
		    "port %u in?",
		    port);
		checklist_bad(&d->list, "connection", hint, "%s", e->text);
		break;
	default:
		checklist_bad(&d->list, "routing", "The web server's error log says more.", "%s",
		    e->text);
	}
}

static bool
says(const struct http_response *a, const char *text)
{
	return (a->body.data && strstr(a->body.data, text) != NULL);
}

/* Who answers to a GET: our receiver says how it feels. Returns 0, or -1 where it is not ours. */
static int
check_routing(struct doctor *d, const struct http_response *a)
{
	bool ok = a->status == 200 && says(a, "\"status\":\"ok\"");

	if (!ok && !(a->status == 503 && says(a, "\"status\":\"unavailable\""))) {
		checklist_bad(&d->list, "routing", doctor_hint(a->status),
		    "answered %ld%s%s%s, and that is not the receiver", a->status,
		    a->redirect ? " to " : "", a->redirect ? a->redirect : "",
		    a->status < 300 ? " to a GET" : "");
		return (-1);
	}
	checklist_good(&d->list, "routing", "the receiver answers%s%s",
	    *d->server ? " behind " : "", d->server);
	if (ok)
		checklist_good(&d->list, "health", "deliveries can be stored");
	else
		checklist_bad(&d->list, "health",
		    "\"fluidhook check\" on the server says why; so does the "
		    "receiver's log.",
		    "the receiver cannot store deliveries now");
	return (0);
}

static void
check_clock(struct doctor *d, const struct http_response *a)
{
	int64_t there = http_response_date(a);
	long long skew = (long long)there - (long long)a->at;

	if (there == -1)
		checklist_good(&d->list, "clock", "not compared: the web server sends no Date");
	else if (skew > SKEW_MOST || skew < -SKEW_MOST)
		checklist_bad(&d->list, "clock",
		    "Set both clocks by NTP (timedatectl set-ntp true): a "
		    "signature is good for 300 s.",
		    "the web server's clock is %lld s %s of this one", skew < 0 ? -skew : skew,
		    skew < 0 ? "behind" : "ahead");
	else
		checklist_good(&d->list, "clock", "the web server's is %lld s off this one",
		    skew < 0 ? -skew : skew);
}

static void
check_time(struct doctor *d)
{
	if (d->slowest > SLOW_MS)
		checklist_bad(&d->list, "time",
		    "Fluid gives up after 15 s: look for what is slow on the "
		    "way.",
		    "%.1f s for the slowest answer", d->slowest / 1000);
	else
		checklist_good(&d->list, "time", "%.0f ms for the slowest answer; Fluid waits 15 s",
		    d->slowest);
}

/* The authorities that Fluid trusts, too: the system's, or those of $SSL_CERT_FILE. Returns 0, or -1. */
static int
open_client(struct doctor *d)
{
	struct http_error e;

	if ((d->http = http_client_new(http_authorities_env(), &e)) != NULL)
		return (0);
	checklist_bad(&d->list, "tls", "Correct $SSL_CERT_FILE, or unset it.", "%s", e.text);
	return (-1);
}

static void
examine(struct doctor *d)
{
	struct http_response health = { 0 };
	struct http_error e;
	struct url u;

	/* It was checked before. */
	if (url_parse(&u, d->url) != URL_OK || check_name(d, &u) || open_client(d))
		return;
	if (doctor_send(d, &(struct http_request){ .method = "GET" }, &health, &e)) {
		say_no_answer(d, u.port, &e);
	} else {
		check_certificate(d, u.host, &health);
		if (check_routing(d, &health) == 0) {
			doctor_probe(d);
			check_clock(d, &health);
			check_time(d);
		}
	}
	http_response_free(&health);
	http_client_free(d->http);
}

struct doctor_options {
	const char *droplet;
};

static const struct cli_option doctor_options[] = {
	CLI_VALUE(struct doctor_options, droplet, "droplet", '\0'),
	CLI_END,
};

static int
check(const struct cli *c)
{
	return (url_arg_check(c->argv[0]) ? CLI_USAGE : CLI_DONE);
}

int
doctor(const struct conf *conf, const struct conf_droplet *droplet, const char *url, bool json)
{
	struct doctor d = { .url = url, .conf = conf, .list.json = json };

	if ((d.secret = secret_newest(droplet)) == NULL)
		return (CLI_FAILED);
	examine(&d);
	secret_free(d.secret);
	return (checklist_status(&d.list));
}

static int
run(struct cli *c)
{
	const struct doctor_options *o = c->options;
	const struct conf_droplet *droplet = secret_droplet(c->conf, o->droplet);

	return (droplet ? doctor(c->conf, droplet, c->argv[0], c->json) : CLI_USAGE);
}

const struct command doctor_command = {
	.name = "doctor",
	.args = "URL [--droplet NAME] [--json]",
	.summary = "Go the way from the internet to the receiver, and say what is wrong on it",
	.help =
	    "Looks up the name, checks the certificate, asks for the receiver's health and posts probes\n"
	    "signed with the droplet's newest secret, which the receiver does not store. The certificate\n"
	    "must be good for the system's authorities, as it must be for Fluid; `ca_file` does not\n"
	    "count, $SSL_CERT_FILE names others. One line a step, and the hint below what is wrong.\n"
	    "Run it from outside, too, where the name may lead elsewhere; it needs a configuration with\n"
	    "the same secret there.\n"
	    "\n"
	    "      --droplet NAME  of [droplet NAME], where there are several\n"
	    "      --json          one JSON object a line\n"
	    "\n"
	    "Exit status: 0 all is well, 1 something is wrong. Example:\n"
	    "\n"
	    "  fluidhook doctor https://hooks.example.com/webhook\n",
	.flags = COMMAND_CONF | COMMAND_JSON,
	.least = 1,
	.most = 1,
	.options = doctor_options,
	.options_size = sizeof(struct doctor_options),
	.check = check,
	.run = run,
};
