#include "cli/client.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/url.h"
#include "cli/lib/cli.h"
#include "config.h"

struct call {
	CURL *curl;
	struct client_answer *answer;
	bool too_large;
	char error[CURL_ERROR_SIZE];
};

static size_t
on_body(char *data, size_t size, size_t n, void *user)
{
	struct call *call = user;

	n *= size;
	if (n > CLIENT_ANSWER_MAX - call->answer->body.len) {
		call->too_large = true;
		return (CURL_WRITEFUNC_ERROR);
	}
	buf_add(&call->answer->body, data, n);
	return (call->answer->body.failed ? CURL_WRITEFUNC_ERROR : n);
}

/* Keep a header's value, where it is this header. */
static void
keep(char **where, const char *name, const char *line, size_t len)
{
	size_t n = strlen(name);

	if (len <= n || strncasecmp(line, name, n) != 0 || line[n] != ':')
		return;
	for (n++; n < len && (line[n] == ' ' || line[n] == '\t'); n++)
		;
	while (len > n && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' '))
		len--;
	free(*where);
	*where = strndup(line + n, len - n);
}

static size_t
on_header(char *data, size_t size, size_t n, void *user)
{
	struct client_answer *a = ((struct call *)user)->answer;

	n *= size;
	if (a->at == 0)
		a->at = time(NULL);
	keep(&a->server, "Server", data, n);
	keep(&a->date, "Date", data, n);
	return (n);
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

/* Returns the list, or NULL when out of memory. */
static struct curl_slist *
make_headers(const struct client_request *r)
{
	struct curl_slist *headers = NULL;
	struct buf line = { 0 };
	/* Where none of the caller's says a type, curl must not make one up. */
	int failed = append_header(&headers, "Expect:") ||
	    (r->headers == NULL && append_header(&headers, "Content-Type:"));

	for (const struct client_header *h = r->headers; !failed && h && h->name; h++) {
		/* Room for all of it at once: growing would leave a copy of a secret behind. */
		failed = buf_reserve(&line, strlen(h->name) + strlen(h->value) + 4);
		buf_addf(&line, "%s: ", h->name);
		buf_adds(&line, h->value);
		failed = failed || line.failed || append_header(&headers, line.data);
		buf_wipe(&line);
		line = (struct buf){ 0 };
	}
	if (failed) {
		free_headers(headers);
		return (NULL);
	}
	return (headers);
}

static void
set_options(struct call *call, const struct client_request *r, struct curl_slist *headers,
    bool loopback)
{
	const char *authorities = getenv("SSL_CERT_FILE");
	CURL *c = call->curl;

	curl_easy_setopt(c, CURLOPT_URL, r->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, loopback ? "https,http" : "https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_CERTINFO, 1L);
	/* Other versions would write the headers' names in small letters. */
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)r->timeout);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, (long)CLIENT_CONNECT);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "fluidhook/" PACKAGE_VERSION);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE);
	if (loopback)
		curl_easy_setopt(c, CURLOPT_PROXY, "");
	/* A proxy's own Server and Date are not the site's. */
	curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	/* As for curl(1) and OpenSSL's own programs. */
	if (authorities && *authorities) {
		curl_easy_setopt(c, CURLOPT_CAINFO, authorities);
		curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	}
	if (strcmp(r->method, "GET") != 0) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body ? r->body : "");
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
	}
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, call);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, call);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, call->error);
}

static enum client_failure
failure_of(const struct call *call, CURLcode code)
{
	curl_off_t connected = 0;
	long proxy = 0;

	curl_easy_getinfo(call->curl, CURLINFO_HTTP_CONNECTCODE, &proxy);
	if (proxy >= 300 || code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_PROXY)
		return (CLIENT_PROXY);
	switch (code) {
	case CURLE_OK:
		return (CLIENT_OK);
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return (CLIENT_ADDRESS);
	case CURLE_COULDNT_RESOLVE_HOST:
		return (CLIENT_RESOLVE);
	case CURLE_COULDNT_CONNECT:
		return (CLIENT_CONNECTING);
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_ISSUER_ERROR:
		return (CLIENT_TLS);
	case CURLE_OPERATION_TIMEDOUT:
		curl_easy_getinfo(call->curl, CURLINFO_CONNECT_TIME_T, &connected);
		return (connected ? CLIENT_TIMEOUT : CLIENT_CONNECTING);
	default:
		return (CLIENT_ANSWER);
	}
}

static void
explain(const struct call *call, CURLcode code, const struct client_request *r)
{
	struct client_answer *a = call->answer;
	long proxy = 0;

	a->failure = failure_of(call, code);
	curl_easy_getinfo(call->curl, CURLINFO_HTTP_CONNECTCODE, &proxy);
	if (proxy >= 300)
		snprintf(a->error, sizeof(a->error), "the proxy answered %ld", proxy);
	else if (call->too_large)
		snprintf(a->error, sizeof(a->error), "the answer is larger than %d KiB",
		    CLIENT_ANSWER_MAX / 1024);
	else if (a->failure == CLIENT_TIMEOUT)
		snprintf(a->error, sizeof(a->error), "no answer within %u s", r->timeout);
	else if (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR)
		snprintf(a->error, sizeof(a->error), "the connection was closed without an answer");
	else
		snprintf(a->error, sizeof(a->error), "%s",
		    call->error[0] ? call->error : curl_easy_strerror(code));
}

/* A time out of the site's own certificate, which is the first of the chain; 0 where it is unknown. */
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
learn(const struct call *call)
{
	struct client_answer *a = call->answer;
	curl_off_t us = 0;
	char *to = NULL;

	curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &a->status);
	curl_easy_getinfo(call->curl, CURLINFO_TOTAL_TIME_T, &us);
	a->ms = (double)us / 1000;
	if (curl_easy_getinfo(call->curl, CURLINFO_REDIRECT_URL, &to) == CURLE_OK && to)
		a->redirect = strdup(to);
	a->issued = certificate_time(call->curl, "Start date:");
	a->expires = certificate_time(call->curl, "Expire date:");
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

int
client_send(const struct client_request *r, struct client_answer *a)
{
	struct call call = { .answer = a };
	struct curl_slist *headers = NULL;
	enum url_problem problem;
	struct url u;
	CURLcode code = CURLE_OUT_OF_MEMORY;

	*a = (struct client_answer){ 0 };
	if ((problem = url_check(&u, r->url)) != URL_OK) {
		snprintf(a->error, sizeof(a->error), "%s", url_problem_text(problem));
		a->failure = CLIENT_ADDRESS;
		return (-1);
	}
	if ((call.curl = curl_easy_init()) != NULL && (headers = make_headers(r)) != NULL) {
		set_options(&call, r, headers, u.loopback);
		code = perform_without_sigpipe(call.curl);
		learn(&call);
	}
	if (code != CURLE_OK)
		explain(&call, code, r);
	curl_easy_cleanup(call.curl);
	free_headers(headers);
	return (code == CURLE_OK ? 0 : -1);
}

void
client_answer_free(struct client_answer *a)
{
	buf_free(&a->body);
	free(a->server);
	free(a->date);
	free(a->redirect);
	*a = (struct client_answer){ 0 };
}

const char *
client_proxy(void)
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

int
client_check_url(const char *url)
{
	struct url u;
	enum url_problem problem = url_check(&u, url);

	if (problem == URL_OK)
		return (0);
	cli_fail("%s: %s", problem == URL_USER ? "URL" : url, url_problem_text(problem));
	return (-1);
}
