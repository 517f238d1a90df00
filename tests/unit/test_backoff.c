/* How long the worker waits before it asks Fluid again. */

#include "support.h"

#include "worker/backoff.h"

/* Goal: each wait is twice the one before, up to the limit. */
static void
test_doubles_to_its_limit(void **state)
{
	(void)state;
	assert_int_equal(backoff_wait(0, 3600, false, 0), 1000);
	assert_int_equal(backoff_wait(1, 3600, false, 0), 2000);
	assert_int_equal(backoff_wait(5, 3600, false, 0), 32000);
	assert_int_equal(backoff_wait(12, 3600, false, 0), 3600000);
	assert_int_equal(backoff_wait(4000000000u, 3600, false, 0), 3600000);
	assert_int_equal(backoff_wait(9, 300, false, 0), 300000);
}

/* While a token lives no wait is longer than ten seconds, whatever the wall clock says of its end. */
static void
test_never_long_while_a_token_lives(void **state)
{
	const int64_t lefts[] = { INT64_MIN, -86400 * 365, -1, 0, 1, 5, 600, 86400 * 365,
		INT64_MAX };

	(void)state;
	for (unsigned tries = 0; tries < 40; tries++)
		for (size_t i = 0; i < LENGTH(lefts); i++) {
			int64_t wait = backoff_wait(tries, 3600, true, lefts[i]);

			CHECK(wait >= 1000 && wait <= 10000, "%u tries, %lld left: %lld", tries,
			    (long long)lefts[i], (long long)wait);
		}
	assert_int_equal(backoff_wait(20, 3600, true, 600), 10000);
}

/* Goal: shortly before a token ends there is one more try. */
static void
test_once_more_before_the_end(void **state)
{
	(void)state;
	assert_int_equal(backoff_wait(9, 10, true, 10), 9000);
	assert_int_equal(backoff_wait(9, 10, true, 4), 3000);
	assert_int_equal(backoff_wait(9, 10, true, 1), 1000);
	assert_int_equal(backoff_wait(9, 10, true, 11), 10000);
}

/* Goal: the clock of waits never goes back. */
static void
test_clock_never_goes_back(void **state)
{
	int64_t before = backoff_now(), now;

	(void)state;
	for (int i = 0; i < 1000; i++, before = now) {
		now = backoff_now();
		assert_true(now >= before);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_doubles_to_its_limit),
		cmocka_unit_test(test_never_long_while_a_token_lives),
		cmocka_unit_test(test_once_more_before_the_end),
		cmocka_unit_test(test_clock_never_goes_back),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
