/* The indexes shops/ and companies/, and files replaced whole. No extra link flags. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/durable.h"
#include "store/index.h"

struct place {
	char *path;
	int dir;
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

struct seen {
	char names[16][NAME_SIZE];
	unsigned n, stop_at;
};

static int
note(void *user, const char *record)
{
	struct seen *s = user;

	snprintf(s->names[s->n++], NAME_SIZE, "%s", record);
	return (s->n == s->stop_at);
}

/* Goal: an entry is a symbolic link to the record, made once however often it is added. */
static void
test_add(void **state)
{
	struct place *p = *state;
	struct seen s = { .n = 0 };
	struct stat st;
	char target[256] = "";

	for (int round = 0; round < 2; round++)
		assert_int_equal(index_add(p->dir, "acme", "dri_a"), 0);
	assert_true(readlink(path_in(p->path, "acme/dri_a"), target, sizeof(target) - 1) > 0);
	assert_string_equal(target, "../../installations/dri_a.json");
	assert_int_equal(stat(path_in(p->path, "acme"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(index_add(p->dir, "acme", "dri_b"), 0);
	assert_int_equal(index_each(p->dir, "acme", 0, note, &s), 0);
	assert_int_equal(s.n, 2);
	assert_string_not_equal(s.names[0], s.names[1]);
}

/* Goal: whatever stands where the link belongs is put right. */
static void
test_repair(void **state)
{
	struct place *p = *state;
	char target[256] = "";

	assert_int_equal(mkdir(path_in(p->path, "acme"), 0700), 0);
	assert_int_equal(symlink("/etc/passwd", path_in(p->path, "acme/dri_a")), 0);
	file_text(path_in(p->path, "acme"), "dri_b", "", 0600);
	assert_int_equal(index_add(p->dir, "acme", "dri_a"), 0);
	assert_int_equal(index_add(p->dir, "acme", "dri_b"), 0);
	assert_true(readlink(path_in(p->path, "acme/dri_a"), target, sizeof(target) - 1) > 0);
	assert_string_equal(target, "../../installations/dri_a.json");
	assert_true(readlink(path_in(p->path, "acme/dri_b"), target, sizeof(target) - 1) > 0);
}

/* Goal: a key's directory that is a symbolic link is not followed, by nobody. */
static void
test_no_links_followed(void **state)
{
	struct place *p = *state;
	struct seen s = { .n = 0 };

	assert_int_equal(mkdir(path_in(p->path, "elsewhere"), 0700), 0);
	assert_int_equal(symlink("elsewhere", path_in(p->path, "acme")), 0);
	assert_int_equal(index_add(p->dir, "acme", "dri_a"), -1);
	assert_int_equal(index_each(p->dir, "acme", 0, note, &s), -1);
	assert_int_equal(index_remove(p->dir, "acme", "dri_a"), -1);
	assert_int_equal(directory_count(path_in(p->path, "elsewhere")), 0);
}

/* Goal: removing takes one entry away; where there is none, nothing is wrong. */
static void
test_remove(void **state)
{
	struct place *p = *state;
	struct seen s = { .n = 0 };

	assert_int_equal(index_remove(p->dir, "acme", "dri_a"), 0);
	assert_int_equal(index_add(p->dir, "acme", "dri_a"), 0);
	assert_int_equal(index_add(p->dir, "acme", "dri_b"), 0);
	assert_int_equal(index_remove(p->dir, "acme", "dri_a"), 0);
	assert_int_equal(index_remove(p->dir, "acme", "dri_a"), 0);
	assert_int_equal(index_each(p->dir, "acme", 0, note, &s), 0);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.names[0], "dri_b");
}

/* Goal: a walk passes over unsafe names, keeps its bound, and ends when told to. */
static void
test_each(void **state)
{
	struct place *p = *state;
	struct seen s = { .n = 0 };
	char name[16];

	assert_int_equal(index_each(p->dir, "nobody", 0, note, &s), 0);
	assert_int_equal(s.n, 0);
	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "dri_%d", i);
		assert_int_equal(index_add(p->dir, "acme", name), 0);
	}
	assert_int_equal(symlink("x", path_in(p->path, "acme/.hidden")), 0);
	assert_int_equal(symlink("x", path_in(p->path, "acme/a b")), 0);
	assert_int_equal(index_each(p->dir, "acme", 0, note, &s), 0);
	assert_int_equal(s.n, 8);
	s = (struct seen){ .n = 0 };
	assert_int_equal(index_each(p->dir, "acme", 3, note, &s), 0);
	assert_int_equal(s.n, 3);
	s = (struct seen){ .stop_at = 2 };
	assert_int_equal(index_each(p->dir, "acme", 0, note, &s), 0);
	assert_int_equal(s.n, 2);
}

/*
 * Goal: a file is replaced whole, with its mode, past a crash's leftover, and never through a
 * link.
 */
static void
test_replace(void **state)
{
	struct place *p = *state;
	struct buf text = { 0 };
	struct stat st;

	file_text(p->path, "target", "untouched", 0600);
	assert_int_equal(symlink("target", path_in(p->path, "f")), 0);
	file_text(p->path, ".f.new", "half of someth", 0600);
	assert_int_equal(durable_replace(p->dir, "f", "one\0two", 7, 0640), 0);
	assert_int_equal(lstat(path_in(p->path, "f"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(file_read_at(p->dir, "f", 100, &text), 0);
	assert_int_equal(text.len, 7);
	assert_memory_equal(text.data, "one\0two", 8);
	buf_reset(&text);
	file_read(p->path, "target", &text);
	assert_string_equal(text.data, "untouched");
	assert_int_equal(directory_count(p->path), 2);
	assert_int_equal(durable_replace(p->dir, "no/such", "x", 1, 0600), -1);
	assert_int_equal(directory_count(p->path), 2);
	buf_free(&text);
}

/*
 * Goal: reading refuses what is too large, no regular file, or a link; a size at the bound is
 * fine.
 */
static void
test_read(void **state)
{
	struct place *p = *state;
	struct buf text = { 0 };

	file_text(p->path, "f", "12345", 0600);
	assert_int_equal(file_read_at(p->dir, "f", 5, &text), 0);
	assert_string_equal(text.data, "12345");
	assert_int_equal(file_read_at(p->dir, "f", 4, &text), -1);
	assert_int_equal(errno, EFBIG);
	assert_int_equal(file_read_at(p->dir, "none", 5, &text), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(mkdir(path_in(p->path, "directory"), 0700), 0);
	assert_int_equal(file_read_at(p->dir, "directory", 5, &text), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(mkfifo(path_in(p->path, "fifo"), 0600), 0);
	assert_int_equal(file_read_at(p->dir, "fifo", 5, &text), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(symlink("f", path_in(p->path, "link")), 0);
	assert_int_equal(file_read_at(p->dir, "link", 5, &text), -1);
	assert_int_equal(errno, ELOOP);
	buf_free(&text);
}

static int
must_not_be_called(void *user, const char *record)
{
	(void)user;
	fail_msg("%s found", record);
	return (1);
}

/* Goal: a key that is no safe name is unknown, whatever lies there. */
static void
test_unsafe_key(void **state)
{
	static const char *const keys[] = { "../acme", "./acme", "acme/", ".", "..", "", "a b" };
	struct place *p = *state;

	assert_int_equal(index_add(p->dir, "acme", "dri_a"), 0);
	for (size_t i = 0; i < LENGTH(keys); i++)
		CHECK(index_each(p->dir, keys[i], 0, must_not_be_called, NULL) == 0, "%s", keys[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_add, setup, teardown),
		cmocka_unit_test_setup_teardown(test_repair, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_links_followed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unsafe_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
