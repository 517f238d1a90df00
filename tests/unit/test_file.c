/* Whole files. Link with --wrap=read --wrap=write. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static char *directory;

/* How many calls are interrupted first, and how much one call moves at most (0: all). */
static unsigned interruptions;
static size_t most_a_call;

ssize_t __real_read(int fd, void *out, size_t len);
ssize_t __wrap_read(int fd, void *out, size_t len);
ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);

static bool
is_interrupted(void)
{
	if (interruptions == 0)
		return (false);
	interruptions--;
	errno = EINTR;
	return (true);
}

ssize_t
__wrap_read(int fd, void *out, size_t len)
{
	if (is_interrupted())
		return (-1);
	return (__real_read(fd, out, most_a_call && len > most_a_call ? most_a_call : len));
}

ssize_t
__wrap_write(int fd, const void *data, size_t len)
{
	if (is_interrupted())
		return (-1);
	return (__real_write(fd, data, most_a_call && len > most_a_call ? most_a_call : len));
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
	interruptions = 0;
	most_a_call = 0;
	directory_remove(directory);
	return (0);
}

static unsigned
count_descriptors(void)
{
	return ((unsigned)directory_count("/proc/self/fd"));
}

/* Goal: a file is read whole and appended, in whatever pieces the kernel gives it. */
static void
test_read(void **state)
{
	struct buf out = { 0 };
	char large[10000];

	(void)state;
	memset(large, 'x', sizeof(large));
	file_write(directory, "large", large, sizeof(large), 0600);
	buf_adds(&out, "before ");
	interruptions = 2;
	most_a_call = 999;
	assert_int_equal(file_read_path(path_in(directory, "large"), sizeof(large), &out), 0);
	assert_int_equal(out.len, 7 + sizeof(large));
	assert_memory_equal(out.data, "before xxx", 10);
	assert_int_equal(out.data[out.len], '\0');
	buf_free(&out);
}

/* Goal: a file of the most bytes is read, one more is EFBIG; an empty one gives the empty text. */
static void
test_bounds(void **state)
{
	struct buf out = { 0 };

	(void)state;
	file_text(directory, "ten", "0123456789", 0600);
	file_text(directory, "empty", "", 0600);
	assert_int_equal(file_read_path(path_in(directory, "ten"), 10, &out), 0);
	assert_int_equal(out.len, 10);
	assert_int_equal(file_read_path(path_in(directory, "ten"), 9, &out), -1);
	assert_int_equal(errno, EFBIG);
	buf_reset(&out);
	assert_int_equal(file_read_path(path_in(directory, "empty"), 0, &out), 0);
	assert_string_equal(out.data, "");
	buf_free(&out);
}

/* Goal: what is no regular file is EINVAL and does not block; a link counts only where a path may be one. */
static void
test_kinds(void **state)
{
	struct buf out = { 0 };
	int dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	unsigned before = count_descriptors();

	(void)state;
	file_text(directory, "file", "text", 0600);
	assert_int_equal(symlinkat("file", dir, "link"), 0);
	assert_int_equal(mkfifoat(dir, "pipe", 0600), 0);
	assert_int_equal(mkdirat(dir, "sub", 0700), 0);

	assert_int_equal(file_read_at(dir, "pipe", 100, &out), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(file_read_path(path_in(directory, "sub"), 100, &out), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(file_read_at(dir, "link", 100, &out), -1);
	assert_int_equal(errno, ELOOP);
	assert_int_equal(file_read_at(dir, "missing", 100, &out), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(out.len, 0);
	assert_int_equal(file_read_path(path_in(directory, "link"), 100, &out), 0);
	assert_string_equal(out.data, "text");
	assert_int_equal(count_descriptors(), before);
	close(dir);
	buf_free(&out);
}

/* Goal: any right of others is EPERM and nothing is read; the judged file is the one behind the link. */
static void
test_secret(void **state)
{
	static const mode_t open_modes[] = { 0604, 0602, 0601, 0647 };
	struct buf out = { 0 };
	struct stat st;

	(void)state;
	file_text(directory, "secret", "s3cret", 0640);
	assert_int_equal(symlink("secret", path_in(directory, "link")), 0);
	assert_int_equal(file_read_secret(path_in(directory, "link"), 100, &out, &st), 0);
	assert_string_equal(out.data, "s3cret");
	assert_int_equal(st.st_size, 6);
	buf_reset(&out);
	for (size_t i = 0; i < LENGTH(open_modes); i++) {
		assert_int_equal(chmod(path_in(directory, "secret"), open_modes[i]), 0);
		CHECK(file_read_secret(path_in(directory, "link"), 100, &out, NULL) == -1 &&
			errno == EPERM && out.len == 0,
		    "mode %o", (unsigned)open_modes[i]);
	}
	assert_string_equal(file_problem(EPERM), "open to other users: chmod o= it");
	assert_string_equal(file_problem(ENOENT), strerror(ENOENT));
	buf_wipe(&out);
}

/* Goal: all is written in spite of signals and short writes, and read back from a pipe to its end. */
static void
test_write(void **state)
{
	struct buf out = { 0 };
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	interruptions = 3;
	most_a_call = 4;
	assert_int_equal(file_write_all(ends[1], "0123456789", 10), 0);
	close(ends[1]);
	assert_int_equal(file_read_all(ends[0], 10, &out), 0);
	assert_string_equal(out.data, "0123456789");
	close(ends[0]);
	assert_int_equal(file_write_all(ends[1], "x", 1), -1);
	assert_int_equal(errno, EBADF);
	buf_free(&out);
}

/* Goal: closing leaves errno as it was, whether there was anything to close or not. */
static void
test_close(void **state)
{
	unsigned before = count_descriptors();

	(void)state;
	errno = ENOSPC;
	file_close(-1);
	file_close_stream(NULL);
	assert_int_equal(errno, ENOSPC);
	errno = EIO;
	file_close(1000000);
	assert_int_equal(errno, EIO);
	file_close(open("/dev/null", O_RDONLY | O_CLOEXEC));
	file_close_stream(fopen("/dev/null", "re"));
	assert_int_equal(count_descriptors(), before);
}

/* Goal: every line comes once and in order, without its newline; a mark at the beginning is not part of it. */
static void
test_lines(void **state)
{
	struct buf text = { 0 };
	const char *line;
	size_t at = 0, len;

	(void)state;
	assert_null(file_next_line(&text, &at, &len));
	buf_adds(&text,
	    "\xef\xbb\xbf"
	    "first\n\nthird\r\nlast");
	line = file_next_line(&text, &at, &len);
	assert_int_equal(len, 5);
	assert_memory_equal(line, "first", 5);
	assert_non_null(file_next_line(&text, &at, &len));
	assert_int_equal(len, 0);
	line = file_next_line(&text, &at, &len);
	assert_int_equal(len, 6);
	assert_memory_equal(line, "third\r", 6);
	line = file_next_line(&text, &at, &len);
	assert_int_equal(len, 4);
	assert_memory_equal(line, "last", 4);
	assert_null(file_next_line(&text, &at, &len));
	buf_reset(&text);
	buf_adds(&text, "\xef\xbb\xbf");
	at = 0;
	assert_null(file_next_line(&text, &at, &len));
	buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secret, setup, teardown),
		cmocka_unit_test_setup_teardown(test_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_close, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
