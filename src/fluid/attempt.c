#include "fluid/attempt.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "config.h"

/* The longest wait for a connection in seconds, and the least room for an answer in bytes. */
enum { CONNECT_TIMEOUT = 10, BODY_FIRST = 16 * 1024 };

/* Make room without leaving a copy of what is there already behind, as realloc() would. */
static int
reserve_wiped(struct buf *b, size_t more)
{
	struct buf larger = { 0 };

	if (b->len + more < b->cap)
		return (0);
	if (buf_reserve(&larger, b->len + more < BODY_FIRST ? BODY_FIRST : 2 * (b->len + more)))
		return (-1);
	buf_add(&larger, b->data, b->len);
	buf_wipe(b);
	*b = larger;
	return (0);
}

static size_t
on_body(char *data, size_t size, size_t n, void *user)
{
	struct attempt *at = user;
	struct buf *body = &at->answer->body;

	n *= size;
	if (n > FLUID_ANSWER_MAX - body->len) {
		at->too_large = true;
		return (CURL_WRITEFUNC_ERROR);
	}
	if (reserve_wiped(body, n))
		return (CURL_WRITEFUNC_ERROR);
	buf_add(body, data, n);
	return (n);
}

/* Hooks and other children must not inherit a connection. */
static curl_socket_t
open_socket(void *user, curlsocktype purpose, struct curl_sockaddr *a)
{
	(void)user;
	(void)purpose;
	return (socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol));
}

static int
append_header(struct curl_slist **headers, const char *line)
{
	struct curl_slist *more = curl_slist_append(*headers, line);

	if (more == NULL)
		return (-1);
	*headers = more;
	return (0);
}

static void
free_headers(struct curl_slist *headers)
{
	for (struct curl_slist *h = headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(headers);
}

/* The token goes into a header and nowhere else. Returns NULL when out of memory. */
static struct curl_slist *
make_headers(const struct fluid_request *r)
{
	struct curl_slist *headers = NULL;
	struct buf line = { 0 };

	if (append_header(&headers, "Accept: application/json") ||
	    append_header(&headers, "Expect:"))
		goto err;
	/* Where there is no body, curl must not make up a type for it. */
	if (append_header(&headers, r->body ? "Content-Type: application/json" : "Content-Type:"))
		goto err;
	if (r->token) {
		/* Room for all of it at once: growing would leave a copy behind. */
		buf_reserve(&line, FLUID_TOKEN_MAX + 64);
		buf_adds(&line, "Authorization: Bearer ");
		buf_adds(&line, r->token->value);
		if (line.failed || append_header(&headers, line.data))
			goto err;
	}
	buf_wipe(&line);
	return (headers);

err:
	buf_wipe(&line);
	free_headers(headers);
	return (NULL);
}

bool
attempt_is_safe(const char *method)
{
	return (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0);
}

/* What does not depend on the request. */
static void
set_limits(struct fluid_api *t, bool loopback)
{
	CURL *c = t->curl;

	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, loopback ? "https,http" : "https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	/* One request at a time gains nothing from HTTP/2, and whether it was sent is plain. */
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, t->timeout_ms);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS,
	    t->timeout_ms < CONNECT_TIMEOUT * 1000 ? t->timeout_ms : CONNECT_TIMEOUT * 1000L);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "fluidhook/" PACKAGE_VERSION);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(c, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	/* Proxies as the environment says, but never between us and this machine. */
	if (loopback)
		curl_easy_setopt(c, CURLOPT_PROXY, "");
	if (t->ca.len) {
		struct curl_blob blob = { .data = t->ca.data,
			.len = t->ca.len,
			.flags = CURL_BLOB_NOCOPY };

		curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
		curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	}
}

static void
set_request(struct fluid_api *t, const struct fluid_request *r, struct curl_slist *headers,
    struct attempt *at)
{
	CURL *c = t->curl;

	curl_easy_setopt(c, CURLOPT_URL, r->url);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	if (strcmp(r->method, "HEAD") == 0) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	} else if (strcmp(r->method, "GET") != 0 || r->body) {
		/* Without a body, Content-Length: 0 is said for the methods that want one. */
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body ? r->body : "");
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
	}
	/*
	 * curl repeats a request by itself when a kept connection dies without an answer. For what
	 * may not be repeated, a fresh connection rules that out.
	 */
	curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, attempt_is_safe(r->method) ? 0L : 1L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, at);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, at->error);
}

/* A short text for what the network did, or NULL where curl's own is good enough. */
static const char *
network_reason(CURLcode code)
{
	static const struct {
		CURLcode code;
		const char *text;
	} texts[] = {
		{ CURLE_COULDNT_RESOLVE_HOST, "could not resolve host" },
		{ CURLE_COULDNT_RESOLVE_PROXY, "could not resolve the proxy's name" },
		{ CURLE_COULDNT_CONNECT, "could not connect" },
		{ CURLE_GOT_NOTHING, "the connection was closed without an answer" },
		{ CURLE_RECV_ERROR, "the connection broke before the answer was whole" },
		{ CURLE_SEND_ERROR, "the connection broke while sending" },
		{ CURLE_PARTIAL_FILE, "the answer is not whole" },
		{ CURLE_OUT_OF_MEMORY, "out of memory" },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (texts[i].code == code)
			return (texts[i].text);
	return (NULL);
}

/* Why there is no whole answer. Always returns -1. */
static int
network_error(struct fluid_api *t, struct attempt *at, CURLcode code, struct fluid_error *e)
{
	const char *text = network_reason(code);
	/* Without ca_file, a bad file is the system's: curl looks for it where it was built to. */
	bool no_authorities = code == CURLE_SSL_CACERT_BADFILE && !t->ca_file;
	bool untrusted = code == CURLE_PEER_FAILED_VERIFICATION || no_authorities;
	long sent = 0, proxy = 0;

	/* The bytes of requests that were handed to the connection: exact, unlike the code. */
	curl_easy_getinfo(t->curl, CURLINFO_REQUEST_SIZE, &sent);
	curl_easy_getinfo(t->curl, CURLINFO_HTTP_CONNECTCODE, &proxy);
	if (proxy >= 300)
		return (fluid_error_set(e, FLUID_NOT_SENT, "%s: the proxy answered %ld", at->origin,
		    proxy));
	e->failure = sent ? FLUID_NO_ANSWER : FLUID_NOT_SENT;
	at->final = at->too_large || code == CURLE_OPERATION_TIMEDOUT || untrusted;
	if (at->too_large)
		return (fluid_error_set(e, e->failure, "%s: the answer is larger than %d MiB",
		    at->origin, FLUID_ANSWER_MAX >> 20));
	if (code == CURLE_OPERATION_TIMEDOUT)
		return (fluid_error_set(e, e->failure, "%s: %s within %g s", at->origin,
		    sent ? "no answer" : "could not connect", (double)t->timeout_ms / 1000));
	if (untrusted) {
		fluid_error_set(e, e->failure, "%s: the certificate is not trusted: %s", at->origin,
		    at->error[0] ? at->error : curl_easy_strerror(code));
		if (t->ca_file)
			fluid_error_hint(e, "only what is in %s is trusted", t->ca_file);
		else if (no_authorities)
			fluid_error_hint(e,
			    "install your system's certificate authorities (Debian: "
			    "ca-certificates), or `ca_file` under [fluid] can name others to trust");
		else
			fluid_error_hint(e, "`ca_file` under [fluid] can name others to trust");
		return (-1);
	}
	if (text == NULL)
		text = at->error[0] ? at->error : curl_easy_strerror(code);
	return (fluid_error_set(e, e->failure, "%s: %s", at->origin, text));
}

/* The error for an answer that is whole, but not 2xx. Always returns -1. */
static int
answer_error(struct fluid_api *t, const struct fluid_request *r, const struct attempt *at,
    struct fluid_error *e)
{
	const struct buf *body = &at->answer->body;
	char redirect[URL_ORIGIN_SIZE], *to = NULL;
	curl_off_t wait = 0;
	struct fluid_error_context ctx = {
		.token_source = r->token ? r->token->source : NULL,
		.secrets = { r->token ? r->token->value : NULL, r->secret },
	};

	curl_easy_getinfo(t->curl, CURLINFO_REDIRECT_URL, &to);
	if (to) {
		url_origin(redirect, to);
		ctx.redirect = redirect;
	}
	curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &wait);
	if (wait > 0)
		ctx.retry_after = wait < UINT32_MAX ? (uint32_t)wait : UINT32_MAX;
	return (fluid_error_answer(e, at->answer->status, body->data, body->len, &ctx));
}

/* OpenSSL writes without MSG_NOSIGNAL: a peer that is gone must not end the process. */
static CURLcode
perform_without_sigpipe(CURL *curl)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
	CURLcode code;

	sigaction(SIGPIPE, &ignore, &before);
	code = curl_easy_perform(curl);
	sigaction(SIGPIPE, &before, NULL);
	return (code);
}

static void
log_attempt(struct fluid_api *t, const struct fluid_request *r, const struct attempt *at)
{
	char status[24] = "none", ms[32];
	curl_off_t us = 0;

	curl_easy_getinfo(t->curl, CURLINFO_TOTAL_TIME_T, &us);
	snprintf(ms, sizeof(ms), "%.1f", (double)us / 1000);
	if (at->answer->status)
		snprintf(status, sizeof(status), "%ld", at->answer->status);
	log_line(LOG_LEVEL_DEBUG, "fluid called", "method", r->method, "at", at->origin, "status",
	    status, "ms", ms, NULL);
}

int
attempt_make(struct fluid_api *t, const struct fluid_request *r, struct attempt *at, bool loopback,
    struct fluid_error *e)
{
	struct curl_slist *headers = make_headers(r);
	long *status = &at->answer->status;
	CURLcode code;
	int result;

	if (headers == NULL)
		return (fluid_error_set(e, FLUID_LOCAL, "out of memory"));
	url_origin(at->origin, r->url);
	curl_easy_reset(t->curl);
	set_limits(t, loopback);
	set_request(t, r, headers, at);
	code = perform_without_sigpipe(t->curl);
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, status);
	e->status = *status;
	log_attempt(t, r, at);
	if (code != CURLE_OK)
		result = network_error(t, at, code, e);
	else if (*status < 200 || *status > 299)
		result = answer_error(t, r, at, e);
	else
		result = 0;
	/* Nothing of this call stays with the handle. */
	curl_easy_reset(t->curl);
	free_headers(headers);
	return (result);
}
