/* Tables for people, and rows that are sorted without being in memory: what is printed, and in which order. */
#include "support.h"

#include <locale.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/lib/sorted.h"
#include "cli/lib/spool.h"
#include "cli/lib/table.h"

/* What table_print() prints, for free(). */
static char *
printed(struct table *t)
{
	char *out = NULL;
	size_t size;
	FILE *fp = open_memstream(&out, &size);

	assert_non_null(fp);
	assert_int_equal(table_print(t, fp), 0);
	fclose(fp);
	return (out);
}

/* Goal: columns are as wide as their widest cell, and a cell that is empty is a hyphen. */
static void
test_columns(void **state)
{
	struct table *t = table_new((const char *const[]){ "A", "LONG", "C", NULL });
	char *out;

	(void)state;
	table_add(t, (const char *const[]){ "1", "2", "3" });
	table_add(t, (const char *const[]){ "wider", NULL, "" });
	out = printed(t);
	assert_string_equal(out,
	    "A      LONG  C\n"
	    "1      2     3\n"
	    "wider  -     -\n");
	free(out);
	table_free(t);
}

/* Goal: a cell's width is that on a terminal, and control characters are shown by number. */
static void
test_characters(void **state)
{
	struct table *t = table_new((const char *const[]){ "A", "B", NULL });
	char *out;

	(void)state;
	table_add(t, (const char *const[]){ "\xe6\xa0\xaa", "wide" });
	table_add(t, (const char *const[]){ "e\xcc\x81", "combining" });
	table_add(t, (const char *const[]){ "\x1b[2J\n", "control" });
	table_add(t, (const char *const[]){ "\xff", "no UTF-8" });
	out = printed(t);
	assert_string_equal(out,
	    "A            B\n"
	    "\xe6\xa0\xaa           wide\n"
	    "e\xcc\x81            combining\n"
	    "\\x1b[2J\\x0a  control\n"
	    "\\xff         no UTF-8\n");
	free(out);
	table_free(t);
}

/* Goal: what is far larger than the memory for it comes back as it was, piece by piece, in any order. */
static void
test_spool(void **state)
{
	enum { PIECES = 20000 };
	struct spool *s = spool_new();
	struct buf out = { 0 };
	char piece[120];

	(void)state;
	for (unsigned i = 0; i < PIECES; i++) {
		assert_int_equal(spool_end(s), (uint64_t)i * 100);
		snprintf(piece, sizeof(piece), "%0100u", i * 7919);
		assert_int_equal(spool_add(s, piece, 100), 0);
	}
	for (unsigned i = 0, at; i < PIECES; i++) {
		at = i * 7919 % PIECES;
		snprintf(piece, sizeof(piece), "%0100u", at * 7919);
		assert_int_equal(spool_read(s, (uint64_t)at * 100, 100, &out), 0);
		CHECK_TEXT(out.data, piece, "piece");
	}
	/* A part of the second piece. */
	assert_int_equal(spool_read(s, 196, 4, &out), 0);
	CHECK_TEXT(out.data, "7919", "a part");
	spool_free(s);
	buf_free(&out);
}

/* Goal: where no file may grow, all stays in memory. */
static void
test_spool_without_file(void **state)
{
	struct spool *s = spool_new();
	struct buf out = { 0 };
	struct rlimit before, none;
	char piece[1000];

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	/* The first write is cut in the middle, those after it fail. */
	none = (struct rlimit){ .rlim_cur = 300 * 1000, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	for (unsigned i = 0; i < 2000; i++) {
		memset(piece, 'a' + (int)(i % 26), sizeof(piece));
		assert_int_equal(spool_add(s, piece, sizeof(piece)), 0);
	}
	setrlimit(RLIMIT_FSIZE, &before);
	for (unsigned i = 0; i < 2000; i++) {
		memset(piece, 'a' + (int)(i % 26), sizeof(piece));
		assert_int_equal(spool_read(s, (uint64_t)i * sizeof(piece), sizeof(piece), &out),
		    0);
		assert_memory_equal(out.data, piece, sizeof(piece));
	}
	spool_free(s);
	buf_free(&out);
}

static void
add_text(void *user, const char *row, size_t len)
{
	buf_add(user, row, len);
	buf_addc(user, '\n');
}

/* Goal: the newest first, by nanoseconds; rows of one time in the order of their names. */
static void
test_order(void **state)
{
	static const struct {
		struct timespec time;
		const char *name, *row;
	} rows[] = {
		{ { 100, 5 }, "b", "three" },
		{ { 100, 7 }, "z", "two" },
		{ { -5, 0 }, "a", "seven" },
		{ { 100, 5 }, "c", "four" },
		{ { 200, 0 }, "y", "one" },
		{ { 100, 5 }, "d", "five" },
		{ { 99, 999999999 }, "a", "six" },
	};
	struct sorted *s = sorted_new();
	struct buf out = { 0 };

	(void)state;
	for (size_t i = LENGTH(rows); i-- > 0;)
		assert_int_equal(sorted_add(s, &rows[i].time, rows[i].name, rows[i].row,
				     strlen(rows[i].row)),
		    0);
	assert_int_equal(sorted_count(s), LENGTH(rows));
	assert_int_equal(sorted_each(s, add_text, &out), 0);
	CHECK_TEXT(out.data, "one\ntwo\nthree\nfour\nfive\nsix\nseven\n", "order");
	sorted_free(s);
	buf_free(&out);
}

/* Goal: nothing to sort is no error. */
static void
test_nothing(void **state)
{
	struct sorted *s = sorted_new();
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(sorted_each(s, add_text, &out), 0);
	assert_int_equal(out.len, 0);
	sorted_free(s);
	sorted_free(NULL);
	table_free(NULL);
	spool_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_spool),
		cmocka_unit_test(test_spool_without_file),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_nothing),
	};

	if (setlocale(LC_CTYPE, "C.UTF-8") == NULL)
		return (77);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
