/*
 * One delivery by its UUID: at the place that its time gives, without reading the rest of the file. What is
 * not at its place is not found here, and nothing else is found in its stead.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/uuid.h"
#include "store/journal_find.h"
#include "wrap.h"

enum { LINES = 20000, BEGIN = 1700000000 };

static const char file[] = "2026-11-23.jsonl";

struct place {
	char *path;
	int dir;
	struct buf text, line;
};

static size_t bytes_read;

ssize_t __real_pread(int fd, void *data, size_t len, off_t at) AS_PREAD("__real_");
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at) AS_PREAD("__wrap_");

/* Counts what is read. */
ssize_t
__wrap_pread(int fd, void *data, size_t len, off_t at)
{
	bytes_read += len;
	return (__real_pread(fd, data, len, at));
}

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
	buf_free(&p->text);
	buf_free(&p->line);
	free(p);
	return (0);
}

/* The UUID of delivery number n, received at this time in ms. */
static const char *
uuid_of(uint64_t ms, unsigned n)
{
	static char uuid[UUID_SIZE];

	snprintf(uuid, sizeof(uuid), "%08" PRIx64 "-%04" PRIx64 "-7%03x-8000-%012x", ms >> 16,
	    ms & 0xffff, n % 4096, n);
	return (uuid);
}

static void
add_line(struct place *p, uint64_t ms, unsigned n, size_t body)
{
	buf_addf(&p->text, "{\"delivery\":\"%s\",\"body\":\"", uuid_of(ms, n));
	for (size_t i = 0; i < body; i++)
		buf_addc(&p->text, (char)('a' + (i + n) % 26));
	buf_adds(&p->text, "\"}\n");
}

static void
write_lines(struct place *p)
{
	file_write(p->path, file, p->text.data, p->text.len, 0600);
}

static uint64_t
time_of_number(unsigned n)
{
	return (BEGIN * UINT64_C(1000) + n * 7);
}

static void
expect_found(struct place *p, uint64_t ms, unsigned n, size_t body)
{
	const char *uuid = uuid_of(ms, n);
	char begin[80];

	CHECK(journal_find(p->dir, file, uuid, &p->line) == 1, "number %u", n);
	snprintf(begin, sizeof(begin), "{\"delivery\":\"%s\",", uuid);
	CHECK(strncmp(p->line.data, begin, strlen(begin)) == 0, "number %u: %.80s", n,
	    p->line.data);
	CHECK(p->line.len == strlen(begin) + body + strlen("\"body\":\"\"}"), "number %u: %zu", n,
	    p->line.len);
}

static void
expect_absent(struct place *p, uint64_t ms, unsigned n)
{
	CHECK(journal_find(p->dir, file, uuid_of(ms, n), &p->line) == 0, "number %u", n);
}

/* Goal: every delivery of a large file is found, and little of the file is read for it. */
static void
test_at_its_place(void **state)
{
	struct place *p = *state;

	for (unsigned n = 0; n < LINES; n++)
		add_line(p, time_of_number(n), n, 700 + n % 900);
	write_lines(p);
	for (unsigned n = 0; n < LINES; n += n < 20 || n > LINES - 20 ? 1 : 397) {
		bytes_read = 0;
		expect_found(p, time_of_number(n), n, 700 + n % 900);
		CHECK(bytes_read < (1 << 20) && bytes_read < p->text.len / 10, "number %u: %zu", n,
		    bytes_read);
	}
	expect_absent(p, time_of_number(0) - 1, 0);
	expect_absent(p, time_of_number(50) + 1, 50);
	expect_absent(p, time_of_number(50), 51);
	expect_absent(p, time_of_number(LINES), LINES);
}

/* Goal: lines that several processes wrote, each a little late, are found where they are. */
static void
test_nearly_in_order(void **state)
{
	struct place *p = *state;

	for (unsigned n = 0; n < LINES; n++)
		add_line(p, time_of_number(n) - n * 37 % 200, n, 400);
	write_lines(p);
	for (unsigned n = 0; n < LINES; n += 97)
		expect_found(p, time_of_number(n) - n * 37 % 200, n, 400);
}

/* Goal: one that is far from its place is not found, and its neighbours are. */
static void
test_out_of_place(void **state)
{
	struct place *p = *state;

	for (unsigned n = 0; n < LINES; n++)
		add_line(p, n == 15000 ? time_of_number(10) + 1 : time_of_number(n), n, 400);
	write_lines(p);
	expect_absent(p, time_of_number(10) + 1, 15000);
	for (unsigned n = 14990; n < 15010; n++)
		if (n != 15000)
			expect_found(p, time_of_number(n), n, 400);
}

/* Goal: lines larger than what is read at once are found whole. */
static void
test_long_lines(void **state)
{
	struct place *p = *state;

	for (unsigned n = 0; n < 40; n++)
		add_line(p, time_of_number(n), n, n % 5 ? 300000 : 10);
	write_lines(p);
	for (unsigned n = 0; n < 40; n++)
		expect_found(p, time_of_number(n), n, n % 5 ? 300000 : 10);
}

/* Goal: what a crash left at the end is no line, and a body that quotes a line is none either. */
static void
test_what_is_no_line(void **state)
{
	struct place *p = *state;

	add_line(p, time_of_number(1), 1, 10);
	buf_addf(&p->text, "{\"delivery\":\"%s\",\"body\":\"", uuid_of(time_of_number(2), 2));
	buf_addf(&p->text, "{\"delivery\":\"%s\"\"}\n", uuid_of(time_of_number(3), 3));
	buf_addf(&p->text, "{\"delivery\":\"%s\",\"body\":\"half", uuid_of(time_of_number(4), 4));
	write_lines(p);
	expect_found(p, time_of_number(1), 1, 10);
	expect_absent(p, time_of_number(3), 3);
	expect_absent(p, time_of_number(4), 4);
}

/* Goal: a file that is not as the receiver writes it is not found anything in, and one that is no file is an error. */
static void
test_other_files(void **state)
{
	struct place *p = *state;

	assert_int_equal(journal_find(p->dir, file, uuid_of(1, 1), &p->line), -1);
	assert_int_equal(errno, ENOENT);
	file_text(p->path, file, "", 0600);
	expect_absent(p, time_of_number(1), 1);
	for (unsigned n = 0; n < LINES; n++)
		buf_addf(&p->text, "{\"body\":\"\",\"delivery\":\"%s\"}\n",
		    uuid_of(time_of_number(n), n));
	write_lines(p);
	expect_absent(p, time_of_number(1), 1);
	assert_int_equal(journal_find(p->dir, file, "not-a-uuid", &p->line), 0);
	assert_int_equal(unlinkat(p->dir, file, 0), 0);
	assert_int_equal(mkdirat(p->dir, file, 0700), 0);
	assert_int_equal(journal_find(p->dir, file, uuid_of(1, 1), &p->line), -1);
	assert_int_equal(errno, EINVAL);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_at_its_place),
		TEST(test_nearly_in_order),
		TEST(test_out_of_place),
		TEST(test_long_lines),
		TEST(test_what_is_no_line),
		TEST(test_other_files),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
