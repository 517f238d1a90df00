/* Space that is set aside on the disk. */

#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/durable.h"
#include "store/reserve.h"

static int
set_up(void **state)
{
	*state = directory_make();
	return (0);
}

static int
tear_down(void **state)
{
	directory_remove(*state);
	return (0);
}

static int
open_directory(const char *parent, const char *name)
{
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir;

	assert_true(fd != -1);
	dir = durable_directory(fd, name);
	assert_true(dir != -1);
	close(fd);
	return (dir);
}

/* Goal: reserved space becomes the new content of a file. */
static void
test_use_replaces_the_file(void **state)
{
	char *directory = *state;
	int dir = open_directory(directory, "reserves"), to = open_directory(directory, "records");
	struct reserve r;
	struct stat st;
	struct buf text = { 0 };

	assert_int_equal(durable_replace(to, "a.json", "old", 3, 0600), 0);
	assert_int_equal(reserve_make(&r, dir, "a", 10000), 0);
	assert_int_equal(fstatat(dir, "a", &st, 0), 0);
	/* Blocks, not only a length. */
	assert_true(st.st_blocks * 512 >= 10000);
	assert_int_equal(reserve_use(&r, to, "a.json", "new text", 8), 0);
	assert_int_equal(r.fd, -1);
	assert_int_equal(file_read_at(to, "a.json", 100, &text), 0);
	assert_string_equal(text.data, "new text");
	assert_int_equal(fstatat(to, "a.json", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fstatat(dir, "a", &st, 0), -1);
	/* It is used up. */
	assert_int_equal(reserve_use(&r, to, "a.json", "x", 1), -1);
	reserve_drop(&r);
	buf_free(&text);
	close(dir);
	close(to);
}

/* Goal: reserved space that is dropped is free again, and a leftover does no harm. */
static void
test_drop_gives_it_back(void **state)
{
	int dir = open_directory(*state, "reserves");
	struct reserve r, again;
	struct stat st;

	assert_int_equal(reserve_make(&r, dir, "b", 100), 0);
	/* A leftover does no harm. */
	assert_int_equal(reserve_make(&again, dir, "b", 100), 0);
	close(r.fd);
	reserve_drop(&again);
	assert_int_equal(fstatat(dir, "b", &st, 0), -1);
	reserve_drop(&again);
	close(dir);
}

/* Where there is no room, that is said, and nothing stays. */
static void
test_no_room(void **state)
{
	int dir = open_directory(*state, "reserves");
	struct rlimit before, tiny = { .rlim_cur = 100 };
	struct reserve r;
	struct stat st;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	tiny.rlim_max = before.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tiny), 0);
	assert_int_equal(reserve_make(&r, dir, "c", 100000), -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(r.fd, -1);
	assert_int_equal(fstatat(dir, "c", &st, 0), -1);
	reserve_drop(&r);
	close(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_use_replaces_the_file),
		cmocka_unit_test(test_drop_gives_it_back),
		cmocka_unit_test(test_no_room),
	};

	return (cmocka_run_group_tests(tests, set_up, tear_down));
}
