/* The receiver's answers (contract section 3), and their log lines. */
#include "support.h"

#include <string.h>

#include "base/log.h"
#include "receiver/answer.h"

static const struct answer_subject nothing,
    all = {
	    .event = "order.created",
	    .installation = "dri_1",
	    .delivery = "01a20b65-a0fa-785e-857d-7b308f502641",
    };

static void
check_answer(struct answer answer, const struct answer_subject *about, const char *status,
    const char *header, const char *body)
{
	struct buf out = { 0 }, want = { 0 };

	buf_addf(&want,
	    "Status: %s\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n%s"
	    "Content-Length: %zu\r\n\r\n",
	    status, header, strlen(body));
	answer_format(&answer, about, true, &out);
	assert_string_equal(out.data, want.data);
	buf_reset(&out);
	buf_adds(&want, body);
	answer_format(&answer, about, false, &out);
	assert_string_equal(out.data, want.data);
	buf_free(&out);
	buf_free(&want);
}

/* Goal: every kind of answer has its status, its headers and one line of JSON; HEAD has no body. */
static void
test_answers(void **state)
{
	(void)state;
	check_answer(answer_accepted(false), &all, "200 OK", "",
	    "{\"status\":\"accepted\",\"event\":\"order.created\","
	    "\"delivery\":\"01a20b65-a0fa-785e-857d-7b308f502641\",\"installation\":\"dri_1\"}\n");
	check_answer(answer_accepted(true), &nothing, "202 Accepted", "",
	    "{\"status\":\"pending\",\"event\":null,\"delivery\":null,\"installation\":null}\n");
	check_answer(answer_status(200, "ok"), &nothing, "200 OK", "", "{\"status\":\"ok\"}\n");
	check_answer(answer_error(400, "malformed", "excess"), &all, "400 Bad Request", "",
	    "{\"error\":\"malformed\"}\n");
	check_answer(answer_error(405, "method_not_allowed", "method"), &nothing,
	    "405 Method Not Allowed", "Allow: GET, HEAD, POST, PUT\r\n",
	    "{\"error\":\"method_not_allowed\"}\n");
	check_answer(answer_incomplete("company"), &nothing, "422 Unprocessable Content", "",
	    "{\"error\":\"incomplete\",\"field\":\"company\"}\n");
	check_answer(answer_unavailable("late"), &nothing, "503 Service Unavailable",
	    "Retry-After: 30\r\n", "{\"error\":\"unavailable\"}\n");
}

/* Goal: the probe names Fluid's headers alone, as they are written, and never a value. */
static void
test_probe(void **state)
{
	char shop[] = "HTTP_X_FLUID_SHOP=secret", token[] = "HTTP_AUTH_TOKEN=secret";
	char other[] = "HTTP_COOKIE=secret", near[] = "HTTP_AUTH_TOKEN_2=secret";
	char odd[] = "HTTP_X_FLUID_A\"B=secret";
	char *params[] = { shop, token, other, near, odd, NULL };

	(void)state;
	check_answer(answer_probe(params), &all, "200 OK", "",
	    "{\"status\":\"probe\",\"headers\":[\"X-Fluid-Shop\",\"AUTH_TOKEN\","
	    "\"X-Fluid-A\\\"b\"]}\n");
}

/* Goal: an answer that there was no memory for is a 503. */
static void
test_no_memory(void **state)
{
	struct buf out = { .failed = true };
	size_t len;
	const char *text = answer_text(&out, &len);

	(void)state;
	assert_int_equal(len, strlen(text));
	assert_memory_equal(text, "Status: 503 ", strlen("Status: 503 "));
	assert_non_null(strstr(text, "\r\n\r\n{\"error\":\"unavailable\"}\n"));
}

/* Goal: the log line has a dash for what is not known, the time with three decimals, and warns of a 503. */
static void
test_log(void **state)
{
	const struct answer accepted = answer_accepted(false), late = answer_unavailable("late");
	char *directory = directory_make();
	struct buf text = { 0 };

	(void)state;
	stderr_capture(directory, "log");
	log_open("test", LOG_TO_STDERR, NULL, LOG_LEVEL_INFO);
	answer_log(&accepted, &all, "r1", 1002003);
	answer_log(&late, &nothing, NULL, 7);
	stderr_restore();
	file_read(directory, "log", &text);
	assert_non_null(strstr(text.data,
	    "level=info msg=answer status=200 event=order.created installation=dri_1 "
	    "delivery=01a20b65-a0fa-785e-857d-7b308f502641 ms=1002.003 request=r1\n"));
	assert_non_null(strstr(text.data,
	    "level=warn msg=answer status=503 event=- installation=- delivery=- ms=0.007 "
	    "reason=late\n"));
	buf_free(&text);
	directory_remove(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_log),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
