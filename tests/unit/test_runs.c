/*
 * What was dealt with: remembered by delivery and by key, for the days around a journal file, whatever the clock
 * says; and never forgotten because it could not be written.
 */
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/durable.h"
#include "worker/runs.h"
#include "worker/runs_line.h"

#define DAY "2026-11-23.jsonl"
#define ONE "01a20b4e-0000-7000-8000-000000000001"
#define TWO "01a20b4e-0000-7000-8000-000000000002"
#define KEY_ONE "11111111111111111111111111111111"
#define KEY_TWO "22222222222222222222222222222222"

static bool full; /* no write succeeds */

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);

ssize_t
__wrap_write(int fd, const void *data, size_t len)
{
	if (full && fd > STDERR_FILENO) {
		errno = ENOSPC;
		return (-1);
	}
	return (__real_write(fd, data, len));
}

static unsigned readable; /* entries of a directory, then an error; 0: all */

struct dirent *__real_readdir(DIR *dir);
struct dirent *__wrap_readdir(DIR *dir);
struct dirent64 *__real_readdir64(DIR *dir);
struct dirent64 *__wrap_readdir64(DIR *dir);

static bool
is_broken(void)
{
	if (readable == 0 || --readable)
		return (false);
	errno = EIO;
	return (true);
}

struct dirent *
__wrap_readdir(DIR *dir)
{
	return (is_broken() ? NULL : __real_readdir(dir));
}

/* What readdir() is where a file's size has 64 bits by a macro. */
struct dirent64 *
__wrap_readdir64(DIR *dir)
{
	return (is_broken() ? NULL : __real_readdir64(dir));
}

struct place {
	char *path;
	int dir;
	struct runs *ran;
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	full = false;
	p->path = directory_make();
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p->ran = runs_open(p->dir, p->dir);
	*state = p;
	return (p->ran == NULL);
}

static int
teardown(void **state)
{
	struct place *p = *state;

	full = false;
	runs_close(p->ran);
	close(p->dir);
	directory_remove(p->path);
	free(p);
	return (0);
}

/* What a worker that starts now knows. */
static void
again(struct place *p)
{
	runs_close(p->ran);
	p->ran = runs_open(p->dir, p->dir);
	assert_non_null(p->ran);
}

static enum runs_result
of(struct place *p, const char *file, const char *what)
{
	enum runs_result result;

	assert_int_equal(runs_find(p->ran, file, what, "any", &result), 0);
	return (result);
}

static int
note_at(struct runs *r, const char *file, const char *delivery, const char *key, const char *target,
    enum runs_result result)
{
	const struct run run = {
		.file = file,
		.delivery = delivery,
		.event = "order.created",
		.installation = "dri_1",
		.target = target,
		.key = key,
		.attempt = 3,
		.ms = 41,
		.result = result,
		.why = result == RUNS_DONE ? "" : "exit \"3\"",
	};

	return (runs_add(r, &run) || runs_flush(r) ? -1 : 0);
}

static int
note(struct runs *r, const char *file, const char *delivery, const char *key,
    enum runs_result result)
{
	return (note_at(r, file, delivery, key, "order", result));
}

static enum runs_result
at_target(struct place *p, const char *what, const char *target)
{
	enum runs_result result;

	assert_int_equal(runs_find(p->ran, DAY, what, target, &result), 0);
	return (result);
}

/* Goal: each target has its own memory, but the most specific hooks are one; what failed is not dealt with. */
static void
test_targets(void **state)
{
	struct place *p = *state;

	assert_int_equal(note_at(p->ran, DAY, ONE, KEY_ONE, "order.d/10-crm", RUNS_DONE), 0);
	assert_int_equal(note_at(p->ran, DAY, TWO, KEY_TWO, "order.created", RUNS_GIVEN_UP), 0);
	assert_int_equal(note_at(p->ran, DAY, TWO, KEY_TWO, "order.d/10-crm", RUNS_FAILED), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(at_target(p, ONE, "order.d/10-crm"), RUNS_DONE);
		assert_int_equal(at_target(p, KEY_ONE, "order.d/10-crm"), RUNS_DONE);
		assert_int_equal(at_target(p, ONE, "order.d/20-crm"), RUNS_NOT);
		assert_int_equal(at_target(p, ONE, "forward:erp"), RUNS_NOT);
		assert_int_equal(at_target(p, ONE, "any"), RUNS_NOT);
		assert_int_equal(at_target(p, TWO, "any"), RUNS_GIVEN_UP);
		assert_int_equal(at_target(p, KEY_TWO, "order"), RUNS_GIVEN_UP);
		assert_int_equal(at_target(p, TWO, "order.d/10-crm"), RUNS_NOT);
		again(p);
	}
}

struct listed {
	unsigned n;
	char text[4][256];
};

static void
list(void *user, const struct run *run, const char *at)
{
	struct listed *l = user;

	assert_true(l->n < LENGTH(l->text));
	assert_int_equal(strlen(at), strlen("2026-11-23T08:30:50.123456Z"));
	snprintf(l->text[l->n++], sizeof(l->text[0]), "%s %s %s %s %s %u %lld %s %s", run->delivery,
	    run->event, run->installation, run->target, run->key, run->attempt, run->ms,
	    runs_result_name(run->result), run->why);
}

/* Goal: the attempts of a delivery are read as they were recorded, in their order, and no others. */
static void
test_listed(void **state)
{
	struct place *p = *state;
	struct listed l = { 0 };

	assert_int_equal(note_at(p->ran, DAY, ONE, KEY_ONE, "a.d/b", RUNS_FAILED), 0);
	assert_int_equal(note(p->ran, DAY, TWO, KEY_TWO, RUNS_DONE), 0);
	assert_int_equal(note_at(p->ran, "2026-11-23.2.jsonl", ONE, KEY_ONE, "a.d/b", RUNS_DONE),
	    0);
	assert_int_equal(runs_each(p->dir, DAY, ONE, list, &l), 0);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.text[0],
	    ONE " order.created dri_1 a.d/b " KEY_ONE " 3 41 failed exit \"3\"");
	assert_string_equal(l.text[1], ONE " order.created dri_1 a.d/b " KEY_ONE " 3 41 done ");
	assert_int_equal(runs_each(p->dir, "2026-11-24.jsonl", ONE, list, &l), 0);
	assert_int_equal(l.n, 2);
}

/* Goal: notes are on disk after one write of the batch, also of several days, and synced later. */
static void
test_batch(void **state)
{
	struct place *p = *state;
	struct listed l = { 0 };
	static const char *const files[] = { DAY, DAY, "2026-11-24.jsonl", DAY };

	for (size_t i = 0; i < LENGTH(files); i++)
		assert_int_equal(runs_add(p->ran,
				     &(struct run){ .file = files[i],
					 .delivery = ONE,
					 .event = "order.created",
					 .installation = "",
					 .target = "any",
					 .key = KEY_ONE,
					 .attempt = (unsigned)i,
					 .result = RUNS_DONE,
					 .why = "" }),
		    0);
	assert_int_equal(runs_unsynced(p->ran), 4);
	assert_int_equal(directory_count(p->path), 0);
	assert_int_equal(runs_write(p->ran), 0);
	assert_int_equal(runs_each(p->dir, DAY, ONE, list, &l), 0);
	assert_int_equal(l.n, 3);
	assert_int_equal(runs_flush(p->ran), 0);
	assert_int_equal(runs_unsynced(p->ran), 0);
	again(p);
	assert_int_equal(of(p, "2026-11-24.jsonl", ONE), RUNS_DONE);
}

/* Goal: a note counts for its delivery and for its key, now and for the next worker. */
static void
test_both_names(void **state)
{
	struct place *p = *state;

	assert_int_equal(note(p->ran, DAY, ONE, KEY_ONE, RUNS_DONE), 0);
	assert_int_equal(note(p->ran, DAY, TWO, KEY_TWO, RUNS_GIVEN_UP), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(of(p, DAY, ONE), RUNS_DONE);
		assert_int_equal(of(p, DAY, KEY_ONE), RUNS_DONE);
		assert_int_equal(of(p, DAY, TWO), RUNS_GIVEN_UP);
		assert_int_equal(of(p, DAY, KEY_TWO), RUNS_GIVEN_UP);
		assert_int_equal(of(p, DAY, "01a20b4e"), RUNS_NOT);
		assert_int_equal(of(p, DAY, ""), RUNS_NOT);
		again(p);
	}
	/* Taken back and done: the last note counts. */
	assert_int_equal(note(p->ran, DAY, TWO, KEY_TWO, RUNS_DONE), 0);
	assert_int_equal(of(p, DAY, TWO), RUNS_DONE);
	again(p);
	assert_int_equal(of(p, DAY, TWO), RUNS_DONE);
	assert_false(runs_has_old(p->ran, DAY));
}

/* Goal: two days before or after the journal's day count, and no others. */
static void
test_days_around(void **state)
{
	struct place *p = *state;
	static const struct {
		const char *file;
		bool counts;
	} cases[] = {
		{ "2026-12-28.jsonl", false },
		{ "2026-12-29.jsonl", true },
		{ "2026-12-30.3.jsonl", true },
		{ "2026-12-31.jsonl", true },
		{ "2027-01-01.jsonl", true },
		{ "2027-01-02.jsonl", true },
		{ "2027-01-03.jsonl", false },
		{ "2025-12-31.jsonl", false },
		{ "2026-99-99.jsonl", false },
	};

	assert_int_equal(note(p->ran, "2026-12-31.2.jsonl", ONE, KEY_ONE, RUNS_DONE), 0);
	for (size_t i = 0; i < LENGTH(cases); i++)
		CHECK((of(p, cases[i].file, KEY_ONE) == RUNS_DONE) == cases[i].counts, "%s",
		    cases[i].file);
	/* A name that is no date has its own notes. */
	assert_int_equal(note(p->ran, "2026-99-99.jsonl", TWO, KEY_TWO, RUNS_DONE), 0);
	again(p);
	assert_int_equal(of(p, "2026-99-99.jsonl", KEY_TWO), RUNS_DONE);
}

/* Goal: of a year of notes, each is found, though few days are in memory. */
static void
test_many_days(void **state)
{
	struct place *p = *state;
	char file[JOURNAL_NAME_SIZE], delivery[64];

	for (int turn = 0; turn < 2; turn++) {
		for (int month = 1; month <= 12; month++)
			for (int day = 1; day <= 28; day += 3) {
				snprintf(file, sizeof(file), "2025-%02d-%02d.jsonl", month, day);
				snprintf(delivery, sizeof(delivery), "d-%02d-%02d", month, day);
				if (turn == 0)
					assert_int_equal(note(p->ran, file, delivery, KEY_ONE,
							     RUNS_DONE),
					    0);
				else
					assert_int_equal(of(p, file, delivery), RUNS_DONE);
			}
		assert_int_equal(directory_count(p->path), 120);
	}
}

/* Goal: enough notes for the set to grow several times. */
static void
test_many_notes(void **state)
{
	struct place *p = *state;
	char delivery[64];

	for (int i = 0; i < 2000; i++) {
		snprintf(delivery, sizeof(delivery), "delivery-%d", i);
		assert_int_equal(note(p->ran, DAY, delivery, "", RUNS_DONE), 0);
	}
	for (int turn = 0; turn < 2; turn++) {
		for (int i = 0; i < 2000; i++) {
			snprintf(delivery, sizeof(delivery), "delivery-%d", i);
			CHECK(of(p, DAY, delivery) == RUNS_DONE, "%s", delivery);
		}
		assert_int_equal(of(p, DAY, "delivery-2000"), RUNS_NOT);
		again(p);
	}
}

/* Goal: damage costs the notes it is in, and no others; a note after an unfinished one has its own line. */
static void
test_damage(void **state)
{
	struct place *p = *state;

	static const char good[] = "{\"delivery\":\"" TWO "\",\"target\":\"any\",\"key\":\"" KEY_TWO
				   "\",\"result\":\"discarded\"}\n";
	char text[1024];

	snprintf(text, sizeof(text),
	    "\n \n{}\n[]\n{\"delivery\":\"" ONE "\",\"target\":\"any\",\"result\":\"don\"}\n"
	    "{\"delivery\":\"" ONE "\",\"result\":\"done\"}\n%s"
	    "{\"delivery\":\"" ONE "\",\"target\":\"any\",\"result\":\"done\"}",
	    good);
	file_text(p->path, "2026-11-23.jsonl", text, 0600);
	assert_int_equal(of(p, DAY, ONE), RUNS_NOT);
	assert_int_equal(of(p, DAY, TWO), RUNS_DISCARDED);
	assert_int_equal(of(p, DAY, KEY_TWO), RUNS_DISCARDED);
	assert_int_equal(note(p->ran, DAY, "three", "", RUNS_DONE), 0);
	again(p);
	assert_int_equal(of(p, DAY, "three"), RUNS_DONE);
	/* The last line was whole but for its newline. */
	assert_int_equal(of(p, DAY, ONE), RUNS_DONE);
}

/* Goal: the notes of versions without targets count for the most specific hook. */
static void
test_notes_without_targets(void **state)
{
	struct place *p = *state;

	file_text(p->path, "2026-11-23",
	    "\n \n  \n" ONE " " KEY_ONE " don\n" ONE " " KEY_ONE " donee\n" ONE " done\n" KEY_TWO
	    "0\n" TWO " " KEY_TWO " discarded\n" ONE " " KEY_ONE " do",
	    0600);
	assert_int_equal(of(p, DAY, ONE), RUNS_NOT);
	assert_int_equal(of(p, DAY, KEY_ONE), RUNS_NOT);
	assert_int_equal(of(p, DAY, TWO), RUNS_DISCARDED);
	assert_int_equal(at_target(p, TWO, "order.created"), RUNS_DISCARDED);
	assert_int_equal(at_target(p, KEY_TWO, "order.d/x"), RUNS_NOT);
}

/* Goal: what versions before 0.2 noted is read, and known as that. */
static void
test_old_notes(void **state)
{
	struct place *p = *state;

	file_text(p->path, "2026-11-22", KEY_ONE "\n" KEY_TWO "\n1234\n", 0600);
	assert_true(runs_has_old(p->ran, DAY));
	assert_int_equal(of(p, DAY, KEY_ONE), RUNS_DONE);
	assert_int_equal(of(p, DAY, "1234"), RUNS_NOT);
	assert_false(runs_has_old(p->ran, "2026-12-23.jsonl"));
}

/* Goal: on a full disk nothing is forgotten, and all is written when there is room again. */
static void
test_full_disk(void **state)
{
	struct place *p = *state;
	char file[JOURNAL_NAME_SIZE];

	full = true;
	assert_int_equal(note(p->ran, DAY, ONE, KEY_ONE, RUNS_DONE), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(runs_flush(p->ran), -1);
	/* Other days come and go in memory. */
	for (int day = 1; day <= 28; day++) {
		snprintf(file, sizeof(file), "2025-03-%02d.jsonl", day);
		assert_int_equal(of(p, file, ONE), RUNS_NOT);
		assert_int_equal(note(p->ran, file, "other", "", RUNS_DONE), -1);
	}
	assert_int_equal(of(p, DAY, ONE), RUNS_DONE);
	assert_int_equal(of(p, DAY, KEY_ONE), RUNS_DONE);
	full = false;
	assert_int_equal(runs_flush(p->ran), 0);
	again(p);
	assert_int_equal(of(p, DAY, ONE), RUNS_DONE);
	assert_int_equal(of(p, "2025-03-17.jsonl", "other"), RUNS_DONE);
}

/* Goal: notes that cannot be read are not taken for none. */
static void
test_unreadable(void **state)
{
	struct place *p = *state;
	enum runs_result result;

	assert_int_equal(mkdir(path_in(p->path, "2026-11-23"), 0700), 0);
	assert_int_equal(runs_find(p->ran, DAY, ONE, "any", &result), -1);
	assert_int_equal(runs_find(p->ran, "2026-11-25.jsonl", ONE, "any", &result), -1);
	assert_int_equal(of(p, "2026-11-26.jsonl", ONE), RUNS_NOT);
	/* A note of that day is kept until it can be written. */
	assert_int_equal(note(p->ran, DAY, ONE, KEY_ONE, RUNS_DONE), -1);
	assert_int_equal(rmdir(path_in(p->path, "2026-11-23")), 0);
	assert_int_equal(of(p, DAY, ONE), RUNS_DONE);
	assert_int_equal(runs_flush(p->ran), 0);
	again(p);
	assert_int_equal(of(p, DAY, ONE), RUNS_DONE);
}

/* Goal: space for notes is reserved on disk, and reading and writing go on as before. */
static void
test_reserved(void **state)
{
	struct place *p = *state;
	struct stat st;

	assert_int_equal(runs_reserve(p->ran, DAY), 0);
	assert_int_equal(note(p->ran, DAY, ONE, KEY_ONE, RUNS_DONE), 0);
	assert_int_equal(runs_reserve(p->ran, DAY), 0);
	assert_int_equal(stat(path_in(p->path, "2026-11-23.jsonl"), &st), 0);
	assert_in_range(st.st_size, 200, 400);
	again(p);
	assert_int_equal(of(p, DAY, ONE), RUNS_DONE);
}

/* Goal: notes go with the journal's day, but the newest stay, and all do if the journal has no file at all. */
static void
test_dropped(void **state)
{
	struct place *p = *state;
	char *journal = directory_make();
	int dir = open(journal, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	static const char *const days[] = { "2020-01-01", "2026-01-01", "2026-11-01", "2026-11-02",
		"2036-01-01" };

	for (size_t i = 0; i < LENGTH(days); i++)
		assert_int_equal(note(p->ran, days[i], ONE, "", RUNS_DONE), 0);
	file_text(p->path, "notes", "no day\n", 0600);
	runs_drop_old(p->ran, dir);
	assert_int_equal(directory_count(p->path), 6);
	file_text(journal, "2020-01-01.3.jsonl", "", 0600);
	/* Once a day: not before a new one has begun. */
	runs_drop_old(p->ran, dir);
	assert_int_equal(directory_count(p->path), 6);
	again(p);
	/* Nor while it cannot be seen which days there are: which are the newest is not known. */
	for (unsigned i = 1; i <= 8; i++) {
		readable = i;
		runs_drop_old(p->ran, dir);
		assert_int_equal(directory_count(p->path), 6);
	}
	readable = 0;
	runs_drop_old(p->ran, dir);
	assert_int_equal(directory_count(p->path), 5);
	assert_false(file_exists(p->path, "2026-01-01.jsonl"));
	close(dir);
	directory_remove(journal);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_both_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_days_around, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_days, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_notes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_targets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_notes_without_targets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_notes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reserved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dropped, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
