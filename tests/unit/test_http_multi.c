/* Many HTTP requests at once in one thread, driven by poll(2). */

#include "standin.h"

#include <poll.h>
#include <unistd.h>

#include "http/multi.h"

enum { MANY = 40, WAIT_MS = 60000 };

struct multi_world {
	struct world *w;
	struct http_multi *m;
	char url[256];
};

static void
begin(struct multi_world *mw, struct world *w)
{
	struct http_error e;

	mw->w = w;
	mw->m = http_multi_new(NULL, &e);
	CHECK(mw->m != NULL, "%s", e.text);
	snprintf(mw->url, sizeof(mw->url), "%s/api/x", w->standin->url);
}

static void
start(struct multi_world *mw, const char *url, uint32_t timeout_ms, void *user)
{
	const struct http_request r = { .method = "POST",
		.url = url,
		.bearer = COMPANY_TOKEN,
		.body = "{}",
		.body_len = 2,
		.timeout_ms = timeout_ms,
		.repeatable = true };
	struct http_error e;

	CHECK(http_multi_start(mw->m, &r, user, &e) == 0, "%s", e.text);
}

/* Wait for the end of a request, as a loop does: only the descriptor says when there is something to do. */
static void
wait_next(struct multi_world *mw, struct http_result *out)
{
	struct pollfd fd = { .fd = http_multi_fd(mw->m), .events = POLLIN };

	while (!http_multi_next(mw->m, out)) {
		CHECK(poll(&fd, 1, WAIT_MS) == 1, "nothing to do, and %zu not ended",
		    http_multi_count(mw->m));
		http_multi_run(mw->m);
	}
}

/* The stand-in answers the first after all others: they are open at the same time. */
static void
test_requests_do_not_wait_for_each_other(void **state)
{
	struct multi_world mw;
	struct http_result r;
	int users[MANY] = { 0 };

	begin(&mw, *state);
	world_fault(mw.w, "{'kind':'slow','path':'/api/x/0','seconds':3600}");
	for (size_t i = 0; i < MANY; i++) {
		char url[300];

		snprintf(url, sizeof(url), "%s/%zu", mw.url, i);
		start(&mw, url, 3600 * 1000, &users[i]);
	}
	assert_int_equal(http_multi_count(mw.m), MANY);
	for (size_t i = 1; i < MANY; i++) {
		wait_next(&mw, &r);
		assert_int_equal(r.error.failure, HTTP_OK);
		assert_int_equal(r.response.status, 200);
		assert_true(r.user != &users[0]);
		(*(int *)r.user)++;
		http_response_free(&r.response);
	}
	for (size_t i = 1; i < MANY; i++)
		assert_int_equal(users[i], 1);
	assert_int_equal(http_multi_count(mw.m), 1);
	assert_true(http_multi_cancel(mw.m, &users[0]));
	assert_false(http_multi_cancel(mw.m, &users[0]));
	assert_int_equal(http_multi_count(mw.m), 0);
	http_multi_free(mw.m);
}

static void
test_failures_are_told_apart(void **state)
{
	struct multi_world mw;
	struct http_result r;
	enum http_failure got[3] = { HTTP_OK };

	begin(&mw, *state);
	world_fault(mw.w, "{'kind':'slow','path':'/api/x/slow'}");
	world_fault(mw.w, "{'kind':'close','path':'/api/x/close'}");
	{
		char slow[300], closing[300];

		snprintf(slow, sizeof(slow), "%s/slow", mw.url);
		snprintf(closing, sizeof(closing), "%s/close", mw.url);
		start(&mw, slow, 300, &got[0]);
		start(&mw, closing, 20000, &got[1]);
		start(&mw, "http://127.0.0.1:1/", 20000, &got[2]);
	}
	for (int i = 0; i < 3; i++) {
		wait_next(&mw, &r);
		*(enum http_failure *)r.user = r.error.failure;
		assert_int_equal(r.error.sent, r.user != &got[2]);
		http_response_free(&r.response);
	}
	assert_int_equal(got[0], HTTP_TIMEOUT);
	assert_int_equal(got[1], HTTP_BROKEN);
	assert_int_equal(got[2], HTTP_CONNECT);
	http_multi_free(mw.m);
}

/* Our port of the connection that a request came over. */
static const char *
peer_of(const struct json_node *request)
{
	return (json_tree_text(json_tree_get(request, "peer")));
}

/* One connection serves requests that come one after the other. */
static void
test_connections_are_kept(void **state)
{
	struct multi_world mw;
	struct http_result r;
	const char *first;
	int user;

	begin(&mw, *state);
	for (int i = 0; i < 5; i++) {
		start(&mw, mw.url, 20000, &user);
		wait_next(&mw, &r);
		assert_int_equal(r.response.status, 200);
		http_response_free(&r.response);
	}
	world_calls(mw.w);
	first = peer_of(json_tree_get(mw.w->requests, "requests")->child);
	for (const struct json_node *n = json_tree_get(mw.w->requests, "requests")->child; n;
	     n = n->next)
		assert_string_equal(peer_of(n), first);
	http_multi_free(mw.m);
}

static void
test_what_is_no_request_is_refused_at_once(void **state)
{
	struct multi_world mw;
	struct http_error e;
	struct http_result r;
	const struct http_request request = { .method = "POST",
		.url = "http://192.0.2.1/",
		.timeout_ms = 1000 };

	begin(&mw, *state);
	assert_int_equal(http_multi_start(mw.m, &request, NULL, &e), -1);
	assert_int_equal(e.failure, HTTP_ADDRESS);
	assert_int_equal(http_multi_count(mw.m), 0);
	assert_false(http_multi_next(mw.m, &r));
	http_multi_free(mw.m);
	assert_null(http_multi_new(path_in(mw.w->directory, "missing.pem"), &e));
	assert_non_null(strstr(e.text, "missing.pem"));
}

/* The end of the program, or of a target, in the middle of requests. */
static void
test_can_end_at_any_time(void **state)
{
	struct multi_world mw;
	struct pollfd fd;
	int users[3];

	begin(&mw, *state);
	fd = (struct pollfd){ .fd = http_multi_fd(mw.m), .events = POLLIN };
	start(&mw, mw.url, 20000, &users[0]);
	start(&mw, mw.url, 20000, &users[1]);
	/* Until both have ended, though nobody asks for them. */
	while (poll(&fd, 1, 500) == 1)
		http_multi_run(mw.m);
	assert_int_equal(http_multi_count(mw.m), 2);
	assert_true(http_multi_cancel(mw.m, &users[1]));
	assert_int_equal(http_multi_count(mw.m), 1);
	start(&mw, mw.url, 20000, &users[2]);
	http_multi_run(mw.m);
	http_multi_free(mw.m);
	http_multi_free(NULL);
}

/* Goal: requests side by side use TLS, with the certificate checked. */
static void
test_speaks_tls(void **state)
{
	struct standin *s = standin_start("--tls", NULL);
	struct multi_world mw = { .w = *state };
	struct http_result r;
	struct http_error e;
	int user;

	assert_non_null(mw.m = http_multi_new(s->ca_file, &e));
	snprintf(mw.url, sizeof(mw.url), "%s/api/x", s->url);
	for (int i = 0; i < 2; i++) {
		start(&mw, mw.url, 20000, &user);
		wait_next(&mw, &r);
		CHECK(r.error.failure == HTTP_OK && r.response.status == 200, "%s", r.error.text);
		http_response_free(&r.response);
	}
	http_multi_free(mw.m);
	standin_stop(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_requests_do_not_wait_for_each_other, world_reset),
		cmocka_unit_test_setup(test_failures_are_told_apart, world_reset),
		cmocka_unit_test_setup(test_connections_are_kept, world_reset),
		cmocka_unit_test_setup(test_what_is_no_request_is_refused_at_once, world_reset),
		cmocka_unit_test_setup(test_can_end_at_any_time, world_reset),
		cmocka_unit_test_setup(test_speaks_tls, world_reset),
	};

	return (cmocka_run_group_tests(tests, world_setup, world_teardown));
}
