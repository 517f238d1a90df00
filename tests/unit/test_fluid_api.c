/* How calls to Fluid are made: repeating, bounds, TLS, redirects, proxies, what is never shown. */

#include "standin.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char path[] = "/api/company/v1/orders?page=2";

static int
get(struct world *w, struct fluid_api *t)
{
	struct http_response a = { 0 };
	int result = fluid_api_call_path(t, "GET", path, &w->token, NULL, 0, &a, &w->error);

	http_response_free(&a);
	return (result);
}

static size_t
count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return (n);
}

/* Goal: a call sends method, path, token and body, and gives the answer back. */
static void
test_api_call(void **state)
{
	static const char *const bodied[] = { "POST", "PUT", "PATCH", "DELETE" };
	struct world *w = *state;
	struct http_response a = { 0 };
	char want[64];

	CHECK(fluid_api_call_path(w->t, "GET", path, &w->token, NULL, 0, &a, &w->error) == 0, "%s",
	    w->error.text);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.body.data, "\"path\": \"/api/company/v1/orders\""));
	assert_string_equal(world_calls(w), "GET /api/company/v1/orders?page=2\n");
	assert_null(world_header(w, "Content-Type"));
	assert_string_equal(world_header(w, "Accept"), "application/json");
	for (size_t i = 0; i < LENGTH(bodied); i++) {
		world_reset(state);
		CHECK(fluid_api_call_path(w->t, bodied[i], "/api/x", &w->token, "{\"a\":1}", 7, &a,
			  &w->error) == 0,
		    "%s", w->error.text);
		snprintf(want, sizeof(want), "%s /api/x\n", bodied[i]);
		assert_string_equal(world_calls(w), want);
		assert_string_equal(world_body(w), "{\"a\":1}");
		assert_string_equal(world_header(w, "Content-Type"), "application/json");
		world_reset(state);
		CHECK(fluid_api_call_path(w->t, bodied[i], "/api/x", &w->token, NULL, 0, &a,
			  &w->error) == 0,
		    "%s", w->error.text);
		world_calls(w);
		assert_null(world_header(w, "Content-Type"));
		assert_string_equal(world_header(w, "Content-Length"), "0");
	}
	CHECK(fluid_api_call_path(w->t, "HEAD", "/api/x", &w->token, NULL, 0, &a, &w->error) == 0,
	    "%s", w->error.text);
	assert_int_equal(a.body.len, 0);
	http_response_free(&a);
}

/* Goal: a call with an impossible method or path is refused before it is sent. */
static void
test_api_call_refuses_nonsense(void **state)
{
	struct world *w = *state;
	struct http_response a = { 0 };

	assert_int_equal(fluid_api_call_path(w->t, "GET", "//evil.example/", &w->token, NULL, 0, &a,
			     &w->error),
	    -1);
	assert_int_equal(w->error.failure, FLUID_LOCAL);
	assert_int_equal(fluid_api_call_path(w->t, "TRACE", "/api/x", &w->token, NULL, 0, &a,
			     &w->error),
	    -1);
	assert_int_equal(w->error.failure, FLUID_LOCAL);
	assert_int_equal(fluid_api_call_path(w->t, "get", "/api/x", &w->token, NULL, 0, &a,
			     &w->error),
	    -1);
	assert_string_equal(world_calls(w), "");
}

/* The body of an error is there for whoever wants to print it. */
static void
test_error_body_is_kept(void **state)
{
	struct world *w = *state;
	struct http_response a = { 0 };

	world_fault(w, "{'shape':'422_object'}");
	assert_int_equal(fluid_api_call_path(w->t, "GET", path, &w->token, NULL, 0, &a, &w->error),
	    -1);
	assert_int_equal(a.status, 422);
	assert_non_null(strstr(a.body.data, "must be https"));
	http_response_free(&a);
}

/* Reading is tried again when it can help, and only then. */
static void
test_what_is_repeated(void **state)
{
	static const struct {
		const char *fault;
		size_t calls;
		bool works;
	} cases[] = {
		{ "{'times':2,'shape':'503_empty'}", 3, true },
		{ "{'times':2,'kind':'reset'}", 3, true },
		{ "{'times':1,'kind':'half'}", 2, true },
		{ "{'times':1,'kind':'close'}", 2, true },
		{ "{'times':1,'shape':'429_empty'}", 2, true },
		{ "{'times':9,'shape':'500_html'}", 3, false },
		{ "{'times':9,'shape':'422_object'}", 1, false },
		{ "{'times':9,'shape':'401_message'}", 1, false },
		{ "{'times':9,'kind':'slow'}", 1, false },
		{ "{'times':9,'kind':'huge'}", 1, false },
		{ "{'times':9,'kind':'redirect','location':'/api/x'}", 1, false },
	};
	struct world *w = *state;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		world_reset(state);
		/* No connection of an earlier call: curl itself repeats a GET on one that died. */
		fluid_api_free(w->t);
		w->t = api_to(w, w->standin->url,
		    strstr(cases[i].fault, "'slow'") ? "timeout = 2" : "timeout = 60");
		world_fault(w, cases[i].fault);
		CHECK((get(w, w->t) == 0) == cases[i].works, "%s: %s", cases[i].fault,
		    w->error.text);
		CHECK(count_lines(world_calls(w)) == cases[i].calls, "%s: %s", cases[i].fault,
		    world_calls(w));
	}
}

/* Goal: Retry-After is read as seconds, within a bound. */
static void
test_retry_after(void **state)
{
	struct world *w = *state;
	struct timespec begun, done;
	long ms;

	world_fault(w, "{'status':429,'headers':{'Retry-After':'100'}}");
	assert_int_equal(get(w, w->t), -1);
	assert_int_equal(w->error.retry_after, 100);
	assert_string_equal(w->error.text,
	    "fluid: 429: too many requests; Fluid asks to wait 100 s");
	assert_int_equal(count_lines(world_calls(w)), 1);
	world_reset(state);
	world_fault(w, "{'status':503,'headers':{'Retry-After':'1'}}");
	clock_gettime(CLOCK_MONOTONIC, &begun);
	assert_int_equal(get(w, w->t), 0);
	clock_gettime(CLOCK_MONOTONIC, &done);
	ms = (done.tv_sec - begun.tv_sec) * 1000 + (done.tv_nsec - begun.tv_nsec) / 1000000;
	assert_true(ms >= 1000);
}

/* Goal: a server that does not answer in time is a failure that says so. */
static void
test_timeout(void **state)
{
	struct world *w = *state;
	char want[128];

	world_fault(w, "{'kind':'slow'}");
	assert_int_equal(get(w, w->hasty), -1);
	assert_int_equal(w->error.failure, FLUID_NO_ANSWER);
	snprintf(want, sizeof(want), "fluid: %s: no answer within 2 s", w->standin->url);
	assert_string_equal(w->error.text, want);
}

/* Goal: a refused connection is a failure that says so. */
static void
test_nobody_listens(void **state)
{
	struct world *w = *state;
	struct fluid_api *t = api_to(w, "http://127.0.0.1:1", "timeout = 2");
	struct http_response a = { 0 };

	assert_int_equal(fluid_api_call_path(t, "POST", "/api/x", &w->token, "{}", 2, &a,
			     &w->error),
	    -1);
	assert_int_equal(w->error.failure, FLUID_NOT_SENT);
	assert_string_equal(w->error.text,
	    "fluid: http://127.0.0.1:1: could not connect: Connection refused");
	fluid_api_free(t);
}

/* A server that quotes the token does not bring it into the error. */
static void
test_token_is_not_quoted(void **state)
{
	struct world *w = *state;

	world_fault(w, "{'status':401,'body':{'message':'unknown token " COMPANY_TOKEN "!'}}");
	assert_int_equal(get(w, w->t), -1);
	CHECK(strstr(w->error.text, COMPANY_TOKEN) == NULL, "%s", w->error.text);
	CHECK(strstr(w->error.text, "unknown token ****") != NULL, "%s", w->error.text);
}

/* How many requests a stand-in had that is not the world's. */
static size_t
requests_of(struct fluid_api *t)
{
	struct http_response a = { 0 };
	struct fluid_error e;
	struct json_node *root;
	size_t n = 0;

	CHECK(fluid_api_call_path(t, "GET", "/_standin/requests", NULL, NULL, 0, &a, &e) == 0, "%s",
	    e.text);
	root = json_tree_read(a.body.data, a.body.len);
	for (const struct json_node *r = json_tree_get(root, "requests")->child; r; r = r->next)
		n++;
	json_tree_free(root);
	http_response_free(&a);
	return (n);
}

/* Goal: a redirect is not followed, so that the token goes nowhere else. */
static void
test_redirects_are_not_followed(void **state)
{
	struct world *w = *state;
	struct standin *other = standin_start(NULL, NULL);
	struct fluid_api *t = api_to(w, other->url, "");
	char fault[256], want[256];

	snprintf(fault, sizeof(fault), "{'kind':'redirect','location':'%s/api/stolen'}",
	    other->url);
	world_fault(w, fault);
	assert_int_equal(get(w, w->t), -1);
	snprintf(want, sizeof(want), "fluid: 302: redirected to %s, which is not followed",
	    other->url);
	CHECK(strncmp(w->error.text, want, strlen(want)) == 0, "%s", w->error.text);
	assert_int_equal(requests_of(t), 0);
	fluid_api_free(t);
	standin_stop(other);
}

/* Goal: a certificate of a known authority is accepted, another one is not. */
static void
test_tls(void **state)
{
	struct world *w = *state;
	struct standin *s = standin_start("--tls", NULL);
	struct fluid_api *trusting, *other;
	struct http_response a = { 0 };
	char more[512];

	snprintf(more, sizeof(more), "ca_file = %s", s->ca_file);
	trusting = api_to(w, s->url, more);
	other = api_to(w, s->url, "");
	CHECK(get(w, trusting) == 0, "%s", w->error.text);
	assert_int_equal(requests_of(trusting), 1);
	assert_int_equal(fluid_api_call_path(other, "POST", "/api/x", &w->token, "{}", 2, &a,
			     &w->error),
	    -1);
	assert_int_equal(w->error.failure, FLUID_NOT_SENT);
	CHECK(strstr(w->error.text, ": the certificate is not trusted: ") != NULL &&
		strstr(w->error.text, "`ca_file`") != NULL,
	    "%s", w->error.text);
	assert_int_equal(requests_of(trusting), 1);
	fluid_api_free(trusting);
	fluid_api_free(other);
	standin_stop(s);
}

/* Goal: a certificate of another host is refused. */
static void
test_tls_of_another_host(void **state)
{
	struct world *w = *state;
	struct standin *s = standin_start("--tls", NULL), *other;
	struct fluid_api *t;
	char more[512];

	/* The right certificate of another authority, then the wrong name. */
	other = standin_start("--tls", NULL);
	snprintf(more, sizeof(more), "ca_file = %s", other->ca_file);
	t = api_to(w, s->url, more);
	assert_int_equal(get(w, t), -1);
	assert_int_equal(w->error.failure, FLUID_NOT_SENT);
	CHECK(strstr(w->error.text, other->ca_file) != NULL, "%s", w->error.text);
	fluid_api_free(t);
	standin_stop(s);
	standin_stop(other);
	other = standin_start("--tls", "--name=DNS:other.example");
	snprintf(more, sizeof(more), "ca_file = %s", other->ca_file);
	t = api_to(w, other->url, more);
	assert_int_equal(get(w, t), -1);
	assert_int_equal(w->error.failure, FLUID_NOT_SENT);
	CHECK(strstr(w->error.text, "not trusted") != NULL, "%s", w->error.text);
	fluid_api_free(t);
	standin_stop(other);
}

/* Goal: a ca_file that cannot be used is an error that names it. */
static void
test_ca_file_must_be_good(void **state)
{
	struct world *w = *state;
	struct conf conf = { .api = (char *)"https://localhost:1", .timeout = 1 };

	conf.ca_file = (char *)path_in(w->directory, "missing.pem");
	assert_null(fluid_api_new(&conf, &w->error));
	CHECK(strstr(w->error.text, "missing.pem: No such file") != NULL, "%s", w->error.text);
	file_text(w->directory, "empty.pem", "", 0644);
	conf.ca_file = (char *)path_in(w->directory, "empty.pem");
	assert_null(fluid_api_new(&conf, &w->error));
	CHECK(strstr(w->error.text, "no certificates") != NULL, "%s", w->error.text);
}

/* A proxy of the environment gets neither what is for this machine, nor the token of anything. */
static void
test_proxies(void **state)
{
	struct world *w = *state;
	struct fluid_api *far = api_to(w, "https://api.example.invalid", "timeout = 2");
	struct http_response a = { 0 };

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	setenv("all_proxy", "http://127.0.0.1:1", 1);
	CHECK(get(w, w->t) == 0, "%s", w->error.text);
	unsetenv("http_proxy");
	unsetenv("all_proxy");
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	world_reset(state);
	setenv("https_proxy", w->standin->url, 1);
	assert_int_equal(fluid_api_call_path(far, "DELETE", "/api/x", &w->token, NULL, 0, &a,
			     &w->error),
	    -1);
	unsetenv("https_proxy");
	assert_string_equal(w->error.text,
	    "fluid: https://api.example.invalid: the proxy answered 502");
	assert_int_equal(w->error.failure, FLUID_NOT_SENT);
	CHECK(strncmp(world_calls(w), "CONNECT api.example.invalid:443\n", 32) == 0, "%s",
	    world_calls(w));
	assert_null(world_header(w, "Authorization"));
	http_response_free(&a);
	fluid_api_free(far);
}

/* What a hook of the worker would inherit: no connection. */
static void
test_connections_are_not_inherited(void **state)
{
	struct world *w = *state;
	struct sockaddr_storage peer;
	struct dirent *entry;
	DIR *fds;
	int connections = 0;

	assert_int_equal(get(w, w->t), 0);
	assert_non_null(fds = opendir("/proc/self/fd"));
	while ((entry = readdir(fds)) != NULL) {
		int fd = atoi(entry->d_name);
		socklen_t len = sizeof(peer);

		/* What we were started with ourselves may be a connection too. */
		if (fd <= STDERR_FILENO || getpeername(fd, (struct sockaddr *)&peer, &len) ||
		    peer.ss_family != AF_INET)
			continue;
		connections++;
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	}
	closedir(fds);
	assert_true(connections > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_api_call, world_reset),
		cmocka_unit_test_setup(test_api_call_refuses_nonsense, world_reset),
		cmocka_unit_test_setup(test_error_body_is_kept, world_reset),
		cmocka_unit_test_setup(test_what_is_repeated, world_reset),
		cmocka_unit_test_setup(test_retry_after, world_reset),
		cmocka_unit_test_setup(test_timeout, world_reset),
		cmocka_unit_test_setup(test_nobody_listens, world_reset),
		cmocka_unit_test_setup(test_token_is_not_quoted, world_reset),
		cmocka_unit_test_setup(test_redirects_are_not_followed, world_reset),
		cmocka_unit_test_setup(test_tls, world_reset),
		cmocka_unit_test_setup(test_tls_of_another_host, world_reset),
		cmocka_unit_test_setup(test_ca_file_must_be_good, world_reset),
		cmocka_unit_test_setup(test_proxies, world_reset),
		cmocka_unit_test_setup(test_connections_are_not_inherited, world_reset),
	};

	return (cmocka_run_group_tests(tests, world_setup, world_teardown));
}
