/* Times as text and back (RFC 3339). No extra link flags. */
#include "support.h"

#include <errno.h>

#include "base/timefmt.h"

/* Goal: seconds, microseconds and days are written in UTC, with four digits for any year. */
static void
test_format(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text, *day;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00Z", "1970-01-01" },
		{ 1795422650, "2026-11-23T08:30:50Z", "2026-11-23" },
		{ 951782399, "2000-02-28T23:59:59Z", "2000-02-28" },
		{ 951782400, "2000-02-29T00:00:00Z", "2000-02-29" },
		{ 4294967296, "2106-02-07T06:28:16Z", "2106-02-07" },
		{ -1, "1969-12-31T23:59:59Z", "1969-12-31" },
		{ INT64_MAX, "9999-12-31T23:59:59Z", "9999-12-31" },
		{ INT64_MIN, "0000-01-01T00:00:00Z", "0000-01-01" },
	};
	char text[TIMEFMT_SECONDS_SIZE], day[TIMEFMT_DAY_SIZE], micros[TIMEFMT_MICROS_SIZE];

	(void)state;
	setenv("TZ", "America/New_York", 1);
	tzset();
	for (size_t i = 0; i < LENGTH(cases); i++) {
		timefmt_seconds(text, cases[i].seconds);
		timefmt_day(day, cases[i].seconds);
		assert_string_equal(text, cases[i].text);
		assert_string_equal(day, cases[i].day);
	}
	timefmt_micros(micros, &(struct timespec){ .tv_sec = 1795422650, .tv_nsec = 123456789 });
	assert_string_equal(micros, "2026-11-23T08:30:50.123456Z");
	timefmt_micros(micros, &(struct timespec){ .tv_sec = 1795422650, .tv_nsec = 999 });
	assert_string_equal(micros, "2026-11-23T08:30:50.000000Z");
}

/* Goal: what RFC 3339 allows is read, with any offset and any number of decimals. */
static void
test_parse(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds;
		long nanos;
	} cases[] = {
		{ "2026-11-23T08:30:50Z", 1795422650, 0 },
		{ "2026-11-23t08:30:50z", 1795422650, 0 },
		{ "2026-11-23 08:30:50Z", 1795422650, 0 },
		{ "2026-11-23T08:30:50.5Z", 1795422650, 500000000 },
		{ "2026-11-23T08:30:50.123456Z", 1795422650, 123456000 },
		{ "2026-11-23T08:30:50.1234567899999Z", 1795422650, 123456789 },
		{ "2026-11-23T10:30:50+02:00", 1795422650, 0 },
		{ "2026-11-23T03:00:50-05:30", 1795422650, 0 },
		{ "2026-11-23T08:30:50.000-00:00", 1795422650, 0 },
		{ "2024-02-29T00:00:00Z", 1709164800, 0 },
		{ "1969-12-31T23:59:59Z", -1, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct timespec t = { 0 };

		CHECK(timefmt_parse(cases[i].text, &t) == 0, "%s", cases[i].text);
		CHECK(t.tv_sec == cases[i].seconds && t.tv_nsec == cases[i].nanos, "%s: %lld.%09ld",
		    cases[i].text, (long long)t.tv_sec, t.tv_nsec);
	}
}

/* Goal: each day of the years 0 to 9999 is read as it was written, and no day is read that does not exist. */
static void
test_every_day(void **state)
{
	const int64_t first = INT64_C(-62167219200), end = INT64_C(253402300800);
	char text[TIMEFMT_SECONDS_SIZE];
	struct timespec t;
	unsigned refused = 0;

	(void)state;
	for (int64_t at = first; at < end; at += 86400) {
		timefmt_seconds(text, at + 86399);
		assert_int_equal(timefmt_parse(text, &t), 0);
		assert_int_equal(t.tv_sec, at + 86399);
	}
	for (int year = 1999; year <= 2004; year++)
		for (int day = 0; day < 100; day++) {
			snprintf(text, sizeof(text), "%04d-02-%02dT00:00:00Z", year, day);
			refused += timefmt_parse(text, &t) != 0;
		}
	assert_int_equal(refused, 6 * 100 - (4 * 28 + 2 * 29));
}

/* Goal: everything else is refused and leaves the result alone. */
static void
test_refuse(void **state)
{
	static const char *const cases[] = {
		"",
		"now",
		"2026-11-23",
		"2026-11-23T08:30:50",
		"2026-11-23T08:30Z",
		"2026-11-23T08:30:50.Z",
		"2026-11-23T08:30:50Zz",
		"2026-11-23T08:30:50 Z",
		"2026-11-23X08:30:50Z",
		"2026-02-29T00:00:00Z",
		"2026-02-31T00:00:00Z",
		"2026-13-01T00:00:00Z",
		"2026-00-01T00:00:00Z",
		"2026-01-00T00:00:00Z",
		"2026-11-23T24:00:00Z",
		"2026-11-23T08:60:00Z",
		"2026-11-23T08:30:61Z",
		"2026-11-23T08:30:50+24:00",
		"2026-11-23T08:30:50+02:60",
		"2026-11-23T08:30:50+0200",
		"2026-11-23T08:30:50+2:00",
		"2026-11-23T08:30:50+02",
		" 2026-11-23T08:30:50Z",
		"26-11-23T08:30:50Z",
		"20260-11-23T08:30:50Z",
		"2026/11/23T08:30:50Z",
		"2026-+1-23T08:30:50Z",
		"2026- 1-23T08:30:50Z",
		"+026-11-23T08:30:50Z",
		"2026-11-23T08:30:+5Z",
		"2026-11-23T08:30:50+02:+5",
		"2026-11-23T08:30:50+02: 5",
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct timespec t = { .tv_sec = 7, .tv_nsec = 8 };

		errno = 0;
		CHECK(timefmt_parse(cases[i], &t) == -1 && errno == EINVAL, "\"%s\" is taken",
		    cases[i]);
		CHECK(t.tv_sec == 7 && t.tv_nsec == 8, "%s: changed", cases[i]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_every_day),
		cmocka_unit_test(test_refuse),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
