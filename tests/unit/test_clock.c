/* The clocks. Link with --wrap=clock_gettime. */
#include "support.h"

#include <time.h>

#include "base/clock.h"
#include "wrap.h"

int __wrap_clock_gettime(clockid_t clock, struct timespec *out) AS_CLOCK_GETTIME("__wrap_");

/* Each clock has a time of its own, so that a function that asks another one is found out. */
int
__wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	switch (clock) {
	case CLOCK_REALTIME:
		*out = (struct timespec){ 1764320690, 123456789 };
		return (0);
	case CLOCK_MONOTONIC:
		*out = (struct timespec){ 100, 999500000 };
		return (0);
	case CLOCK_BOOTTIME:
		*out = (struct timespec){ 5000, 1999999 };
		return (0);
	default:
		fail_msg("clock %d", (int)clock);
		return (-1);
	}
}

/* Goal: each function gives the time of its own clock in its own unit. */
static void
test_units(void **state)
{
	struct timespec t;

	(void)state;
	clock_wall(&t);
	assert_int_equal(t.tv_sec, 1764320690);
	assert_int_equal(t.tv_nsec, 123456789);
	assert_int_equal(clock_wall_s(), 1764320690);
	assert_int_equal(clock_monotonic_ns(), INT64_C(100999500000));
	assert_int_equal(clock_monotonic_ms(), 100999);
	assert_int_equal(clock_boot_ms(), 5000001);
	assert_int_equal(clock_boot_s(), 5000);
}

/* Goal: a deadline is well-formed where its parts carry over, and later by exactly as much as was asked. */
static void
test_deadline(void **state)
{
	static const struct {
		int64_t ms;
		struct timespec at;
	} cases[] = {
		{ 0, { 100, 999500000 } },
		{ 1, { 101, 500000 } },
		{ 999, { 101, 998500000 } },
		{ 1000, { 101, 999500000 } },
		{ 30001, { 131, 500000 } },
	};
	struct timespec t;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		clock_monotonic_after(&t, cases[i].ms);
		CHECK(t.tv_sec == cases[i].at.tv_sec && t.tv_nsec == cases[i].at.tv_nsec,
		    "%d ms: %ld.%09ld", (int)cases[i].ms, (long)t.tv_sec, t.tv_nsec);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_deadline),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
