/* The state directory: what it consists of, what is adopted, what is noticed, and its lock. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/lock.h"
#include "store/state.h"

struct world {
	char *directory;
	char path[4096], why[STATE_WHY_SIZE];
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->directory = directory_make();
	snprintf(w->path, sizeof(w->path), "%s/state", w->directory);
	stderr_capture(w->directory, "log");
	*state = w;
	return (0);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	stderr_restore();
	directory_remove(w->directory);
	free(w);
	return (0);
}

static const char *
in_state(const struct world *w, const char *name)
{
	return (path_in(w->path, name));
}

/* It cannot be opened, for this reason, and the message says so. Nothing was made. */
static void
check_refused(struct world *w, int error, const char *text)
{
	w->why[0] = '\0';
	assert_null(state_open(w->path, w->why));
	CHECK(errno == error, "%s: errno %d", text, errno);
	CHECK(strstr(w->why, "state_dir ") == w->why && strstr(w->why, w->path), "why: %s", w->why);
	CHECK(strstr(w->why, text) != NULL, "why: %s, not: %s", w->why, text);
}

/* Goal: init makes all of it, for its owner only, VERSION included, and a second init changes nothing. */
static void
test_init(void **state)
{
	struct world *w = *state;
	struct state *s = state_make(w->path);
	struct stat st;

	for (int d = 0; d < LAYOUT_N; d++) {
		assert_int_equal(stat(in_state(w, layout_path((enum layout_dir)d)), &st), 0);
		CHECK((st.st_mode & 07777) == 0700, "%s: mode %o", layout_path((enum layout_dir)d),
		    st.st_mode & 07777);
	}
	assert_int_equal(stat(in_state(w, "VERSION"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 2);
	assert_int_equal(state_init(w->path, NULL, NULL, w->why), 0);
	assert_true(state_in_place(s));
	state_close(s);
	/* What is missing later is not made again by init. */
	assert_int_equal(rename(in_state(w, "journal"), path_in(w->directory, "moved")), 0);
	assert_int_equal(state_init(w->path, NULL, NULL, w->why), -1);
	assert_non_null(strstr(w->why, "journal/ is missing"));
	assert_false(file_exists(w->path, "journal"));
}

/* Goal: nothing is made where there is no state directory. */
static void
test_refused(void **state)
{
	struct world *w = *state;

	check_refused(w, ENOENT, "run \"fluidhook init\" or mount it");
	assert_false(file_exists(w->directory, "state"));
	file_text(w->directory, "state", "", 0600);
	check_refused(w, ENOTDIR, "Not a directory");
	assert_int_equal(unlink(w->path), 0);
	assert_int_equal(mkdir(w->path, 0700), 0);
	check_refused(w, ENOENT, "no VERSION file; run \"fluidhook init\" or mount it");
	assert_int_equal(directory_count(w->path), 0);
	/* One that is empty but for its directories is not adopted, either. */
	assert_int_equal(mkdir(in_state(w, "installations"), 0700), 0);
	assert_int_equal(mkdir(in_state(w, "journal"), 0700), 0);
	check_refused(w, ENOENT, "no VERSION file");
	file_text(w->path, "journal/2026-11-23.jsonl", "{}\n", 0600);
	check_refused(w, ENOENT, "no VERSION file");
	assert_int_equal(unlink(in_state(w, "journal/2026-11-23.jsonl")), 0);
	file_text(w->path, "installations/dri_a.json", "{}", 0600);
	file_text(w->path, "journal/notes.txt", "", 0600);
	check_refused(w, ENOENT, "no VERSION file");
	assert_int_equal(directory_count(w->path), 2);
	file_text(w->path, "VERSION", "2\n", 0600);
	check_refused(w, EPROTONOSUPPORT, "VERSION is \"2\"");
	file_text(w->path, "VERSION", "", 0600);
	check_refused(w, EPROTONOSUPPORT, "VERSION is \"\"");
	file_text(w->path, "VERSION", "1 and then much more than a number\n", 0600);
	check_refused(w, EPROTONOSUPPORT, "VERSION is");
	assert_int_equal(unlink(in_state(w, "VERSION")), 0);
	assert_int_equal(symlink("/dev/null", in_state(w, "VERSION")), 0);
	check_refused(w, ELOOP, "VERSION cannot be read");
}

/* Goal: a directory from before 0.2 with data gets what is missing, and VERSION. */
static void
test_adopted(void **state)
{
	struct world *w = *state;
	struct state *s;

	assert_int_equal(mkdir(w->path, 0700), 0);
	assert_int_equal(mkdir(in_state(w, "installations"), 0700), 0);
	assert_int_equal(mkdir(in_state(w, "journal"), 0700), 0);
	file_text(w->path, "installations/dri_a.json", "{}", 0600);
	file_text(w->path, "journal/2026-11-23.jsonl", "{}\n", 0600);
	assert_int_equal(state_is_complete(w->path, w->why), 0);
	assert_false(file_exists(w->path, "VERSION"));
	s = state_open(w->path, w->why);
	CHECK(s != NULL, "%s", w->why);
	assert_true(file_exists(w->path, "VERSION"));
	assert_true(file_exists(w->path, "queue/waiting"));
	assert_true(state_in_place(s));
	state_close(s);
	/* Only then: what is missing from now on stays missing. */
	assert_int_equal(rmdir(in_state(w, "runs")), 0);
	check_refused(w, ENOENT, "runs/ is missing");
	assert_int_equal(state_is_complete(w->path, w->why), -1);
	assert_int_equal(state_is_marked(w->path, w->why), 0);
	assert_int_equal(state_restore(w->path, NULL, NULL, w->why), 0);
	assert_non_null(s = state_open(w->path, w->why));
	state_close(s);
}

/* Goal: each directory that is missing, or is no directory, is named; repair alone makes it again. */
static void
test_missing(void **state)
{
	struct world *w = *state;
	char text[96], name[64], moved[4096];
	struct state *s = state_make(w->path), *again;

	snprintf(moved, sizeof(moved), "%s", path_in(w->directory, "moved"));
	for (int d = 0; d < LAYOUT_N; d++) {
		snprintf(name, sizeof(name), "%s", layout_path((enum layout_dir)d));
		assert_int_equal(rename(in_state(w, name), moved), 0);
		CHECK(!state_in_place(s), "%s", name);
		snprintf(text, sizeof(text), "%s/ is missing", name);
		check_refused(w, ENOENT, text);
		assert_int_equal(symlink("../moved", in_state(w, name)), 0);
		CHECK(!state_in_place(s), "%s", name);
		snprintf(text, sizeof(text), "%s is not a directory", name);
		w->why[0] = '\0';
		assert_null(state_open(w->path, w->why));
		CHECK(strstr(w->why, text) != NULL, "%s", w->why);
		assert_int_equal(unlink(in_state(w, name)), 0);
		assert_int_equal(state_restore(w->path, NULL, NULL, w->why), 0);
		CHECK(!state_in_place(s), "%s", name);
		assert_non_null(again = state_open(w->path, w->why));
		state_close(s);
		s = again;
		CHECK(state_in_place(s), "%s", name);
		directory_remove(strdup(moved));
	}
	assert_int_equal(unlink(in_state(w, "VERSION")), 0);
	assert_false(state_in_place(s));
	assert_int_equal(state_restore(w->path, NULL, NULL, w->why), -1);
	state_close(s);
}

/* Goal: a state directory that was renamed, or another one in its place, is noticed. */
static void
test_replaced(void **state)
{
	struct world *w = *state;
	struct state *s = state_make(w->path), *other;

	assert_int_equal(rename(w->path, path_in(w->directory, "moved")), 0);
	assert_false(state_in_place(s));
	check_refused(w, ENOENT, "No such file or directory");
	other = state_make(w->path);
	assert_false(state_in_place(s));
	assert_true(state_in_place(other));
	state_close(other);
	state_close(s);
}

/* Goal: too little room, or directories that cannot be written, are noticed before a delivery comes. */
static void
test_room(void **state)
{
	struct world *w = *state;
	struct state *s = state_make(w->path);

	assert_int_equal(state_has_room(s, 0), 0);
	assert_int_equal(state_ready(s, 0), 0);
	assert_int_equal(state_has_room(s, UINT64_MAX), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(state_ready(s, UINT64_MAX), -1);
	for (int d = 0; d < LAYOUT_N; d++) {
		if (d == LAYOUT_RUNS || d == LAYOUT_REFUSED || d > LAYOUT_UNCONFIRMED)
			continue;
		assert_int_equal(chmod(in_state(w, layout_path((enum layout_dir)d)), 0500), 0);
		CHECK(state_ready(s, 0) == -1, "%s", layout_path((enum layout_dir)d));
		assert_int_equal(chmod(in_state(w, layout_path((enum layout_dir)d)), 0700), 0);
	}
	state_close(s);
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((double)t.tv_sec + (double)t.tv_nsec / 1e9);
}

struct waiter {
	struct state *state;
	int result, error;
};

static void *
wait_for_lock(void *arg)
{
	struct waiter *waiter = arg;

	waiter->result = state_lock(waiter->state);
	waiter->error = errno;
	if (waiter->result == 0)
		state_unlock(waiter->state);
	return (NULL);
}

/* Goal: another program's lock ends the wait of all threads after 2 s, not one after the other. */
static void
test_lock(void **state)
{
	struct world *w = *state;
	struct state *s = state_make(w->path);
	int other = open(in_state(w, "installations/.lock"), O_RDWR | O_CLOEXEC);
	struct waiter waiters[6];
	pthread_t threads[LENGTH(waiters)];
	struct buf log = { 0 };
	double began;

	assert_int_not_equal(other, -1);
	assert_int_equal(flock(other, LOCK_EX), 0);
	began = seconds();
	for (size_t t = 0; t < LENGTH(waiters); t++) {
		waiters[t] = (struct waiter){ .state = s };
		assert_int_equal(pthread_create(&threads[t], NULL, wait_for_lock, &waiters[t]), 0);
	}
	for (size_t t = 0; t < LENGTH(waiters); t++) {
		pthread_join(threads[t], NULL);
		assert_int_equal(waiters[t].result, -1);
		assert_int_equal(waiters[t].error, ETIMEDOUT);
	}
	CHECK(seconds() - began >= LOCK_WAIT_MS / 1000.0, "after %f s", seconds() - began);
	CHECK(seconds() - began < 2 * LOCK_WAIT_MS / 1000.0, "after %f s", seconds() - began);
	assert_int_equal(state_ready(s, 0), 0);
	file_read(w->directory, "log", &log);
	assert_non_null(strstr(log.data, "installations/.lock"));
	assert_non_null(strstr(log.data, w->path));
	buf_free(&log);
	assert_int_equal(flock(other, LOCK_UN), 0);
	assert_int_equal(state_lock(s), 0);
	state_unlock(s);
	close(other);
	state_close(s);
}

/* Another process of ours: for longer than the wait, one after the other has its turn. */
static void *
take_turns(void *arg)
{
	int fd = *(int *)arg;

	for (int64_t turn = 1; turn <= 6; turn++) {
		if (pwrite(fd, &turn, sizeof(turn), 0) != (ssize_t)sizeof(turn))
			return (arg);
		nanosleep(&(struct timespec){ .tv_nsec = 500000000 }, NULL);
	}
	flock(fd, LOCK_UN);
	return (NULL);
}

/* Goal: processes of our own that have their turns are no other program's lock. */
static void
test_lock_among_processes(void **state)
{
	struct world *w = *state;
	struct state *s = state_make(w->path);
	int other = open(in_state(w, "installations/.lock"), O_RDWR | O_CLOEXEC);
	double began = seconds();
	pthread_t thread;
	void *bad;

	assert_int_equal(flock(other, LOCK_EX), 0);
	assert_int_equal(pthread_create(&thread, NULL, take_turns, &other), 0);
	assert_int_equal(state_lock(s), 0);
	CHECK(seconds() - began > LOCK_WAIT_MS / 1000.0, "after %f s", seconds() - began);
	state_unlock(s);
	pthread_join(thread, &bad);
	assert_null(bad);
	close(other);
	state_close(s);
}

/* Goal: threads of our own wait for each other as long as it takes: that is no other program's lock. */
static void
test_lock_among_threads(void **state)
{
	struct world *w = *state;
	struct state *s = state_make(w->path);
	struct waiter waiters[4];
	pthread_t threads[LENGTH(waiters)];

	assert_int_equal(state_lock(s), 0);
	for (size_t t = 0; t < LENGTH(waiters); t++) {
		waiters[t] = (struct waiter){ .state = s, .result = -2 };
		assert_int_equal(pthread_create(&threads[t], NULL, wait_for_lock, &waiters[t]), 0);
	}
	nanosleep(&(struct timespec){ .tv_sec = LOCK_WAIT_MS / 1000, .tv_nsec = 200000000 }, NULL);
	state_unlock(s);
	for (size_t t = 0; t < LENGTH(waiters); t++) {
		pthread_join(threads[t], NULL);
		assert_int_equal(waiters[t].result, 0);
	}
	state_close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_init, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adopted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_among_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_among_processes, setup, teardown),
	};

	permissions_apply();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
