/* Reading a body: how it ends, and how much work its pieces make. */

#include "support.h"

#include <errno.h>

#include "receiver/body.h"

/* delivery_feed() is replaced to count how often it is called, and with how much. */
void __real_delivery_feed(struct delivery *d, const char *data, size_t len);
void __wrap_delivery_feed(struct delivery *d, const char *data, size_t len);

static size_t feeds, fed;

void
__wrap_delivery_feed(struct delivery *d, const char *data, size_t len)
{
	feeds++;
	fed += len;
	__real_delivery_feed(d, data, len);
}

/* A body that arrives in pieces of this size, and then ends, or fails with `error`. */
struct sender {
	const char *data;
	size_t len, at, piece;
	int error;
};

static ssize_t
read_piece(void *source, char *out, size_t size)
{
	struct sender *s = source;
	size_t n = s->len - s->at;

	if (n == 0 && s->error) {
		errno = s->error;
		return (-1);
	}
	n = n < s->piece ? n : s->piece;
	n = n < size ? n : size;
	memcpy(out, s->data + s->at, n);
	s->at += n;
	return ((ssize_t)n);
}

static enum body_result
read_all(struct body *b, struct sender *s, uint64_t length, uint64_t most)
{
	struct request q = { .length = length, .read = read_piece, .source = s };

	return (body_read(b, &q, most));
}

/* Goal: a Content-Length is decimal digits that fit, or absent; anything else is no length. */
static void
test_lengths(void **state)
{
	static const struct {
		const char *text;
		uint64_t length;
	} cases[] = {
		{ NULL, LENGTH_UNKNOWN },
		{ "", LENGTH_UNKNOWN },
		{ "0", 0 },
		{ "007", 7 },
		{ "471", 471 },
		{ "18446744073709551612", LENGTH_MAX - 1 },
		{ "18446744073709551613", LENGTH_MAX },
		{ "18446744073709551614", LENGTH_MAX },
		{ "18446744073709551615", LENGTH_MAX },
		{ "18446744073709551616", LENGTH_MAX },
		{ "99999999999999999999999999", LENGTH_MAX },
		{ "-1", LENGTH_INVALID },
		{ "+1", LENGTH_INVALID },
		{ " 1", LENGTH_INVALID },
		{ "1 ", LENGTH_INVALID },
		{ "0x10", LENGTH_INVALID },
		{ "1e3", LENGTH_INVALID },
		{ "1, 1", LENGTH_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		CHECK(request_length(cases[i].text) == cases[i].length, "\"%s\"",
		    or_none(cases[i].text));
}

/* Goal: a body is whole, truncated or too long by its Content-Length and its read errors. */
static void
test_results(void **state)
{
	static const struct {
		const char *data;
		uint64_t length;
		int error;
		enum body_result result;
	} cases[] = {
		{ "{\"a\":1}", 7, 0, BODY_WHOLE },
		{ "{\"a\":1}", LENGTH_UNKNOWN, 0, BODY_WHOLE },
		{ "", 0, 0, BODY_WHOLE },
		{ "", LENGTH_UNKNOWN, 0, BODY_WHOLE },
		{ "{\"a\":1}", 8, 0, BODY_TRUNCATED },
		{ "", 1, 0, BODY_TRUNCATED },
		{ "{\"a\":1}", 8, EPIPE, BODY_TRUNCATED },
		{ "{\"a\":1}", LENGTH_UNKNOWN, EPIPE, BODY_TRUNCATED },
		{ "{\"a\":1}", 8, ETIMEDOUT, BODY_LATE },
		{ "{\"a\":1}", LENGTH_UNKNOWN, ETIMEDOUT, BODY_LATE },
		{ "{\"a\":1}", 6, 0, BODY_EXCESS },
		{ "{\"a\":1}", 0, 0, BODY_EXCESS },
		{ "{\"a\":1}", LENGTH_INVALID, 0, BODY_EXCESS },
		{ "{\"a\":1234}", 10, 0, BODY_WHOLE },
		{ "{\"a\":12345}", 11, 0, BODY_TOO_LARGE },
		{ "{\"a\":12345}", LENGTH_UNKNOWN, 0, BODY_TOO_LARGE },
		{ "", LENGTH_MAX, 0, BODY_TOO_LARGE },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		for (size_t piece = 1; piece < 16; piece++) {
			struct sender s = { .data = cases[i].data,
				.len = strlen(cases[i].data),
				.piece = piece,
				.error = cases[i].error };
			struct body b;

			CHECK(read_all(&b, &s, cases[i].length, 10) == cases[i].result, "case %zu",
			    i);
			body_free(&b);
		}
}

/* A long string that trickles in costs no more feeds than one that arrives in large pieces. */
static void
test_feeds(void **state)
{
	static char text[600 * 1000];
	const size_t pieces[] = { 60, 1, 4096, 65537, sizeof(text) };

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "{\"a\":\"", 6);
	memcpy(text + sizeof(text) - 2, "\"}", 2);
	for (size_t i = 0; i < LENGTH(pieces); i++)
		for (int known = 0; known < 2; known++) {
			struct sender s = { .data = text, .len = sizeof(text), .piece = pieces[i] };
			struct body b;

			feeds = fed = 0;
			assert_int_equal(read_all(&b, &s, known ? sizeof(text) : LENGTH_UNKNOWN,
					     1 << 20),
			    BODY_WHOLE);
			assert_true(delivery_is_well_formed(b.delivery));
			assert_int_equal(fed, sizeof(text));
			assert_memory_equal(b.bytes.data, text, sizeof(text));
			CHECK(feeds <= sizeof(text) / 65536 + 1, "%zu feeds of pieces of %zu",
			    feeds, pieces[i]);
			body_free(&b);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_feeds),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
