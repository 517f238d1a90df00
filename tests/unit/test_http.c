/* The HTTP client, one request at a time: what is sent, what comes back, what is refused, what may go wrong. */

#include "standin.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "http/client.h"

static const struct http_header headers[] = {
	{ "X-Fluid-Shop", "acme.fluid.app" },
	{ "Content-Type", "text/plain" },
	{ "X-Empty", "" },
	{ NULL, NULL },
};

/* A client, and a URL of the stand-in. */
struct calling {
	struct http_client *client;
	char url[256];
	struct http_request request;
	struct http_response response;
	struct http_error error;
};

static void
calling_begin(struct calling *c, struct world *w, const char *path)
{
	*c = (struct calling){ .client = http_client_new(NULL, &c->error) };
	assert_non_null(c->client);
	snprintf(c->url, sizeof(c->url), "%s%s", w->standin->url, path);
	c->request = (struct http_request){ .method = "GET",
		.url = c->url,
		.bearer = COMPANY_TOKEN,
		.timeout_ms = 20000 };
}

static int
call(struct calling *c)
{
	return (http_client_send(c->client, &c->request, &c->response, &c->error));
}

static void
calling_end(struct calling *c)
{
	http_response_free(&c->response);
	http_client_free(c->client);
}

static void
test_sends_what_is_given_and_nothing_else(void **state)
{
	struct world *w = *state;
	struct calling c;

	calling_begin(&c, w, "/api/x?y=1");
	c.request.method = "POST";
	c.request.headers = headers;
	c.request.body = "12345";
	c.request.body_len = 4;
	CHECK(call(&c) == 0, "%s", c.error.text);
	assert_int_equal(c.response.status, 200);
	assert_true(c.response.ms > 0);
	assert_string_equal(world_calls(w), "POST /api/x?y=1\n");
	assert_string_equal(world_body(w), "1234");
	assert_string_equal(world_header(w, "Authorization"), "Bearer " COMPANY_TOKEN);
	assert_string_equal(world_header(w, "X-Fluid-Shop"), "acme.fluid.app");
	assert_string_equal(world_header(w, "Content-Type"), "text/plain");
	assert_string_equal(world_header(w, "X-Empty"), "");
	assert_null(world_header(w, "Expect"));
	world_reset(state);
	c.request = (struct http_request){ .method = "PUT", .url = c.url, .timeout_ms = 20000 };
	CHECK(call(&c) == 0, "%s", c.error.text);
	assert_string_equal(world_calls(w), "PUT /api/x?y=1\n");
	assert_string_equal(world_header(w, "Content-Length"), "0");
	assert_null(world_header(w, "Content-Type"));
	assert_null(world_header(w, "Authorization"));
	calling_end(&c);
}

static void
test_any_whole_answer_is_an_answer(void **state)
{
	struct world *w = *state;
	struct calling c;
	char value[64], small[4];

	calling_begin(&c, w, "/api/x");
	world_fault(w,
	    "{'status':503,'body':{'a':1},"
	    "'headers':{'Retry-After':'7','X-Two':'one','x-two':'the last'}}");
	assert_int_equal(call(&c), 0);
	assert_int_equal(c.error.failure, HTTP_OK);
	assert_int_equal(c.response.status, 503);
	assert_int_equal(c.response.retry_after, 7);
	assert_string_equal(c.response.body.data, "{\"a\": 1}");
	assert_true(http_response_header(&c.response, "X-TWO", value, sizeof(value)));
	assert_string_equal(value, "the last");
	assert_true(http_response_header(&c.response, "x-two", small, sizeof(small)));
	assert_string_equal(small, "the");
	assert_false(http_response_header(&c.response, "X-Tw", value, sizeof(value)));
	assert_true(http_response_date(&c.response) > 1700000000);
	assert_true(c.response.at >= http_response_date(&c.response));
	world_fault(w, "{'kind':'redirect','location':'/api/other'}");
	assert_int_equal(call(&c), 0);
	assert_int_equal(c.response.status, 302);
	assert_int_equal(c.response.retry_after, 0);
	assert_non_null(strstr(c.response.redirect, "/api/other"));
	assert_string_equal(world_calls(w), "GET /api/x\nGET /api/x\n");
	c.request.method = "HEAD";
	assert_int_equal(call(&c), 0);
	assert_int_equal(c.response.status, 200);
	assert_int_equal(c.response.body.len, 0);
	calling_end(&c);
	assert_int_equal(http_response_date(&(struct http_response){ 0 }), -1);
}

static void
test_refuses_what_must_not_be_sent(void **state)
{
	static const struct http_header broken[] = { { "X-Shop", "a\r\nX-Other: b" },
		{ NULL, NULL } };
	static const struct http_header odd[] = { { "X Shop", "a" }, { NULL, NULL } };
	static const struct http_header nameless[] = { { "", "a" }, { NULL, NULL } };
	const struct {
		struct http_request request;
		enum http_failure want;
	} cases[] = {
		{ { .method = "TRACE" }, HTTP_LOCAL },
		{ { .method = "get" }, HTTP_LOCAL },
		{ { .method = "GET", .headers = broken }, HTTP_LOCAL },
		{ { .method = "GET", .headers = odd }, HTTP_LOCAL },
		{ { .method = "GET", .headers = nameless }, HTTP_LOCAL },
		{ { .method = "GET", .bearer = "a b" }, HTTP_LOCAL },
		{ { .method = "GET", .bearer = "a\n" }, HTTP_LOCAL },
		{ { .method = "GET", .bearer = "" }, HTTP_LOCAL },
		{ { .method = "GET", .url = "ftp://127.0.0.1/" }, HTTP_ADDRESS },
		{ { .method = "GET", .url = "file:///etc/passwd" }, HTTP_ADDRESS },
		{ { .method = "GET", .url = "https://a:secret@127.0.0.1/" }, HTTP_ADDRESS },
		{ { .method = "GET", .url = "http://192.0.2.1/" }, HTTP_ADDRESS },
		{ { .method = "GET",
		      .url = "http://192.0.2.1/",
		      .plain_http = true,
		      .bearer = "x" },
		    HTTP_ADDRESS },
	};
	struct world *w = *state;
	struct calling c;

	calling_begin(&c, w, "/api/x");
	for (size_t i = 0; i < LENGTH(cases); i++) {
		c.request = cases[i].request;
		c.request.timeout_ms = 2000;
		if (c.request.url == NULL)
			c.request.url = c.url;
		CHECK(call(&c) == -1 && c.error.failure == cases[i].want, "%zu: %d %s", i,
		    c.error.failure, c.error.text);
		assert_null(strstr(c.error.text, "secret"));
		assert_false(c.error.sent);
	}
	assert_string_equal(world_calls(w), "");
	calling_end(&c);
}

/* With plain_http, another host is called: here one that nobody answers for (RFC 5737), through a proxy of ours. */
static void
test_plain_http_goes_out_without_credentials(void **state)
{
	struct world *w = *state;
	struct calling c;

	calling_begin(&c, w, "/api/x");
	c.request.bearer = NULL;
	c.request.url = "http://192.0.2.1/hook";
	c.request.plain_http = true;
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	setenv("http_proxy", w->standin->url, 1);
	CHECK(call(&c) == 0, "%s", c.error.text);
	unsetenv("http_proxy");
	assert_string_equal(world_calls(w), "GET http://192.0.2.1/hook\n");
	calling_end(&c);
}

static void
test_says_what_went_wrong(void **state)
{
	static const struct {
		const char *fault;
		enum http_failure want;
		bool sent, timed_out;
		const char *text;
	} cases[] = {
		{ "{'kind':'close'}", HTTP_BROKEN, true, false,
		    "the connection was closed without an answer" },
		{ "{'kind':'reset'}", HTTP_BROKEN, true, false,
		    "the connection broke before the answer was whole" },
		{ "{'kind':'half'}", HTTP_BROKEN, true, false, "the answer is not whole" },
		{ "{'kind':'slow'}", HTTP_TIMEOUT, true, true, "no answer within 2 s" },
		{ "{'kind':'huge'}", HTTP_TOO_LARGE, true, false,
		    "the answer is larger than 64 KiB" },
	};
	struct world *w = *state;
	struct calling c;

	calling_begin(&c, w, "/api/x");
	c.request.answer_max = 64 * 1024;
	c.request.method = "POST";
	for (size_t i = 0; i < LENGTH(cases); i++) {
		/* Only what gets no answer is left to the clock. */
		c.request.timeout_ms = cases[i].timed_out ? 2000 : 60000;
		world_fault(w, cases[i].fault);
		assert_int_equal(call(&c), -1);
		CHECK_TEXT(c.error.text, cases[i].text, cases[i].fault);
		CHECK(c.error.failure == cases[i].want && c.error.sent == cases[i].sent &&
			c.error.timed_out == cases[i].timed_out,
		    "%s", cases[i].fault);
		CHECK(c.response.body.len <= c.request.answer_max, "%s", cases[i].fault);
	}
	c.request.url = "http://127.0.0.1:1/";
	assert_int_equal(call(&c), -1);
	assert_int_equal(c.error.failure, HTTP_CONNECT);
	assert_false(c.error.sent);
	assert_string_equal(c.error.text, "could not connect: Connection refused");
	c.request.url = "https://nowhere.invalid/";
	assert_int_equal(call(&c), -1);
	assert_int_equal(c.error.failure, HTTP_RESOLVE);
	c.request.url = c.url;
	snprintf(c.url, sizeof(c.url), "https%s/", w->standin->url + strlen("http"));
	assert_int_equal(call(&c), -1);
	assert_int_equal(c.error.failure, HTTP_TLS);
	assert_false(c.error.untrusted);
	calling_end(&c);
}

static void
test_bounds_the_head_of_an_answer(void **state)
{
	struct world *w = *state;
	struct buf fault = { 0 };
	struct calling c;

	calling_begin(&c, w, "/api/x");
	buf_adds(&fault, "{'status':200,'headers':{");
	for (int i = 0; i < 5; i++)
		buf_addf(&fault, "%s'X-%d':'%016384d'", i ? "," : "", i, i);
	buf_adds(&fault, "}}");
	world_fault(w, fault.data);
	assert_int_equal(call(&c), -1);
	assert_int_equal(c.error.failure, HTTP_TOO_LARGE);
	assert_string_equal(c.error.text, "the headers of the answer are larger than 64 KiB");
	assert_true(c.response.head.len <= HTTP_HEAD_MAX);
	buf_free(&fault);
	calling_end(&c);
}

static void
test_uses_a_proxy_unless_for_this_machine(void **state)
{
	struct world *w = *state;
	struct calling c;

	calling_begin(&c, w, "/api/x");
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	CHECK(call(&c) == 0, "%s", c.error.text);
	unsetenv("all_proxy");
	world_reset(state);
	setenv("https_proxy", w->standin->url, 1);
	c.request.url = "https://example.invalid/";
	c.request.bearer = "A-token";
	assert_int_equal(call(&c), -1);
	assert_int_equal(c.error.failure, HTTP_PROXY);
	assert_false(c.error.sent);
	assert_string_equal(c.error.text, "the proxy answered 502");
	world_calls(w);
	assert_null(world_header(w, "Authorization"));
	setenv("https_proxy", "http://nowhere.invalid:1", 1);
	assert_int_equal(call(&c), -1);
	assert_int_equal(c.error.failure, HTTP_PROXY);
	unsetenv("https_proxy");
	calling_end(&c);
}

/* Whom a client trusts, and what is said of the certificate. */
static void
test_trusts_the_authorities_that_are_named(void **state)
{
	struct world *w = *state;
	struct standin *s = standin_start("--tls", NULL);
	struct calling c;
	struct http_client *system_client, *other;

	calling_begin(&c, w, "");
	system_client = c.client;
	snprintf(c.url, sizeof(c.url), "%s/api/x", s->url);
	assert_int_equal(call(&c), -1);
	assert_int_equal(c.error.failure, HTTP_TLS);
	assert_true(c.error.untrusted);
	assert_false(c.error.sent);
	assert_non_null(c.client = http_client_new(s->ca_file, &c.error));
	CHECK(call(&c) == 0, "%s", c.error.text);
	assert_int_equal(c.response.expires, 0);
	c.request.certificate = true;
	/* Another thread's, with connections of its own. */
	assert_non_null(other = http_client_another(c.client));
	CHECK(http_client_send(other, &c.request, &c.response, &c.error) == 0, "%s", c.error.text);
	assert_true(c.response.issued > 0 && c.response.expires > c.response.issued);
	http_client_rest(other);
	CHECK(http_client_send(other, &c.request, &c.response, &c.error) == 0, "%s", c.error.text);
	http_client_free(other);
	http_client_free(system_client);
	calling_end(&c);
	standin_stop(s);
}

static void
test_reads_authorities_from_a_file(void **state)
{
	struct world *w = *state;
	struct http_error e;

	assert_null(http_client_new(path_in(w->directory, "missing.pem"), &e));
	assert_non_null(strstr(e.text, "missing.pem: No such file"));
	file_text(w->directory, "empty.pem", "", 0644);
	assert_null(http_client_new(path_in(w->directory, "empty.pem"), &e));
	assert_non_null(strstr(e.text, "no certificates in it"));
	unsetenv("SSL_CERT_FILE");
	assert_null(http_authorities_env());
	setenv("SSL_CERT_FILE", "", 1);
	assert_null(http_authorities_env());
	setenv("SSL_CERT_FILE", "/x.pem", 1);
	assert_string_equal(http_authorities_env(), "/x.pem");
	unsetenv("SSL_CERT_FILE");
}

/*
 * A kept connection that the server has closed: libcurl repeats a request on a new one by itself. A request that must not
 * be sent twice therefore never goes over a kept connection.
 */
static void
test_keeps_connections_for_what_may_be_repeated(void **state)
{
	struct world *w = *state;
	struct calling c;

	calling_begin(&c, w, "/api/x");
	c.request.method = "POST";
	CHECK(call(&c) == 0, "%s", c.error.text);
	world_fault(w, "{'kind':'close'}");
	assert_int_equal(call(&c), -1);
	c.request.repeatable = true;
	world_reset(state);
	CHECK(call(&c) == 0, "%s", c.error.text);
	world_fault(w, "{'kind':'close'}");
	CHECK(call(&c) == 0, "%s", c.error.text);
	assert_string_equal(world_calls(w), "POST /api/x\nPOST /api/x\nPOST /api/x\n");
	calling_end(&c);
}

/* What SIGPIPE does to the process is not changed, and a pending one of the caller's stays. */
static void
test_leaves_signals_alone(void **state)
{
	struct world *w = *state;
	struct sigaction before, after;
	sigset_t pipe, pending, mask;
	struct calling c;

	calling_begin(&c, w, "/api/x");
	sigaction(SIGPIPE, NULL, &before);
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe, NULL);
	raise(SIGPIPE);
	CHECK(call(&c) == 0, "%s", c.error.text);
	sigpending(&pending);
	assert_true(sigismember(&pending, SIGPIPE));
	sigwaitinfo(&pipe, NULL);
	sigprocmask(SIG_UNBLOCK, &pipe, NULL);
	CHECK(call(&c) == 0, "%s", c.error.text);
	sigprocmask(SIG_BLOCK, NULL, &mask);
	assert_false(sigismember(&mask, SIGPIPE));
	sigaction(SIGPIPE, NULL, &after);
	assert_true(before.sa_handler == after.sa_handler);
	calling_end(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_sends_what_is_given_and_nothing_else, world_reset),
		cmocka_unit_test_setup(test_any_whole_answer_is_an_answer, world_reset),
		cmocka_unit_test_setup(test_refuses_what_must_not_be_sent, world_reset),
		cmocka_unit_test_setup(test_plain_http_goes_out_without_credentials, world_reset),
		cmocka_unit_test_setup(test_says_what_went_wrong, world_reset),
		cmocka_unit_test_setup(test_bounds_the_head_of_an_answer, world_reset),
		cmocka_unit_test_setup(test_uses_a_proxy_unless_for_this_machine, world_reset),
		cmocka_unit_test_setup(test_trusts_the_authorities_that_are_named, world_reset),
		cmocka_unit_test_setup(test_reads_authorities_from_a_file, world_reset),
		cmocka_unit_test_setup(test_keeps_connections_for_what_may_be_repeated,
		    world_reset),
		cmocka_unit_test_setup(test_leaves_signals_alone, world_reset),
	};

	return (cmocka_run_group_tests(tests, world_setup, world_teardown));
}
