/*
 * Reading the journal from its end: every whole line, the newest first, wherever the borders of the
 * blocks it is read in fall.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "store/journal_reader.h"

enum { BLOCK = 64 * 1024 }; /* as the reader's own */

struct place {
	char *path;
	int dir;
	struct buf line;
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	p->path = directory_make();
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = p;
	return (p->dir == -1);
}

static int
teardown(void **state)
{
	struct place *p = *state;

	close(p->dir);
	directory_remove(p->path);
	buf_free(&p->line);
	free(p);
	return (0);
}

static struct journal_reader *
open_reader(struct place *p)
{
	struct journal_reader *r = journal_reader_new(p->dir);

	assert_non_null(r);
	return (r);
}

static void
expect_line(struct journal_reader *r, struct place *p, const char *want, const char *file)
{
	assert_int_equal(journal_reader_previous(r, &p->line), 1);
	CHECK_TEXT(p->line.data, want, file);
	assert_string_equal(journal_reader_file(r), file);
}

static void
expect_end(struct journal_reader *r, struct place *p)
{
	assert_int_equal(journal_reader_previous(r, &p->line), 0);
	assert_int_equal(journal_reader_previous(r, &p->line), 0);
	journal_reader_free(r);
}

/* Goal: a directory without files, and files without lines, have nothing to read. */
static void
test_nothing_there(void **state)
{
	struct place *p = *state;

	expect_end(open_reader(p), p);
	file_text(p->path, "2026-11-22.jsonl", "", 0600);
	file_text(p->path, "2026-11-23.jsonl", "{\"delivery\":\"unfini", 0600);
	expect_end(open_reader(p), p);
}

/* Goal: the lines of several files come newest first, continuation files in their order. */
static void
test_several_files(void **state)
{
	struct place *p = *state;
	struct journal_reader *r;

	file_text(p->path, "2026-11-22.jsonl", "a1\na2\n", 0600);
	file_text(p->path, "2026-11-23.jsonl", "b1\n", 0600);
	file_text(p->path, "2026-11-23.2.jsonl", "c1\nc2\n", 0600);
	file_text(p->path, "2026-11-23.10.jsonl", "d1\n", 0600);
	file_text(p->path, "2026-11-24.jsonl", "", 0600);
	file_text(p->path, "2026-11-25.txt", "no journal\n", 0600);
	r = open_reader(p);
	expect_line(r, p, "d1", "2026-11-23.10.jsonl");
	expect_line(r, p, "c2", "2026-11-23.2.jsonl");
	expect_line(r, p, "c1", "2026-11-23.2.jsonl");
	expect_line(r, p, "b1", "2026-11-23.jsonl");
	expect_line(r, p, "a2", "2026-11-22.jsonl");
	expect_line(r, p, "a1", "2026-11-22.jsonl");
	expect_end(r, p);
}

/* Goal: what is behind the last newline is no line; an empty line between others is one. */
static void
test_unfinished(void **state)
{
	struct place *p = *state;
	struct journal_reader *r;

	file_text(p->path, "2026-11-23.jsonl", "\none\n\ntwo\nthr", 0600);
	r = open_reader(p);
	expect_line(r, p, "two", "2026-11-23.jsonl");
	expect_line(r, p, "", "2026-11-23.jsonl");
	expect_line(r, p, "one", "2026-11-23.jsonl");
	expect_line(r, p, "", "2026-11-23.jsonl");
	expect_end(r, p);
}

/* Goal: later days than the one asked for are passed over, with all their files. */
static void
test_skipping(void **state)
{
	struct place *p = *state;
	struct journal_reader *r;

	file_text(p->path, "2026-11-22.jsonl", "a\n", 0600);
	file_text(p->path, "2026-11-23.jsonl", "b\n", 0600);
	file_text(p->path, "2026-11-23.1.jsonl", "c\n", 0600);
	file_text(p->path, "2026-11-24.jsonl", "d\n", 0600);
	file_text(p->path, "2026-11-24.1.jsonl", "e\n", 0600);
	r = open_reader(p);
	journal_reader_skip_to(r, "2026-11-23");
	expect_line(r, p, "c", "2026-11-23.1.jsonl");
	expect_line(r, p, "b", "2026-11-23.jsonl");
	expect_line(r, p, "a", "2026-11-22.jsonl");
	expect_end(r, p);
	r = open_reader(p);
	journal_reader_skip_to(r, "2026-11-21");
	expect_end(r, p);
}

/* A line whose bytes tell where it belongs, so that one of the right length in the wrong place shows. */
static void
add_line(struct buf *text, size_t len, unsigned number)
{
	for (size_t i = 0; i < len; i++)
		buf_addc(text, (char)('a' + (i + 7 * number) % 26));
	buf_addc(text, '\n');
}

/* Write lines of these lengths, and `tail` unended bytes; read them all back. */
static void
round_trip(struct place *p, const size_t *lengths, size_t n, size_t tail)
{
	struct buf text = { 0 }, want = { 0 };
	struct journal_reader *r;

	for (size_t i = 0; i < n; i++)
		add_line(&text, lengths[i], (unsigned)i);
	for (size_t i = 0; i < tail; i++)
		buf_addc(&text, '#');
	file_write(p->path, "2026-11-23.jsonl", text.data, text.len, 0600);
	r = open_reader(p);
	for (size_t i = n; i-- > 0;) {
		buf_reset(&want);
		add_line(&want, lengths[i], (unsigned)i);
		assert_int_equal(journal_reader_previous(r, &p->line), 1);
		CHECK(p->line.len == lengths[i] && memcmp(p->line.data, want.data, lengths[i]) == 0,
		    "line %zu of %zu, %zu bytes, tail %zu: got %zu bytes", i, n, lengths[i], tail,
		    p->line.len);
	}
	expect_end(r, p);
	buf_free(&text);
	buf_free(&want);
}

/* Goal: a newline just before, on and just behind the border of a block ends a line like any other. */
static void
test_block_borders(void **state)
{
	struct place *p = *state;

	for (size_t last = BLOCK - 3; last <= BLOCK + 2; last++)
		for (size_t tail = 0; tail < 3; tail++) {
			round_trip(p, (const size_t[]){ 5, last }, 2, tail);
			round_trip(p, (const size_t[]){ last }, 1, tail);
			round_trip(p, (const size_t[]){ 0, 1, last - BLOCK / 2, BLOCK / 2 - 1 }, 4,
			    tail);
			round_trip(p, (const size_t[]){ BLOCK - 1, BLOCK - 1, last }, 3, tail);
		}
}

/* Goal: lines far longer than a block come whole, and the short ones around them too. */
static void
test_long_lines(void **state)
{
	static const size_t lengths[] = { 3, 6 << 20, 0, BLOCK, 1, 2 * BLOCK, 3 * BLOCK + 1,
		1 << 20, 9 };
	struct place *p = *state;

	round_trip(p, lengths, LENGTH(lengths), 0);
	round_trip(p, lengths, LENGTH(lengths), 3 * BLOCK);
	round_trip(p, lengths, LENGTH(lengths) - 1, 0);
}

/* Goal: a great many lines of all lengths, as a journal has them. */
static void
test_many_lines(void **state)
{
	struct place *p = *state;
	size_t lengths[3000];

	for (size_t i = 0; i < LENGTH(lengths); i++)
		lengths[i] = i * 7919 % 1500;
	round_trip(p, lengths, LENGTH(lengths), 17);
}

/* Goal: a file that is removed while the reader is at another is passed over; a bad one is an error. */
static void
test_files_that_go(void **state)
{
	struct place *p = *state;
	struct journal_reader *r;

	file_text(p->path, "2026-11-22.jsonl", "a\n", 0600);
	file_text(p->path, "2026-11-23.jsonl", "b\n", 0600);
	file_text(p->path, "2026-11-24.jsonl", "c\n", 0600);
	r = open_reader(p);
	expect_line(r, p, "c", "2026-11-24.jsonl");
	assert_int_equal(unlinkat(p->dir, "2026-11-23.jsonl", 0), 0);
	expect_line(r, p, "a", "2026-11-22.jsonl");
	expect_end(r, p);
	assert_int_equal(symlinkat("2026-11-22.jsonl", p->dir, "2026-11-23.jsonl"), 0);
	r = open_reader(p);
	expect_line(r, p, "c", "2026-11-24.jsonl");
	assert_int_equal(journal_reader_previous(r, &p->line), -1);
	assert_int_equal(errno, ELOOP);
	journal_reader_free(r);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_nothing_there),
		TEST(test_several_files),
		TEST(test_unfinished),
		TEST(test_skipping),
		TEST(test_block_borders),
		TEST(test_long_lines),
		TEST(test_many_lines),
		TEST(test_files_that_go),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
