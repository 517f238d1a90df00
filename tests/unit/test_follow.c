/*
 * Following the journal: each line once and whole, from where the position says if the file is still the same; what
 * cannot be read is skipped and keeps its place; what is returned is on stable storage.
 */
#include "support.h"
#include "wrap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/journal_rewrite.h"
#include "worker/follow.h"

#define DAY "2026-11-23.jsonl"
#define NEXT "2026-11-24.jsonl"

static ino_t broken; /* reads of this file fail with EIO behind `broken_at` */
static off_t broken_at;
static unsigned synced; /* how often something was synced */
static bool sync_fails;

ssize_t __real_pread(int fd, void *data, size_t len, off_t at) AS_PREAD("__real_");
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at) AS_PREAD("__wrap_");
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

ssize_t
__wrap_pread(int fd, void *data, size_t len, off_t at)
{
	struct stat st;

	if (broken && fstat(fd, &st) == 0 && st.st_ino == broken && at + (off_t)len > broken_at) {
		if (at >= broken_at) {
			errno = EIO;
			return (-1);
		}
		len = (size_t)(broken_at - at);
	}
	return (__real_pread(fd, data, len, at));
}

int
__wrap_fdatasync(int fd)
{
	synced++;
	if (sync_fails) {
		errno = EIO;
		return (-1);
	}
	return (__real_fdatasync(fd));
}

struct place {
	char *path;
	int dir;
	struct follow *follow;
	struct buf line;
	struct follow_place place;
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	broken = 0;
	synced = 0;
	sync_fails = false;
	p->path = directory_make();
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p->follow = follow_new(p->dir, NULL, 0, true);
	*state = p;
	return (p->follow == NULL);
}

static int
teardown(void **state)
{
	struct place *p = *state;

	follow_free(p->follow);
	close(p->dir);
	directory_remove(p->path);
	buf_free(&p->line);
	free(p);
	return (0);
}

/* The worker ends, and another one begins where it was. */
static void
again(struct place *p)
{
	unsigned n;
	struct follow_file *files = follow_position(p->follow, &n),
			   *copy = calloc(n + 1, sizeof(*copy));

	memcpy(copy, files, n * sizeof(*copy));
	follow_free(p->follow);
	p->follow = follow_new(p->dir, copy, n, true);
	assert_non_null(p->follow);
	free(copy);
}

static const char *
line_of(int number)
{
	static char text[64];

	snprintf(text, sizeof(text), "{\"delivery\":\"d-%d\"}", number);
	return (text);
}

static void
add(struct place *p, const char *file, int number)
{
	int fd = openat(p->dir, file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(dprintf(fd, "%s\n", line_of(number)), (int)strlen(line_of(number)) + 1);
	close(fd);
}

static void
expect(struct place *p, int number)
{
	CHECK(follow_next(p->follow, &p->line, &p->place) == 1, "line %d is not there", number);
	CHECK_TEXT(p->line.data, line_of(number), "line");
}

static void
expect_none(struct place *p)
{
	for (int i = 0; i < 2; i++) {
		int result = follow_next(p->follow, &p->line, &p->place);

		CHECK(result == 0, "%d: \"%s\"", result, p->line.data);
	}
}

/* Goal: lines in the order of files, once, also by the next worker; what follows later is found. */
static void
test_in_order(void **state)
{
	struct place *p = *state;

	expect_none(p);
	add(p, NEXT, 3);
	add(p, DAY, 1);
	add(p, DAY, 2);
	for (int i = 1; i <= 3; i++)
		expect(p, i);
	assert_string_equal(p->place.name, NEXT);
	assert_int_equal(p->place.offset, 0);
	expect_none(p);
	again(p);
	expect_none(p);
	add(p, DAY, 4);
	add(p, "1999-01-01.jsonl", 5);
	add(p, "2099-01-01.jsonl", 6);
	expect(p, 5);
	expect(p, 4);
	expect(p, 6);
	expect_none(p);
	again(p);
	expect_none(p);
}

/* Goal: lines much larger than a block, and a great many small ones. */
static void
test_blocks(void **state)
{
	struct place *p = *state;
	struct buf large = { 0 };
	int n = 0;

	for (int i = 0; i < 1 << 20; i++)
		buf_addc(&large, 'x');
	for (int i = 0; i < 3; i++) {
		int fd = openat(p->dir, DAY, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

		dprintf(fd, "{\"body\":\"%s\",\"delivery\":\"large\"}\n", large.data);
		close(fd);
		for (int k = 0; k < 20000; k++)
			n++;
		for (int k = n - 20000; k < n; k += 200)
			add(p, DAY, k);
	}
	for (int i = 0, k = 0; i < 3; i++) {
		assert_int_equal(follow_next(p->follow, &p->line, &p->place), 1);
		assert_int_equal(p->line.len,
		    large.len + strlen("{\"body\":\"\",\"delivery\":\"large\"}"));
		for (int j = 0; j < 100; j++, k += 200)
			expect(p, k);
		/* In the middle of what was read ahead. */
		if (i == 1)
			again(p);
	}
	expect_none(p);
	buf_free(&large);
}

/* Goal: a line is returned again if nothing could be done with it. */
static void
test_back(void **state)
{
	struct place *p = *state;

	for (int i = 1; i <= 3; i++)
		add(p, DAY, i);
	expect(p, 1);
	for (int i = 0; i < 3; i++) {
		expect(p, 2);
		follow_back(p->follow);
	}
	again(p);
	expect(p, 2);
	expect(p, 3);
	expect_none(p);
}

/* Goal: a bad block stops the rest of its file, and no other file; what is behind it is read when it can be. */
static void
test_bad_block(void **state)
{
	struct place *p = *state;
	struct stat st;

	add(p, DAY, 1);
	add(p, NEXT, 10);
	expect(p, 1);
	expect(p, 10);
	expect_none(p);
	add(p, DAY, 2);
	assert_int_equal(fstatat(p->dir, DAY, &st, 0), 0);
	broken = st.st_ino;
	broken_at = st.st_size;
	add(p, DAY, 3);
	expect(p, 2);
	assert_false(follow_is_hindered(p->follow));
	expect_none(p);
	add(p, NEXT, 11);
	expect(p, 11);
	expect_none(p);
	assert_true(follow_is_hindered(p->follow));
	again(p);
	expect_none(p);
	assert_true(follow_is_hindered(p->follow));
	broken = 0;
	expect(p, 3);
	expect_none(p);
	assert_false(follow_is_hindered(p->follow));
}

/* Goal: a position that cannot be verified is kept, and not taken for one that does not fit. */
static void
test_bad_block_before(void **state)
{
	struct place *p = *state;
	struct stat st;

	add(p, DAY, 1);
	expect(p, 1);
	expect_none(p);
	assert_int_equal(fstatat(p->dir, DAY, &st, 0), 0);
	broken = st.st_ino;
	broken_at = 0;
	again(p);
	add(p, DAY, 2);
	expect_none(p);
	broken = 0;
	expect(p, 2);
	expect_none(p);
}

/* Goal: nothing is returned before it was synced; where that fails, it is read again later. */
static void
test_synced_first(void **state)
{
	struct place *p = *state;

	add(p, DAY, 1);
	add(p, DAY, 2);
	expect(p, 1);
	assert_int_equal(synced, 1);
	expect(p, 2);
	expect_none(p);
	assert_int_equal(synced, 1);
	add(p, DAY, 3);
	sync_fails = true;
	expect_none(p);
	assert_true(follow_is_hindered(p->follow));
	sync_fails = false;
	expect(p, 3);
	expect_none(p);
}

/* Goal: lines are not read while another holds the lock, and the wait for it ends. */
static void
test_locked(void **state)
{
	struct place *p = *state;
	int fd;

	add(p, DAY, 1);
	add(p, NEXT, 2);
	fd = openat(p->dir, DAY, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	expect(p, 2);
	expect_none(p);
	/* A reader's lock is none to wait for. */
	assert_int_equal(flock(fd, LOCK_SH), 0);
	expect(p, 1);
	expect_none(p);
	close(fd);
}

/* Goal: the file is read from its beginning if the last line is not where it was, and from there on if it is. */
static void
test_not_what_it_was(void **state)
{
	static const struct {
		const char *before, *after;
		int first; /* 0: nothing is read */
	} cases[] = {
		{ "d-1 d-2", "d-1 d-2", 0 },
		{ "d-1 d-2", "d-1 d-2 d-3", 3 },
		{ "d-1 d-2", "d-1", 1 },
		{ "d-1 d-2", "d-1 d-3", 1 },
		{ "d-1 d-2", "d-2 d-1", 2 },
		{ "d-1 d-2", "d-3 d-4 d-5 d-6", 3 },
		{ "d-1 d-2", "d-11 d-22", 11 },
		{ "d-1 d-2", "", 0 },
		{ "d-1", "d-10000000000000000000000000000000000000000", 0 },
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct place *p = *state;
		struct buf text = { 0 };
		char copy[128], *word, *rest;

		for (int turn = 0; turn < 2; turn++) {
			buf_reset(&text);
			snprintf(copy, sizeof(copy), "%s", turn ? cases[i].after : cases[i].before);
			for (word = strtok_r(copy, " ", &rest); word;
			     word = strtok_r(NULL, " ", &rest))
				buf_addf(&text, "{\"delivery\":\"%s\"}\n", word);
			if (turn) {
				again(p);
				unlinkat(p->dir, DAY, 0);
			}
			file_write(p->path, DAY, text.data ? text.data : "", text.len, 0600);
			while (turn == 0 && follow_next(p->follow, &p->line, &p->place) == 1)
				;
		}
		if (cases[i].first) {
			expect(p, cases[i].first);
		} else if (i + 1 < LENGTH(cases)) {
			CHECK(follow_next(p->follow, &p->line, &p->place) == 0, "case %zu", i);
		}
		buf_free(&text);
		teardown(state);
		setup(state);
	}
}

/* Goal: of the position of a version before 0.2, earlier days count as read, and what comes to them later does not. */
static void
test_old_position(void **state)
{
	struct place *p = *state;
	struct follow_file at = { .name = NEXT };

	add(p, "2026-11-01.jsonl", 1);
	file_text(p->path, "2026-11-02.jsonl", "{\"delivery\":\"d-2\"}\n{\"deli", 0600);
	assert_int_equal(mkdir(path_in(p->path, "2026-11-03.jsonl"), 0700), 0);
	add(p, DAY, 3);
	add(p, NEXT, 4);
	add(p, NEXT, 5);
	at.offset = strlen(line_of(4)) + 1;
	follow_free(p->follow);
	p->follow = follow_new(p->dir, &at, 1, false);
	expect(p, 5);
	expect_none(p);
	again(p);
	expect_none(p);
	/* This one could not be read yet, but it is old as well. */
	assert_int_equal(rmdir(path_in(p->path, "2026-11-03.jsonl")), 0);
	add(p, "2026-11-03.jsonl", 6);
	expect_none(p);
	add(p, "2026-11-03.jsonl", 7);
	add(p, "2026-11-01.jsonl", 8);
	expect(p, 8);
	expect(p, 7);
	expect_none(p);
}

/* A line of a delivery with a UUID, and as many more bytes. */
static void
add_long(struct place *p, int number, size_t more)
{
	int fd = openat(p->dir, DAY, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	assert_int_not_equal(fd, -1);
	dprintf(fd, "{\"delivery\":\"0193571e-0000-7000-8000-00000000000%d\"%*s}\n", number,
	    (int)more, "");
	close(fd);
}

static void
expect_long(struct place *p, int number)
{
	char want[64];

	CHECK(follow_next(p->follow, &p->line, &p->place) == 1, "line %d is not there", number);
	snprintf(want, sizeof(want), "00000000000%d\"", number);
	CHECK(strstr(p->line.data, want), "%s: not line %d", p->line.data, number);
}

/* Every line gets as long as *user says. */
static int
resize(void *user, const char *line, size_t len, bool whole, struct buf *out)
{
	const char *end = memchr(line, ' ', len);

	(void)whole;
	buf_add(out, line, end && end < line + len ? (size_t)(end - line) : len - 1);
	buf_addf(out, "%*s}", *(int *)user, "");
	return (1);
}

/*
 * Goal: in a file that was rewritten, reading goes on behind the last line read, wherever it is now: whether the
 * worker runs meanwhile or not, and whether lines have become longer or shorter, also where another line ends now at
 * the place of the last one.
 */
static void
test_rewritten(void **state)
{
	/* 50 bytes stand around the blanks, and a newline behind. */
	static const int sizes[] = { 60, 5, 0, 300, 1000 };

	for (size_t i = 0; i < LENGTH(sizes); i++)
		for (int restarted = 0; restarted < 2; restarted++) {
			struct place *p = *state;
			int size = sizes[i];

			add_long(p, 1, 60);
			add_long(p, 2, i % 2 ? 60 : 52 + 60 + 8);
			add_long(p, 3, 60);
			expect_long(p, 1);
			expect_long(p, 2);
			if (restarted)
				again(p);
			assert_int_equal(journal_rewrite(p->dir, DAY, resize, &size), 1);
			if (restarted)
				expect_long(p, 3);
			else
				while (strstr(p->line.data, "0003\"") == NULL)
					expect_long(p, 3);
			expect_none(p);
			add_long(p, 4, 0);
			expect_long(p, 4);
			expect_none(p);
			teardown(state);
			setup(state);
		}
}

/* Goal: only a file that fluidhook has rewritten is gone on with elsewhere. */
static void
test_rewritten_and_replaced(void **state)
{
	struct place *p = *state;
	int size = 7;

	add_long(p, 1, 60);
	add_long(p, 2, 60);
	expect_long(p, 1);
	expect_long(p, 2);
	again(p);
	assert_int_equal(journal_rewrite(p->dir, DAY, resize, &size), 1);
	unlinkat(p->dir, DAY, 0);
	add_long(p, 3, 60);
	add_long(p, 1, 7);
	add_long(p, 2, 7);
	expect_long(p, 3);
	expect_long(p, 1);
	expect_long(p, 2);
	expect_none(p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blocks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_block, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_block_before, setup, teardown),
		cmocka_unit_test_setup_teardown(test_synced_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_what_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rewritten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rewritten_and_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_position, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
