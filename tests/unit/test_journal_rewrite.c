/*
 * Rewriting a journal file: all lines stay, in their order, whatever is appended meanwhile, and whatever fails leaves
 * the old file.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/journal_rewrite.h"

#define DAY "2026-11-23.jsonl"
#define TMP "." DAY ".new"
#define NOTE "." DAY ".moved"
#define LINE(n) "{\"delivery\":\"0193571e-0000-7000-8000-00000000000" #n "\"}"

struct place {
	char *path;
	int dir;
	unsigned calls;
	size_t append_at_once; /* bytes appended by the first call of line() */
	int error;             /* of line() */
	const char *change;    /* only lines with this text; NULL: all */
	bool unfinished;       /* line() has seen what is behind the last newline */
	bool move_away;        /* the first call of line() moves the file away */
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
	free(p);
	return (0);
}

static void
append(struct place *p, const char *text, size_t len)
{
	int fd = openat(p->dir, DAY, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	assert_int_not_equal(fd, -1);
	/* The lock is free while most of the file is handled. */
	assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
	assert_int_equal(write(fd, text, len), (ssize_t)len);
	close(fd);
}

static void
text(struct place *p, const char *s)
{
	append(p, s, strlen(s));
}

static int
line(void *user, const char *data, size_t len, bool whole, struct buf *out)
{
	struct place *p = user;

	if (p->calls++ == 0) {
		for (size_t n = 0; n < p->append_at_once; n += sizeof(LINE(9)))
			text(p, LINE(9) "\n");
		if (p->move_away)
			renameat(p->dir, DAY, p->dir, "away");
	}
	if (p->error) {
		errno = p->error;
		return (-1);
	}
	p->unfinished |= !whole;
	if (p->change && memmem(data, len, p->change, strlen(p->change)) == NULL)
		return (0);
	buf_add(out, data, len - 1);
	buf_adds(out, ",\"new\":1}");
	return (1);
}

static void
expect_file(struct place *p, const char *name, const char *want)
{
	struct buf got = { 0 };

	file_read(p->path, name, &got);
	CHECK_TEXT(got.data, want, name);
	buf_free(&got);
}

/* Goal: the lines that line() names are replaced, and the others stay as they are; mode and time stay. */
static void
test_replaced(void **state)
{
	struct place *p = *state;
	struct stat before, after;

	text(p, "odd\n" LINE(1) "\n" LINE(2) "\n\n" LINE(3) "\nunfin");
	assert_int_equal(fchmodat(p->dir, DAY, 0640, 0), 0);
	utimensat(p->dir, DAY, (const struct timespec[2]){ { 1, 0 }, { 2, 0 } }, 0);
	stat(path_in(p->path, DAY), &before);
	p->change = "0002";
	assert_int_equal(journal_rewrite(p->dir, DAY, line, p), 1);
	expect_file(p, DAY,
	    "odd\n" LINE(1) "\n{\"delivery\":\"0193571e-0000-7000-8000-000000000002\",\"new\":1}\n\n" LINE(
		3) "\nunfin");
	assert_true(p->unfinished);
	stat(path_in(p->path, DAY), &after);
	assert_int_equal(after.st_mode, before.st_mode);
	assert_int_equal(after.st_mtime, before.st_mtime);
	assert_false(file_exists(p->path, TMP));
	expect_file(p, NOTE, "117 {\"delivery\":\"0193571e-0000-7000-8000-000000000003\"\n");
}

/* Goal: if nothing is replaced, the file is not touched, and there is no note. A leftover of a kill is removed. */
static void
test_untouched(void **state)
{
	struct place *p = *state;
	struct stat before, after;

	text(p, LINE(1) "\n" LINE(2) "\nunfin");
	file_text(p->path, TMP, "left over", 0600);
	stat(path_in(p->path, DAY), &before);
	p->change = "none of them";
	assert_int_equal(journal_rewrite(p->dir, DAY, line, p), 0);
	assert_int_equal(p->calls, 3);
	stat(path_in(p->path, DAY), &after);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_false(file_exists(p->path, TMP));
	assert_false(file_exists(p->path, NOTE));
}

/* Goal: what is appended meanwhile, little or much, is in the new file once. */
static void
test_appended(void **state)
{
	static const size_t sizes[] = { 1, 60 * 1024, 2 << 20 };

	for (size_t i = 0; i < LENGTH(sizes); i++) {
		struct place *p = *state;
		struct buf got = { 0 };
		size_t n = 0, want = 1 + (sizes[i] + sizeof(LINE(9)) - 1) / sizeof(LINE(9));

		text(p, LINE(1) "\n");
		p->append_at_once = sizes[i];
		assert_int_equal(journal_rewrite(p->dir, DAY, line, p), 1);
		file_read(p->path, DAY, &got);
		for (const char *at = got.data; (at = strstr(at, ",\"new\":1}\n")) != NULL; at++)
			n++;
		CHECK(n == want, "%zu: %zu lines, want %zu", sizes[i], n, want);
		CHECK(got.len == want * (sizeof(LINE(1)) + 8), "%zu bytes", got.len);
		buf_free(&got);
		teardown(state);
		setup(state);
	}
}

/* Goal: a file whose lines are longer than a block is rewritten as well. */
static void
test_long_lines(void **state)
{
	struct place *p = *state;
	struct buf got = { 0 };
	const size_t more = 1 << 20;
	char *blanks = malloc(more);

	memset(blanks, ' ', more);
	for (int i = 0; i < 3; i++) {
		append(p, LINE(1), sizeof(LINE(1)) - 2);
		append(p, blanks, more);
		append(p, "}\n", 2);
	}
	assert_int_equal(journal_rewrite(p->dir, DAY, line, p), 1);
	assert_int_equal(p->calls, 3);
	file_read(p->path, DAY, &got);
	assert_int_equal(got.len, 3 * (sizeof(LINE(1)) + more + 8));
	free(blanks);
	buf_free(&got);
}

/* Goal: where line() fails, or the file is moved away meanwhile, nothing changes, and nothing is left over. */
static void
test_failing(void **state)
{
	struct place *p = *state;

	text(p, LINE(1) "\n" LINE(2) "\n");
	p->error = ENOKEY;
	assert_int_equal(journal_rewrite(p->dir, DAY, line, p), -1);
	assert_int_equal(errno, ENOKEY);
	p->error = p->calls = 0;
	p->move_away = true;
	assert_int_equal(journal_rewrite(p->dir, DAY, line, p), -1);
	assert_int_equal(errno, ENOENT);
	expect_file(p, "away", LINE(1) "\n" LINE(2) "\n");
	assert_int_equal(journal_rewrite(p->dir, DAY, line, p), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(directory_count(p->path), 1);
	assert_int_equal(mkdirat(p->dir, DAY, 0700), 0);
	assert_int_equal(journal_rewrite(p->dir, DAY, line, p), -1);
}

/* Goal: only the rewritten file is called so. The note can be removed. */
static void
test_noted(void **state)
{
	struct place *p = *state;
	int fd;

	text(p, LINE(1) "\n" LINE(2) "\n");
	fd = openat(p->dir, DAY, O_RDONLY | O_CLOEXEC);
	assert_int_equal(journal_rewrite_is_of(p->dir, DAY, fd), 0);
	assert_int_equal(journal_rewrite(p->dir, DAY, line, p), 1);
	assert_int_equal(journal_rewrite_is_of(p->dir, DAY, fd), 0);
	close(fd);
	fd = openat(p->dir, DAY, O_RDONLY | O_CLOEXEC);
	assert_int_equal(journal_rewrite_is_of(p->dir, DAY, fd), 1);
	assert_true(journal_rewrite_has(p->dir, DAY, LINE(1), sizeof(LINE(1)) - 1));
	assert_false(journal_rewrite_has(p->dir, DAY, LINE(3), sizeof(LINE(3)) - 1));
	assert_false(journal_rewrite_has(p->dir, DAY, "{}", 2));
	assert_int_equal(journal_rewrite_forget(p->dir, DAY), 0);
	assert_int_equal(journal_rewrite_forget(p->dir, DAY), 0);
	assert_int_equal(journal_rewrite_is_of(p->dir, DAY, fd), 0);
	file_text(p->path, NOTE, "18446744073709551615 {\n", 0600);
	assert_int_equal(journal_rewrite_is_of(p->dir, DAY, fd), 0);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_untouched, setup, teardown),
		cmocka_unit_test_setup_teardown(test_appended, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_noted, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
