/* How much of a FastCGI request has arrived. */

#include "support.h"

#include "receiver/arrival.h"

enum { BEGIN = 1, ABORT = 2, PARAMS = 4, STDIN = 5, GET_VALUES = 9 };

static void
add_record(struct buf *out, int type, int id, const void *data, size_t len, size_t padding)
{
	const unsigned char header[] = { 1, (unsigned char)type, (unsigned char)(id >> 8),
		(unsigned char)id, (unsigned char)(len >> 8), (unsigned char)len,
		(unsigned char)padding, 0 };

	buf_add(out, header, sizeof(header));
	buf_add(out, data, len);
	while (padding--)
		buf_addc(out, '\0');
}

static void
add_begin(struct buf *out, int id, int role)
{
	const unsigned char body[8] = { 0, (unsigned char)role };

	add_record(out, BEGIN, id, body, sizeof(body), 0);
}

static void
add_request(struct buf *out, int id)
{
	add_begin(out, id, 1);
	add_record(out, PARAMS, id, "\3\1abc1", 6, 2);
	add_record(out, PARAMS, id, "\1\3cabc", 6, 255);
	add_record(out, PARAMS, id, "", 0, 0);
	add_record(out, STDIN, id, "{\"a\":", 5, 3);
	add_record(out, STDIN, id, "1}", 2, 0);
	add_record(out, STDIN, id, "", 0, 5);
}

/* Goal: it is whole with its last byte, and not before, however the bytes come. */
static void
test_every_cut(void **state)
{
	struct buf data = { 0 };

	(void)state;
	add_request(&data, 0x1234);
	for (size_t at = 0; at < data.len; at++) {
		struct arrival a = { .stage = ARRIVAL_BEGIN };

		CHECK(arrival_scan(&a, data.data, at) == ARRIVED_PART, "after %zu bytes", at);
		CHECK(a.id == (at < 16 ? 0 : 0x1234), "id after %zu bytes", at);
		CHECK(arrival_scan(&a, data.data, data.len) == ARRIVED_WHOLE, "from %zu bytes on",
		    at);
		assert_int_equal(a.at, data.len);
		assert_int_equal(a.params, 12);
		assert_int_equal(a.body, 7);
		assert_false(a.aside);
	}
	buf_free(&data);
}

/* Goal: the next request on the connection is not part of this one. */
static void
test_next_request(void **state)
{
	struct buf data = { 0 };
	struct arrival a = { .stage = ARRIVAL_BEGIN };
	size_t one;

	(void)state;
	add_request(&data, 1);
	one = data.len;
	add_request(&data, 1);
	assert_int_equal(arrival_scan(&a, data.data, data.len), ARRIVED_WHOLE);
	assert_int_equal(a.at, one);
	buf_free(&data);
}

/* Goal: records of other requests and of the server itself are passed over, and known. */
static void
test_aside(void **state)
{
	struct buf data = { 0 };
	struct arrival a = { .stage = ARRIVAL_BEGIN };

	(void)state;
	add_record(&data, STDIN, 1, "", 0, 0);
	add_record(&data, GET_VALUES, 0, "", 0, 0);
	add_begin(&data, 2, 1);
	add_begin(&data, 3, 1);
	add_record(&data, PARAMS, 3, "", 0, 0);
	add_record(&data, STDIN, 3, "", 0, 0);
	assert_int_equal(arrival_scan(&a, data.data, data.len), ARRIVED_PART);
	assert_true(a.aside);
	assert_int_equal(a.id, 2);
	add_record(&data, PARAMS, 2, "", 0, 0);
	add_record(&data, STDIN, 2, "", 0, 0);
	assert_int_equal(arrival_scan(&a, data.data, data.len), ARRIVED_WHOLE);
	buf_free(&data);
}

/* Goal: what is no request, or was aborted, is not waited for. */
static void
test_broken(void **state)
{
	static char large[65535];

	(void)state;
	for (int i = 0; i < 8; i++) {
		struct arrival a = { .stage = ARRIVAL_BEGIN };
		struct buf data = { 0 };

		if (i == 0)
			buf_adds(&data, "GET / HTTP/1.0\r\n\r\n");
		else if (i == 1)
			add_begin(&data, 0, 1);
		else if (i == 2)
			add_begin(&data, 1, 2);
		else
			add_begin(&data, 1, 1);
		if (i == 3)
			add_record(&data, ABORT, 1, "", 0, 0);
		if (i == 4)
			add_record(&data, STDIN, 1, "", 0, 0);
		if (i == 5)
			add_record(&data, 99, 1, "", 0, 0);
		if (i == 6) {
			add_record(&data, PARAMS, 1, "", 0, 0);
			add_record(&data, PARAMS, 1, "", 0, 0);
		}
		for (int n = 0; i == 7 && n < 5; n++)
			add_record(&data, PARAMS, 1, large, sizeof(large), 0);
		CHECK(arrival_scan(&a, data.data, data.len) == ARRIVED_BROKEN, "case %d", i);
		buf_free(&data);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_next_request),
		cmocka_unit_test(test_aside),
		cmocka_unit_test(test_broken),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
