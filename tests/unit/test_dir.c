/* The entries of a directory. Link with --wrap=readdir --wrap=readdir64. */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/dir.h"

static char *directory;
static int readdir_left = -1; /* calls that succeed before one fails; -1: all */

struct dirent *__real_readdir(DIR *stream);
struct dirent *__wrap_readdir(DIR *stream);
struct dirent64 *__real_readdir64(DIR *stream);
struct dirent64 *__wrap_readdir64(DIR *stream);

static bool
fails(void)
{
	if (readdir_left == -1)
		return (false);
	if (readdir_left > 0) {
		readdir_left--;
		return (false);
	}
	errno = EIO;
	return (true);
}

struct dirent *
__wrap_readdir(DIR *stream)
{
	return (fails() ? NULL : __real_readdir(stream));
}

struct dirent64 *
__wrap_readdir64(DIR *stream)
{
	return (fails() ? NULL : __real_readdir64(stream));
}

static int
setup(void **state)
{
	(void)state;
	directory = directory_make();
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	readdir_left = -1;
	directory_remove(directory);
	return (0);
}

/* Goal: each entry comes once, hidden ones as well, "." and ".." do not; the end is not an error. */
static void
test_entries(void **state)
{
	static const char *const names[] = { "a", "b", ".hidden", "..." };
	unsigned seen[LENGTH(names)] = { 0 }, n = 0;
	const char *name;
	struct dir d;
	int more;

	(void)state;
	for (size_t i = 0; i < LENGTH(names); i++)
		file_text(directory, names[i], "", 0600);
	assert_int_equal(dir_open_path(&d, directory), 0);
	errno = EBADF;
	while ((more = dir_next(&d, &name)) == 1) {
		n++;
		for (size_t i = 0; i < LENGTH(names); i++)
			seen[i] += strcmp(names[i], name) == 0;
		errno = EBADF;
	}
	assert_int_equal(more, 0);
	assert_int_equal(n, LENGTH(names));
	for (size_t i = 0; i < LENGTH(names); i++)
		CHECK(seen[i] == 1, "%s", names[i]);
	errno = ENOSPC;
	dir_close(&d);
	dir_close(&d);
	assert_int_equal(errno, ENOSPC);
}

/* Goal: an error at any call is an error, never the end of a shorter list. */
static void
test_error(void **state)
{
	const char *name;
	struct dir d;
	int more;

	(void)state;
	file_text(directory, "a", "", 0600);
	for (int calls = 0; calls < 4; calls++) {
		readdir_left = calls;
		assert_int_equal(dir_open_path(&d, directory), 0);
		while ((more = dir_next(&d, &name)) == 1)
			;
		CHECK(more == -1 && errno == EIO, "failure at call %d", calls + 1);
		dir_close(&d);
	}
	/* The entry itself may be found first; before it, the question has no answer. */
	readdir_left = 0;
	assert_int_equal(dir_has_entries(AT_FDCWD, directory), -1);
	assert_int_equal(errno, EIO);
}

/* Goal: a link is followed only in a path; "." reads from the first entry each time. */
static void
test_open(void **state)
{
	const char *name;
	struct dir d;
	int parent = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	file_text(directory, "file", "", 0600);
	assert_int_equal(mkdirat(parent, "sub", 0700), 0);
	assert_int_equal(symlinkat("sub", parent, "link"), 0);
	assert_int_equal(dir_open(&d, parent, "link"), -1);
	assert_int_equal(errno, ENOTDIR);
	dir_close(&d);
	assert_int_equal(dir_open_path(&d, path_in(directory, "link")), 0);
	dir_close(&d);
	assert_int_equal(dir_open(&d, parent, "missing"), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(dir_open(&d, parent, "file"), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(dir_has_entries(parent, "sub"), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(dir_open(&d, parent, "."), 0);
		assert_true(dir_fd(&d) != parent);
		for (int n = 0; n < 3; n++)
			assert_int_equal(dir_next(&d, &name), 1);
		assert_int_equal(dir_next(&d, &name), 0);
		dir_close(&d);
	}
	assert_int_equal(dir_has_entries(parent, "."), 1);
	close(parent);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_entries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error, setup, teardown),
		cmocka_unit_test_setup_teardown(test_open, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
