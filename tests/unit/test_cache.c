/*
 * The cache of what was read from files: how much it keeps, and what goes first.
 */
#include "support.h"

#include <sys/stat.h>

#include "store/cache.h"

enum { BUDGET = 1 << 20, SIZE = 1000 };

static const struct stat rested = { .st_ino = 1 };

/* Add an entry of this key, and let go of it. */
static void
add(struct cache *c, const char *key, size_t size)
{
	struct cache_entry *e = cache_entry_new(key, size, &rested, 1);

	assert_non_null(e);
	cache_add(c, e);
	cache_release(c, e);
}

static bool
has(struct cache *c, const char *key)
{
	struct cache_entry *e = cache_find(c, key);
	bool found = e && strcmp(e->key, key) == 0;

	cache_release(c, e);
	return (found);
}

static unsigned
count(struct cache *c, unsigned from, unsigned to)
{
	unsigned n = 0;
	char key[16];

	for (unsigned i = from; i < to; i++) {
		snprintf(key, sizeof(key), "%u", i);
		n += has(c, key);
	}
	return (n);
}

/* Goal: what fits is all kept, whatever the keys hash to. */
static void
test_fits(void **state)
{
	struct cache *c = cache_new(BUDGET);
	char key[16];

	(void)state;
	for (unsigned i = 0; i < BUDGET / SIZE / 2; i++) {
		snprintf(key, sizeof(key), "%u", i);
		add(c, key, SIZE);
	}
	assert_int_equal(count(c, 0, BUDGET / SIZE / 2), BUDGET / SIZE / 2);
	assert_false(has(c, "other"));
	cache_free(c);
}

/* Goal: no more than the budget is kept; what is used stays, and what was not used goes. */
static void
test_budget(void **state)
{
	struct cache *c = cache_new(BUDGET);
	char key[16];
	unsigned kept;

	(void)state;
	add(c, "used", SIZE);
	for (unsigned i = 0; i < 10 * BUDGET / SIZE; i++) {
		snprintf(key, sizeof(key), "%u", i);
		add(c, key, SIZE);
		CHECK(has(c, "used"), "the entry that is used is gone after %u others", i);
	}
	kept = count(c, 0, 10 * BUDGET / SIZE);
	CHECK(kept <= BUDGET / SIZE && kept > BUDGET / SIZE * 3 / 4, "%u are kept", kept);
	CHECK(count(c, 8 * BUDGET / SIZE, 10 * BUDGET / SIZE) == kept, "old ones are kept");
	cache_free(c);
}

/* Goal: one of the same key replaces the first; who holds the first still has it. */
static void
test_replaced(void **state)
{
	struct cache *c = cache_new(BUDGET);
	struct cache_entry *first = cache_entry_new("a", SIZE, &rested, 1), *e;

	(void)state;
	cache_add(c, first);
	add(c, "a", SIZE);
	e = cache_find(c, "a");
	assert_non_null(e);
	assert_ptr_not_equal(e, first);
	assert_string_equal(first->key, "a");
	cache_release(c, first);
	cache_release(c, e);
	cache_drop(c, "a");
	cache_drop(c, "b");
	assert_false(has(c, "a"));
	cache_release(c, NULL);
	cache_free(c);
	cache_free(NULL);
}

/* Goal: what is larger than a part of the cache is not kept, and drives nothing out. */
static void
test_too_large(void **state)
{
	struct cache *c = cache_new(BUDGET);

	(void)state;
	add(c, "a", SIZE);
	add(c, "large", BUDGET);
	assert_false(has(c, "large"));
	assert_true(has(c, "a"));
	cache_free(c);
}

/* Goal: any difference in how the file looks shows; so does nothing if it changed just before it was read. */
static void
test_confirm(void **state)
{
	const struct stat st = { .st_dev = 1,
		.st_ino = 2,
		.st_size = 3,
		.st_mtim = { 4, 5 },
		.st_ctim = { 6, 7 } };
	struct stat other[] = { st, st, st, st, st, st, st }, now = st;
	struct cache *c = cache_new(BUDGET);
	struct cache_entry *e = cache_entry_new("a", SIZE, &st, 1), *fresh;

	(void)state;
	other[0].st_dev++;
	other[1].st_ino++;
	other[2].st_size++;
	other[3].st_mtim.tv_sec++;
	other[4].st_mtim.tv_nsec++;
	other[5].st_ctim.tv_sec++;
	other[6].st_ctim.tv_nsec++;
	assert_true(cache_confirm(e, &st, 1));
	for (size_t i = 0; i < LENGTH(other); i++)
		CHECK(!cache_confirm(e, &other[i], 1), "difference %zu does not show", i);
	clock_gettime(CLOCK_REALTIME, &now.st_ctim);
	fresh = cache_entry_new("b", SIZE, &now, 1);
	assert_false(cache_confirm(fresh, &now, 1));
	cache_release(c, e);
	cache_release(c, fresh);
	cache_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_confirm),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
