/* UUIDs of version 7 (RFC 9562). No extra link flags. */
#include "support.h"

#include "base/uuid.h"

/*
 * Goal: the time stands in front in milliseconds, then version and variant, all in lower-case hex.
 */
static void
test_layout(void **state)
{
	/*
	 * The example of RFC 9562, appendix A.6: 2022-02-22 14:22:22 at -05:00 is 0x017F22E279B0.
	 */
	const struct timespec when = { .tv_sec = 1645557742, .tv_nsec = 999999 };
	static const char shape[] = "017f22e2-79b0-7xxx-vxxx-xxxxxxxxxxxx";
	char uuid[UUID_SIZE];

	(void)state;
	for (int round = 0; round < 1000; round++) {
		uuid_v7(uuid, &when);
		assert_int_equal(strlen(uuid), UUID_SIZE - 1);
		for (size_t i = 0; i < UUID_SIZE - 1; i++) {
			if (shape[i] == 'x')
				CHECK(strchr("0123456789abcdef", uuid[i]), "%s at %zu", uuid, i);
			else if (shape[i] == 'v')
				CHECK(strchr("89ab", uuid[i]), "%s at %zu", uuid, i);
			else
				CHECK(uuid[i] == shape[i], "%s at %zu", uuid, i);
		}
	}
}

static int
compare(const void *a, const void *b)
{
	return (strcmp(a, b));
}

/* Goal: those of one millisecond all differ, and those of a later one sort behind them. */
static void
test_unique_and_sorted(void **state)
{
	enum { MANY = 10000 };
	const struct timespec when = { .tv_sec = 1700000000, .tv_nsec = 998000000 };
	const struct timespec later = { .tv_sec = 1700000000, .tv_nsec = 999000000 };
	static char uuids[MANY][UUID_SIZE];
	char next[UUID_SIZE];

	(void)state;
	for (size_t i = 0; i < MANY; i++)
		uuid_v7(uuids[i], &when);
	qsort(uuids, MANY, UUID_SIZE, compare);
	for (size_t i = 1; i < MANY; i++)
		assert_string_not_equal(uuids[i - 1], uuids[i]);
	uuid_v7(next, &later);
	assert_true(strcmp(uuids[MANY - 1], next) < 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_unique_and_sorted),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
