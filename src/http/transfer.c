#include "http/transfer.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/url.h"
#include "config.h"
#include "http/headers.h"

enum { BODY_FIRST = 16 * 1024 };

static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };

bool
http_method_is_safe(const char *method)
{
	return (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0);
}

/* Add bytes without leaving a copy of what is there already behind, as realloc() would. */
static int
add_wiped(struct buf *b, const char *data, size_t n)
{
	struct buf larger = { 0 };

	if (b->len + n >= b->cap) {
		if (buf_reserve(&larger, b->len + n < BODY_FIRST ? BODY_FIRST : 2 * (b->len + n)))
			return (-1);
		buf_add(&larger, b->data, b->len);
		buf_wipe(b);
		*b = larger;
	}
	buf_add(b, data, n);
	return (0);
}

static size_t
on_body(char *data, size_t size, size_t n, void *user)
{
	struct http_transfer *t = user;

	n *= size;
	t->too_large = n > t->answer_max - t->response->body.len;
	if (t->too_large || add_wiped(&t->response->body, data, n))
		return (CURL_WRITEFUNC_ERROR);
	return (n);
}

/* One line of the head, whole. An interim answer (1xx) has a head of its own. */
static size_t
on_header(char *data, size_t size, size_t n, void *user)
{
	struct http_transfer *t = user;
	struct buf *head = &t->response->head;

	n *= size;
	if (n > 5 && memcmp(data, "HTTP/", 5) == 0) {
		buf_wipe(head);
		t->response->at = clock_wall_s();
	}
	t->head_too_large = n > HTTP_HEAD_MAX - head->len;
	if (t->head_too_large || add_wiped(head, data, n))
		return (CURL_WRITEFUNC_ERROR);
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

/* Whether the request may be made at all. Returns 0, or -1 with the error set. */
static int
check_request(const struct http_request *r, struct url *u, struct http_error *e)
{
	enum url_problem problem = url_parse(u, r->url);
	size_t i = 0;

	while (i < sizeof(methods) / sizeof(methods[0]) && strcmp(methods[i], r->method) != 0)
		i++;
	if (i == sizeof(methods) / sizeof(methods[0]))
		return (http_error_set(e, HTTP_LOCAL,
		    "not a method (GET, HEAD, POST, PUT, PATCH, DELETE)"));
	if (problem == URL_OK && !u->https && !u->loopback && (!r->plain_http || r->bearer))
		problem = URL_INSECURE;
	if (problem != URL_OK)
		return (http_error_set(e, HTTP_ADDRESS, "%s", url_problem_text(problem)));
	return (0);
}

static void
set_limits(const struct http_transfer *t, const struct url *u)
{
	CURL *c = t->curl;

	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, u->https ? "https" : "http");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	/* HTTP/2 gains nothing here, hides whether a request was sent, and changes the case of headers. */
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)t->timeout_ms);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)t->connect_ms);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "fluidhook/" PACKAGE_VERSION);
	curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(c, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	/* A proxy's own headers are not the site's. */
	curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	if (u->loopback)
		curl_easy_setopt(c, CURLOPT_PROXY, "");
}

static void
set_authorities(CURL *c, const struct http_authorities *a)
{
	struct curl_blob blob = { .data = a->pem.data,
		.len = a->pem.len,
		.flags = CURL_BLOB_NOCOPY };

	if (a->file == NULL)
		return;
	curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &blob);
	curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
}

static void
set_request(struct http_transfer *t, const struct http_request *r)
{
	CURL *c = t->curl;

	curl_easy_setopt(c, CURLOPT_URL, r->url);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(c, CURLOPT_CERTINFO, r->certificate ? 1L : 0L);
	if (strcmp(r->method, "HEAD") == 0) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	} else if (strcmp(r->method, "GET") != 0 || r->body) {
		/* Without a body, this sends Content-Length: 0, which some methods need. */
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE,
		    r->body ? (curl_off_t)r->body_len : 0);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body ? r->body : "");
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
	}
	curl_easy_setopt(c, CURLOPT_FRESH_CONNECT,
	    r->repeatable || http_method_is_safe(r->method) ? 0L : 1L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->text);
}

int
http_transfer_begin(struct http_transfer *t, CURL *curl, const struct http_request *r,
    const struct http_authorities *a, struct http_response *response, struct http_error *e)
{
	const uint32_t connect = r->connect_ms ? r->connect_ms : HTTP_CONNECT_MS;
	struct url u;

	*e = (struct http_error){ .failure = HTTP_OK };
	*t = (struct http_transfer){ .curl = curl,
		.response = response,
		.timeout_ms = r->timeout_ms,
		.connect_ms = r->timeout_ms < connect ? r->timeout_ms : connect,
		.answer_max = r->answer_max ? r->answer_max : HTTP_ANSWER_MAX,
		.system_authorities = a->file == NULL };
	if (check_request(r, &u, e) || (t->headers = http_headers_new(r, e)) == NULL)
		return (-1);
	curl_easy_reset(curl);
	set_limits(t, &u);
	set_authorities(curl, a);
	set_request(t, r);
	return (0);
}

static bool
is_tls(CURLcode code)
{
	switch (code) {
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
		return (true);
	default:
		return (false);
	}
}

/* No answer in time. Always returns -1. */
static int
timeout_error(const struct http_transfer *t, struct http_error *e)
{
	curl_off_t connected = 0;
	uint32_t limit = t->response->ms < t->connect_ms * 1.5 ? t->connect_ms : t->timeout_ms;

	e->timed_out = true;
	curl_easy_getinfo(t->curl, CURLINFO_CONNECT_TIME_T, &connected);
	if (connected || e->sent)
		return (http_error_set(e, HTTP_TIMEOUT, "no answer within %g s",
		    (double)t->timeout_ms / 1000));
	return (
	    http_error_set(e, HTTP_CONNECT, "could not connect within %g s", (double)limit / 1000));
}

static int
connect_error(const struct http_transfer *t, struct http_error *e)
{
	long error = 0;
	char why[128];

	curl_easy_getinfo(t->curl, CURLINFO_OS_ERRNO, &error);
	if (error == 0)
		return (http_error_set(e, HTTP_CONNECT, "could not connect"));
	return (http_error_set(e, HTTP_CONNECT, "could not connect: %s",
	    strerror_r((int)error, why, sizeof(why))));
}

/* What came is no whole answer. Always returns -1. */
static int
broken_error(CURLcode code, const char *text, struct http_error *e)
{
	switch (code) {
	case CURLE_GOT_NOTHING:
		return (
		    http_error_set(e, HTTP_BROKEN, "the connection was closed without an answer"));
	case CURLE_RECV_ERROR:
		return (http_error_set(e, HTTP_BROKEN,
		    "the connection broke before the answer was whole"));
	case CURLE_SEND_ERROR:
		return (http_error_set(e, HTTP_BROKEN, "the connection broke while sending"));
	case CURLE_PARTIAL_FILE:
		return (http_error_set(e, HTTP_BROKEN, "the answer is not whole"));
	default:
		return (http_error_set(e, HTTP_BROKEN, "%s", text));
	}
}

/* Why there is no whole answer. Always returns -1. */
static int
explain(const struct http_transfer *t, CURLcode code, struct http_error *e)
{
	const char *text = t->text[0] ? t->text : curl_easy_strerror(code);
	long sent = 0, proxy = 0;

	/* How much was handed to the connection: exact, unlike the code. */
	curl_easy_getinfo(t->curl, CURLINFO_REQUEST_SIZE, &sent);
	curl_easy_getinfo(t->curl, CURLINFO_HTTP_CONNECTCODE, &proxy);
	e->sent = sent > 0;
	if (proxy >= 300) {
		/* Only the proxy got something. */
		e->sent = false;
		return (http_error_set(e, HTTP_PROXY, "the proxy answered %ld", proxy));
	}
	if (t->too_large)
		return (http_error_set(e, HTTP_TOO_LARGE, "the answer is larger than %zu %s",
		    t->answer_max >> (t->answer_max < 1 << 20 ? 10 : 20),
		    t->answer_max < 1 << 20 ? "KiB" : "MiB"));
	if (t->head_too_large)
		return (http_error_set(e, HTTP_TOO_LARGE,
		    "the headers of the answer are larger than %d KiB", HTTP_HEAD_MAX >> 10));
	if (is_tls(code)) {
		/* The caller's own authorities were read before: what cannot be read is the system's. */
		e->no_authorities = code == CURLE_SSL_CACERT_BADFILE && t->system_authorities;
		e->untrusted = code == CURLE_PEER_FAILED_VERIFICATION || e->no_authorities;
		return (http_error_set(e, HTTP_TLS, "%s%s",
		    e->untrusted ? "the certificate is not trusted: " : "", text));
	}
	switch (code) {
	case CURLE_OPERATION_TIMEDOUT:
		return (timeout_error(t, e));
	case CURLE_COULDNT_RESOLVE_PROXY:
		return (http_error_set(e, HTTP_PROXY, "could not resolve the proxy's name"));
	case CURLE_PROXY:
		return (http_error_set(e, HTTP_PROXY, "%s", text));
	case CURLE_COULDNT_RESOLVE_HOST:
		return (http_error_set(e, HTTP_RESOLVE, "could not resolve host"));
	case CURLE_COULDNT_CONNECT:
		return (connect_error(t, e));
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return (http_error_set(e, HTTP_ADDRESS, "%s", text));
	case CURLE_WRITE_ERROR:
	case CURLE_OUT_OF_MEMORY:
		return (http_error_set(e, HTTP_LOCAL, "out of memory"));
	default:
		return (broken_error(code, text, e));
	}
}

/* A time out of the site's own certificate, the first of the chain; 0: unknown. */
static int64_t
certificate_time(CURL *curl, const char *name)
{
	struct curl_certinfo *info = NULL;
	size_t len = strlen(name);
	time_t when;

	if (curl_easy_getinfo(curl, CURLINFO_CERTINFO, &info) || !info || info->num_of_certs < 1)
		return (0);
	for (struct curl_slist *l = info->certinfo[0]; l; l = l->next)
		if (strncmp(l->data, name, len) == 0) {
			when = curl_getdate(l->data + len, NULL);
			return (when == -1 ? 0 : when);
		}
	return (0);
}

static void
fill_response(const struct http_transfer *t)
{
	struct http_response *r = t->response;
	curl_off_t us = 0, wait = 0;
	char *to = NULL;

	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &r->status);
	curl_easy_getinfo(t->curl, CURLINFO_TOTAL_TIME_T, &us);
	r->ms = (double)us / 1000;
	curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &wait);
	if (wait > 0)
		r->retry_after = wait < UINT32_MAX ? (uint32_t)wait : UINT32_MAX;
	if (curl_easy_getinfo(t->curl, CURLINFO_REDIRECT_URL, &to) == CURLE_OK && to)
		r->redirect = strdup(to);
	r->issued = certificate_time(t->curl, "Start date:");
	r->expires = certificate_time(t->curl, "Expire date:");
}

int
http_transfer_end(struct http_transfer *t, CURLcode code, struct http_error *e)
{
	int result = 0;

	fill_response(t);
	if (code != CURLE_OK)
		result = explain(t, code, e);
	curl_easy_reset(t->curl);
	http_headers_free(t->headers);
	t->headers = NULL;
	return (result);
}
