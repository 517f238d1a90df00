/* Numbers out of text. No extra link flags. */
#include "support.h"

#include <errno.h>

#include "base/number.h"

enum { UNTOUCHED = 4711 };

static const struct {
	const char *text;
	uint64_t least, most;
	int error; /* 0: a number */
	uint64_t value;
} decimals[] = {
	{ "0", 0, 9, 0, 0 },
	{ "9", 0, 9, 0, 9 },
	{ "10", 0, 9, ERANGE, 0 },
	{ "0", 1, 9, ERANGE, 0 },
	{ "007", 1, 9, 0, 7 },
	{ "18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX },
	{ "18446744073709551616", 0, UINT64_MAX, ERANGE, 0 },
	{ "99999999999999999999999999", 0, UINT64_MAX, ERANGE, 0 },
	{ "99999999999999999999999999x", 0, UINT64_MAX, EINVAL, 0 },
	{ "", 0, 9, EINVAL, 0 },
	{ " 1", 0, 9, EINVAL, 0 },
	{ "1 ", 0, 9, EINVAL, 0 },
	{ "+1", 0, 9, EINVAL, 0 },
	{ "-1", 0, UINT64_MAX, EINVAL, 0 },
	{ "1.0", 0, 9, EINVAL, 0 },
	{ "1e1", 0, 99, EINVAL, 0 },
	{ "0x1", 0, 99, EINVAL, 0 },
	{ "1\xb2", 0, 99, EINVAL, 0 },
};

/* Goal: exactly decimal digits within the bounds are a number; a number out of bounds says so. */
static void
test_decimals(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(decimals); i++) {
		uint64_t n = UNTOUCHED;
		int result;

		errno = 0;
		result = number_parse(decimals[i].text, decimals[i].least, decimals[i].most, &n);
		CHECK(result == (decimals[i].error ? -1 : 0), "\"%s\"", decimals[i].text);
		CHECK(errno == decimals[i].error, "\"%s\": errno", decimals[i].text);
		CHECK(n == (decimals[i].error ? UNTOUCHED : decimals[i].value), "\"%s\": value",
		    decimals[i].text);
	}
}

/* Goal: only the given bytes count, and a NUL among them is no digit. */
static void
test_length(void **state)
{
	uint64_t n;

	(void)state;
	assert_int_equal(number_parse_len("123x", 3, 0, 999, &n), 0);
	assert_int_equal(n, 123);
	assert_int_equal(number_parse_len("1\0002", 3, 0, 999, &n), -1);
	assert_int_equal(number_parse_len("1", 0, 0, 999, &n), -1);
}

/* Goal: an octal number has a bound, and digits that are octal. */
static void
test_octal(void **state)
{
	uint64_t n = UNTOUCHED;

	(void)state;
	assert_int_equal(number_parse_octal("0660", 0777, &n), 0);
	assert_int_equal(n, 0660);
	assert_int_equal(number_parse_octal("1000", 0777, &n), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(number_parse_octal("0680", 0777, &n), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(n, 0660);
}

static const struct {
	const char *text;
	int error;
	int64_t value;
} integers[] = {
	{ "0", 0, 0 },
	{ "-0", 0, 0 },
	{ "-12", 0, -12 },
	{ "9223372036854775807", 0, INT64_MAX },
	{ "9223372036854775808", ERANGE, 0 },
	{ "-9223372036854775808", 0, INT64_MIN },
	{ "-9223372036854775809", ERANGE, 0 },
	{ "-", EINVAL, 0 },
	{ "--1", EINVAL, 0 },
	{ "+1", EINVAL, 0 },
	{ "1.5", EINVAL, 0 },
	{ "1e3", EINVAL, 0 },
	{ "", EINVAL, 0 },
};

/* Goal: JSON's integers, up to the ends of their range; a number with a fraction is not cut short. */
static void
test_integers(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(integers); i++) {
		int64_t n = UNTOUCHED;
		int result;

		errno = 0;
		result = number_parse_int(integers[i].text, strlen(integers[i].text), &n);
		CHECK(result == (integers[i].error ? -1 : 0), "\"%s\"", integers[i].text);
		CHECK(errno == integers[i].error, "\"%s\": errno", integers[i].text);
		CHECK(n == (integers[i].error ? UNTOUCHED : integers[i].value), "\"%s\": value",
		    integers[i].text);
	}
}

static const struct {
	const char *text;
	int error;
	uint64_t value;
} sizes[] = {
	{ "0", 0, 0 },
	{ "1048576", 0, 1048576 },
	{ "512K", 0, 524288 },
	{ "1M", 0, 1048576 },
	{ "2g", 0, UINT64_C(2) << 30 },
	{ "8589934591G", 0, UINT64_C(8589934591) << 30 },
	{ "8589934592G", ERANGE, 0 },
	{ "9223372036854775807", 0, INT64_MAX },
	{ "9223372036854775808", ERANGE, 0 },
	{ "K", EINVAL, 0 },
	{ "1KB", EINVAL, 0 },
	{ "1T", EINVAL, 0 },
	{ "1 M", EINVAL, 0 },
	{ "-1M", EINVAL, 0 },
	{ "", EINVAL, 0 },
};

/* Goal: a size is digits with K, M or G, and fits. */
static void
test_sizes(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(sizes); i++) {
		uint64_t n = UNTOUCHED;
		int result;

		errno = 0;
		result = number_parse_size(sizes[i].text, &n);
		CHECK(result == (sizes[i].error ? -1 : 0), "\"%s\"", sizes[i].text);
		CHECK(errno == sizes[i].error, "\"%s\": errno", sizes[i].text);
		CHECK(n == (sizes[i].error ? UNTOUCHED : sizes[i].value), "\"%s\": value",
		    sizes[i].text);
	}
}

static const struct {
	const char *text;
	int error;
	int64_t value;
} spans[] = {
	{ "0s", 0, 0 },
	{ "30s", 0, 30 },
	{ "5m", 0, 300 },
	{ "12h", 0, 43200 },
	{ "90d", 0, 7776000 },
	{ "2w", 0, 1209600 },
	{ "999999999w", 0, INT64_C(999999999) * 604800 },
	{ "1000000000s", ERANGE, 0 },
	{ "30", EINVAL, 0 },
	{ "d", EINVAL, 0 },
	{ "", EINVAL, 0 },
	{ "1y", EINVAL, 0 },
	{ "-1d", EINVAL, 0 },
	{ "1dd", EINVAL, 0 },
	{ "1.5d", EINVAL, 0 },
};

/* Goal: a span of time is digits with a unit, and fits. */
static void
test_spans(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(spans); i++) {
		int64_t n = UNTOUCHED;
		int result;

		errno = 0;
		result = number_parse_span(spans[i].text, &n);
		CHECK(result == (spans[i].error ? -1 : 0), "\"%s\"", spans[i].text);
		CHECK(errno == spans[i].error, "\"%s\": errno", spans[i].text);
		CHECK(n == (spans[i].error ? UNTOUCHED : spans[i].value), "\"%s\": value",
		    spans[i].text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decimals),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_octal),
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_spans),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
