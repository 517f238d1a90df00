/*
 * The journal: lines that are whole, in order, and on stable storage when the call returns.
 * Link with: -Wl,--wrap=fdatasync,--wrap=fsync,--wrap=fstatat,--wrap=pread
 */
#include "support.h"
#include "wrap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "store/journal.h"
#include "store/journal_rewrite.h"
#include "store/lock.h"

enum { THREADS = 8, PROCESSES = 4, LINES = 60, DEADLINE_MS = 5000 };

static const struct timespec today = { .tv_sec = 1795422650, .tv_nsec = 5 };

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fstatat(int dir, const char *name, struct stat *st, int flags) AS_FSTATAT("__real_");
int __wrap_fstatat(int dir, const char *name, struct stat *st, int flags) AS_FSTATAT("__wrap_");

ssize_t __real_pread(int fd, void *data, size_t len, off_t at) AS_PREAD("__real_");
ssize_t __wrap_pread(int fd, void *data, size_t len, off_t at) AS_PREAD("__wrap_");

/* What the commits did, and shall do. */
static atomic_long commits;        /* begun */
static atomic_long committed_size; /* the file's size when the last finished one began */
static atomic_long directory_syncs;
static atomic_long failures_left;       /* so many commits fail from now on */
static int fsync_error;                 /* of directories; 0: none */
static const char *unseen;              /* the name of a file that cannot be looked at */
static bool cut_off;                    /* files have become shorter than they were */
static const char *move_from, *move_to; /* what is renamed while a commit is under way */

struct place;
static void (*in_commit)(struct place *p); /* called once, while a commit is under way */
static struct place *in_commit_place;

int
__wrap_fdatasync(int fd)
{
	void (*call)(struct place * p) = in_commit;
	struct stat st = { 0 };

	atomic_fetch_add(&commits, 1);
	in_commit = NULL;
	if (call)
		call(in_commit_place);
	fstat(fd, &st);
	if (atomic_load(&failures_left) > 0) {
		atomic_fetch_sub(&failures_left, 1);
		errno = EIO;
		return (-1);
	}
	if (__real_fdatasync(fd))
		return (-1);
	if (move_from)
		rename(move_from, move_to);
	atomic_store(&committed_size, (long)st.st_size);
	return (0);
}

int
__wrap_fsync(int fd)
{
	atomic_fetch_add(&directory_syncs, 1);
	if (fsync_error) {
		errno = fsync_error;
		return (-1);
	}
	return (__real_fsync(fd));
}

int
__wrap_fstatat(int dir, const char *name, struct stat *st, int flags)
{
	if (unseen && strcmp(name, unseen) == 0) {
		errno = EIO;
		return (-1);
	}
	return (__real_fstatat(dir, name, st, flags));
}

ssize_t
__wrap_pread(int fd, void *data, size_t len, off_t at)
{
	return (cut_off ? 0 : __real_pread(fd, data, len, at));
}

struct place {
	char *path;
	int dir;
	struct journal *journal;
	struct rlimit limit; /* as it was before the test */
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	commits = committed_size = directory_syncs = failures_left = 0;
	fsync_error = 0;
	in_commit = NULL;
	unseen = move_from = move_to = NULL;
	cut_off = false;
	p->path = directory_make();
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p->journal = journal_open(p->dir, p->path);
	getrlimit(RLIMIT_FSIZE, &p->limit);
	stderr_capture(p->path, ".log");
	*state = p;
	return (p->journal == NULL);
}

static int
teardown(void **state)
{
	struct place *p = *state;

	setrlimit(RLIMIT_FSIZE, &p->limit);
	signal(SIGXFSZ, SIG_DFL);
	stderr_restore();
	journal_close(p->journal);
	close(p->dir);
	directory_remove(p->path);
	free(p);
	return (0);
}

static int
append(struct place *p, const char *line)
{
	return (journal_append(p->journal, line, strlen(line), &today));
}

static void
expect_file(struct place *p, const char *name, const char *want)
{
	struct buf text = { 0 };

	file_read(p->path, name, &text);
	CHECK_TEXT(text.data, want, name);
	buf_free(&text);
}

/* Goal: lines stand one behind the other in the file of the UTC day they were received. */
static void
test_append(void **state)
{
	static const char want[] = "{\"a\":1}\n{\"b\":\"\\n\"}\n";
	struct place *p = *state;
	struct timespec t = today;
	struct stat st;
	mode_t mask = umask(0);

	assert_int_equal(append(p, "{\"a\":1}"), 0);
	umask(mask);
	assert_int_equal(append(p, "{\"b\":\"\\n\"}"), 0);
	expect_file(p, "2026-11-23.jsonl", want);
	assert_int_equal(stat(path_in(p->path, "2026-11-23.jsonl"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	t.tv_sec = 1795478399;
	assert_int_equal(journal_append(p->journal, "last", 4, &t), 0);
	t.tv_sec++;
	assert_int_equal(journal_append(p->journal, "first", 5, &t), 0);
	expect_file(p, "2026-11-24.jsonl", "first\n");
	/* a clock that was set back, or a slow thread */
	assert_int_equal(append(p, "late"), 0);
	expect_file(p, "2026-11-23.jsonl", "{\"a\":1}\n{\"b\":\"\\n\"}\nlast\nlate\n");
}

/* Goal: each append returns after a commit that began when its line was in the file. */
static void
test_commit_before_return(void **state)
{
	struct place *p = *state;
	struct stat st;

	for (long i = 1; i <= 5; i++) {
		assert_int_equal(append(p, "line"), 0);
		assert_int_equal(commits, i);
		assert_int_equal(stat(path_in(p->path, "2026-11-23.jsonl"), &st), 0);
		assert_int_equal(committed_size, st.st_size);
	}
	/* and the file's name is on stable storage, too */
	assert_true(directory_syncs >= 1);
}

/* Goal: a new journal on an old file does not trust its entry to be on stable storage. */
static void
test_directory_committed(void **state)
{
	struct place *p = *state;

	file_text(p->path, "2026-11-23.jsonl", "old\n", 0600);
	assert_int_equal(append(p, "new"), 0);
	assert_true(directory_syncs >= 1);
	expect_file(p, "2026-11-23.jsonl", "old\nnew\n");
}

/* Goal: a line that a crash left unfinished stays alone on its line. */
static void
test_unfinished(void **state)
{
	struct place *p = *state;

	file_text(p->path, "2026-11-23.jsonl", "one\n{\"delivery\":\"tw", 0600);
	assert_int_equal(append(p, "three"), 0);
	assert_int_equal(append(p, "four"), 0);
	expect_file(p, "2026-11-23.jsonl", "one\n{\"delivery\":\"tw\nthree\nfour\n");
}

/* Goal: a line counts as written only if it was, also where another program cuts the file off just then. */
static void
test_cut_off(void **state)
{
	struct place *p = *state;
	int fd;

	assert_int_equal(append(p, "one"), 0);
	fd = open(path_in(p->path, "2026-11-23.jsonl"), O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(write(fd, "other\n", 6), 6);
	close(fd);
	cut_off = true;
	errno = 0;
	assert_int_equal(append(p, "two"), -1);
	assert_int_equal(errno, EIO);
	cut_off = false;
	assert_int_equal(append(p, "three"), 0);
	expect_file(p, "2026-11-23.jsonl", "one\nother\nthree\n");
}

/* Goal: a file that was moved away or removed is not written to any more. */
static void
test_moved(void **state)
{
	struct place *p = *state;

	assert_int_equal(append(p, "one"), 0);
	assert_int_equal(rename(path_in(p->path, "2026-11-23.jsonl"), path_in(p->path, "old")), 0);
	assert_int_equal(append(p, "two"), 0);
	expect_file(p, "old", "one\n");
	expect_file(p, "2026-11-23.jsonl", "two\n");
	assert_int_equal(unlink(path_in(p->path, "2026-11-23.jsonl")), 0);
	assert_int_equal(append(p, "three"), 0);
	expect_file(p, "2026-11-23.jsonl", "three\n");
}

/* Goal: a symbolic link, a pipe or a directory in the file's place is refused. */
static void
test_not_a_file(void **state)
{
	struct place *p = *state;

	file_text(p->path, "target", "", 0600);
	assert_int_equal(symlink("target", path_in(p->path, "2026-11-23.jsonl")), 0);
	assert_int_equal(append(p, "one"), -1);
	expect_file(p, "target", "");
	assert_int_equal(unlink(path_in(p->path, "2026-11-23.jsonl")), 0);
	assert_int_equal(mkfifo(path_in(p->path, "2026-11-23.jsonl"), 0600), 0);
	assert_int_equal(append(p, "one"), -1);
	assert_int_equal(unlink(path_in(p->path, "2026-11-23.jsonl")), 0);
	assert_int_equal(mkdir(path_in(p->path, "2026-11-23.jsonl"), 0700), 0);
	assert_int_equal(append(p, "one"), -1);
	assert_int_equal(rmdir(path_in(p->path, "2026-11-23.jsonl")), 0);
	assert_int_equal(append(p, "one"), 0);
}

/* Goal: a line that did not fit is cut off again, so that the next one begins where it began. */
static void
test_no_room(void **state)
{
	struct place *p = *state;
	struct rlimit small = p->limit;
	struct buf text = { 0 };
	int results[4];

	assert_int_equal(append(p, "one"), 0);
	small.rlim_cur = 10;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	/* a part of it fits; a line that fits whole; and with no byte left, nothing does */
	results[0] = append(p, "this does not fit");
	results[1] = append(p, "three");
	results[2] = append(p, "four");
	results[3] = append(p, "");
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &p->limit), 0);
	assert_int_equal(results[0], -1);
	assert_int_equal(results[1], 0);
	assert_int_equal(results[2], -1);
	assert_int_equal(results[3], -1);
	assert_int_equal(append(p, "five"), 0);
	file_read(p->path, "2026-11-23.jsonl", &text);
	assert_string_equal(text.data, "one\nthree\nfive\n");
	buf_free(&text);
}

/* Goal: after a failed commit the file is never used again, by this journal or the next. */
static void
test_commit_fails(void **state)
{
	struct place *p = *state;
	struct journal *next;

	assert_int_equal(append(p, "one"), 0);
	failures_left = 1;
	assert_int_equal(append(p, "two"), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(commits, 2);
	assert_int_equal(append(p, "three"), 0);
	expect_file(p, "2026-11-23.1.jsonl", "three\n");
	failures_left = 1;
	assert_int_equal(append(p, "four"), -1);
	assert_int_equal(append(p, "five"), 0);
	expect_file(p, "2026-11-23.2.jsonl", "five\n");
	assert_non_null(next = journal_open(p->dir, p->path));
	assert_int_equal(journal_append(next, "six", 3, &today), 0);
	journal_close(next);
	expect_file(p, "2026-11-23.2.jsonl", "five\nsix\n");
	/* another day begins afresh */
	assert_int_equal(journal_append(p->journal, "seven", 5,
			     &(struct timespec){ .tv_sec = 1795500000 }),
	    0);
	assert_true(file_exists(p->path, "2026-11-24.jsonl"));
}

/* Goal: a file that is moved away while its lines are committed does not hold them for certain. */
static void
test_moved_in_commit(void **state)
{
	struct place *p = *state;
	char from[4096], to[4096];

	snprintf(from, sizeof(from), "%s/2026-11-23.jsonl", p->path);
	snprintf(to, sizeof(to), "%s/moved", p->path);
	assert_int_equal(append(p, "one"), 0);
	move_from = from;
	move_to = to;
	assert_int_equal(append(p, "two"), -1);
	assert_int_equal(errno, ESTALE);
	move_from = NULL;
	assert_int_equal(append(p, "three"), 0);
	expect_file(p, "2026-11-23.jsonl", "three\n");
}

#define FIRST "{\"delivery\":\"0193571e-0000-7000-8000-000000000001\""
#define SECOND "{\"delivery\":\"0193571e-0000-7000-8000-000000000002\""

/* Every line is longer afterwards, so that all behind the first move. */
static int
lengthen(void *user, const char *line, size_t len, bool whole, struct buf *out)
{
	(void)user;
	assert_true(whole);
	assert_int_equal(line[len - 1], '}');
	buf_add(out, line, len - 1);
	buf_adds(out, ",\"more\":\"of it\"}");
	return (1);
}

static void
rewrite_in_commit(struct place *p)
{
	assert_int_equal(journal_rewrite(p->dir, "2026-11-23.jsonl", lengthen, NULL), 1);
}

static void
replace_in_commit(struct place *p)
{
	assert_int_equal(unlinkat(p->dir, "2026-11-23.jsonl", 0), 0);
	file_text(p->path, "2026-11-23.jsonl", FIRST "}\n", 0600);
}

/*
 * Goal: lines that are in a file that was rewritten between their write and their sync are stored, and the next ones
 * go to that file. In one that was replaced otherwise they are not.
 */
static void
test_rewritten_in_commit(void **state)
{
	struct place *p = *state;

	assert_int_equal(append(p, FIRST "}"), 0);
	in_commit = rewrite_in_commit;
	in_commit_place = p;
	assert_int_equal(append(p, SECOND "}"), 0);
	expect_file(p, "2026-11-23.jsonl",
	    FIRST ",\"more\":\"of it\"}\n" SECOND ",\"more\":\"of it\"}\n");
	assert_int_equal(append(p, "three"), 0);
	expect_file(p, "2026-11-23.jsonl",
	    FIRST ",\"more\":\"of it\"}\n" SECOND ",\"more\":\"of it\"}\nthree\n");
	in_commit = replace_in_commit;
	assert_int_equal(append(p, SECOND "}"), -1);
	assert_int_equal(errno, ESTALE);
}

/* Goal: the same for the whole directory, whose file still has its name. */
static void
test_directory_moved_in_commit(void **state)
{
	struct place *p = *state;
	char to[4096];

	snprintf(to, sizeof(to), "%s.moved", p->path);
	assert_int_equal(append(p, "one"), 0);
	move_from = p->path;
	move_to = to;
	assert_int_equal(append(p, "two"), -1);
	assert_int_equal(errno, ESTALE);
	move_from = NULL;
	assert_int_equal(append(p, "three"), -1);
	assert_int_equal(errno, ESTALE);
	assert_int_equal(mkdir(p->path, 0700), 0);
	assert_int_equal(append(p, "four"), -1);
	assert_int_equal(errno, ESTALE);
	assert_int_equal(rmdir(p->path), 0);
	assert_int_equal(rename(to, p->path), 0);
	assert_int_equal(append(p, "five"), 0);
}

/* Goal: a directory that cannot be synced keeps nothing for certain; the log says which call that is. */
static void
test_directory_not_synced(void **state)
{
	struct place *p = *state;
	struct buf log = { 0 };

	fsync_error = EINVAL;
	assert_int_equal(append(p, "one"), -1);
	assert_int_equal(errno, EINVAL);
	file_read(p->path, ".log", &log);
	assert_non_null(strstr(log.data, "call=fsync"));
	assert_non_null(strstr(log.data, "file_system="));
	buf_free(&log);
	fsync_error = 0;
	assert_int_equal(append(p, "two"), 0);
	expect_file(p, "2026-11-23.jsonl", "two\n");
}

/* Goal: a file of the day that cannot be looked at is not taken for one that does not exist. */
static void
test_unseen(void **state)
{
	struct place *p = *state;

	file_text(p->path, "2026-11-23.jsonl", "", 0600);
	file_text(p->path, "2026-11-23.1.jsonl", "", 0600);
	unseen = "2026-11-23.1.jsonl";
	assert_int_equal(append(p, "one"), -1);
	assert_int_equal(errno, EIO);
	assert_int_equal(journal_ready(p->journal, &today), -1);
	unseen = NULL;
	assert_int_equal(journal_ready(p->journal, &today), 0);
	assert_int_equal(append(p, "two"), 0);
	expect_file(p, "2026-11-23.jsonl", "");
	expect_file(p, "2026-11-23.1.jsonl", "two\n");
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((double)t.tv_sec + (double)t.tv_nsec / 1e9);
}

static void *
append_locked_out(void *arg)
{
	return (append(arg, "never") == -1 && errno == ETIMEDOUT ? arg : NULL);
}

/* Goal: another program's lock delays all threads for 2 s together, and health not at all. */
static void
test_locked_out(void **state)
{
	struct place *p = *state;
	pthread_t threads[THREADS];
	struct buf log = { 0 };
	double began, asked;
	void *result;
	int other;

	assert_int_equal(append(p, "one"), 0);
	other = open(path_in(p->path, "2026-11-23.jsonl"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(other, LOCK_EX), 0);
	began = seconds();
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, append_locked_out, p), 0);
	asked = seconds();
	journal_ready(p->journal, &today);
	CHECK(seconds() - asked < 1, "health waited %f s", seconds() - asked);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		assert_ptr_equal(result, p);
	}
	CHECK(seconds() - began < 2 * LOCK_WAIT_MS / 1000.0, "waited %f s", seconds() - began);
	file_read(p->path, ".log", &log);
	assert_non_null(strstr(log.data, "2026-11-23.jsonl"));
	buf_free(&log);
	/* A delivery would get 503 now. */
	assert_int_equal(journal_ready(p->journal, &today), -1);
	assert_int_equal(errno, ETIMEDOUT);
	close(other);
	assert_int_equal(journal_ready(p->journal, &today), 0);
	assert_int_equal(append(p, "two"), 0);
	expect_file(p, "2026-11-23.jsonl", "one\ntwo\n");
}

/* Other processes of ours: for longer than the wait, one after the other has its turn. */
static void *
take_turns(void *arg)
{
	int fd = *(int *)arg;

	for (int turn = 0; turn < 6; turn++) {
		if (write(fd, "theirs\n", 7) != 7)
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
	struct place *p = *state;
	double began = seconds();
	pthread_t thread;
	void *bad;
	int other;

	assert_int_equal(append(p, "one"), 0);
	other = open(path_in(p->path, "2026-11-23.jsonl"), O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_int_equal(flock(other, LOCK_EX), 0);
	assert_int_equal(pthread_create(&thread, NULL, take_turns, &other), 0);
	assert_int_equal(append(p, "two"), 0);
	CHECK(seconds() - began > LOCK_WAIT_MS / 1000.0, "after %f s", seconds() - began);
	pthread_join(thread, &bad);
	assert_null(bad);
	close(other);
}

static void *
append_one(void *arg)
{
	return (append(arg, "a line of 20 bytes.") == 0 ? NULL : arg);
}

static size_t
append_in_threads(struct place *p)
{
	pthread_t threads[THREADS];
	size_t failed = 0;
	void *result;

	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, append_one, p), 0);
	for (size_t i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &result);
		failed += result != NULL;
	}
	return (failed);
}

/*
 * Goal: a commit that fails fails for everybody whose line is in that file, and for nobody else.
 */
static void
test_group_fails(void **state)
{
	struct place *p = *state;
	struct buf text = { 0 };
	size_t failed;

	failures_left = 1;
	failed = append_in_threads(p);
	assert_in_range(failed, 1, THREADS);
	if (failed < THREADS)
		file_read(p->path, "2026-11-23.1.jsonl", &text);
	assert_int_equal(text.len, 20 * (THREADS - failed));
	buf_free(&text);
}

/* A line in a batch, and what was heard of it. */
struct batched {
	struct journal_line line;
	struct place *place;
	struct batched *next; /* added by done() */
	atomic_int told;
};

static void
on_batched(struct journal_line *line)
{
	struct batched *b = (struct batched *)line;

	b->told++;
	if (b->next)
		journal_add(b->place->journal, &b->next->line, &today);
}

static void
add_text(struct place *p, struct batched *b, const char *text)
{
	*b = (struct batched){ .line = { .text = text, .len = strlen(text), .done = on_batched },
		.place = p };
	journal_add(p->journal, &b->line, &today);
}

static void
expect_told(const struct batched *b, int error, const char *what)
{
	CHECK(b->told == 1, "%s: told %d times", what, b->told);
	CHECK(b->line.error == error, "%s: error %d", what, b->line.error);
}

/* Goal: all that waits is written by one commit, in order, and nobody is told before or twice. */
static void
test_batch(void **state)
{
	struct place *p = *state;
	struct batched b[200];
	char texts[200][8];
	struct buf expected = { 0 };

	for (int i = 0; i < 200; i++) {
		snprintf(texts[i], sizeof(texts[i]), "%d", i);
		add_text(p, &b[i], texts[i]);
		buf_addf(&expected, "%d\n", i);
	}
	assert_int_equal(b[0].told, 0);
	journal_commit(p->journal);
	assert_int_equal(commits, 1);
	for (int i = 0; i < 200; i++)
		expect_told(&b[i], 0, texts[i]);
	expect_file(p, "2026-11-23.jsonl", expected.data);
	buf_free(&expected);
	journal_commit(p->journal);
	assert_int_equal(commits, 1);
}

/* Goal: a commit that fails is told to each of its lines once; the next batch goes to another file. */
static void
test_batch_fails(void **state)
{
	struct place *p = *state;
	struct batched b[10], next;

	failures_left = 1;
	for (size_t i = 0; i < LENGTH(b); i++)
		add_text(p, &b[i], "lost");
	b[3].next = &next;
	next = (struct batched){ .line = { .text = "kept", .len = 4, .done = on_batched },
		.place = p };
	journal_commit(p->journal);
	for (size_t i = 0; i < LENGTH(b); i++)
		expect_told(&b[i], EIO, "a line of the batch");
	expect_told(&next, 0, "the line after it");
	expect_file(p, "2026-11-23.1.jsonl", "kept\n");
}

static struct batched late[9];

static void
add_late(struct place *p)
{
	for (size_t i = 0; i < LENGTH(late); i++)
		add_text(p, &late[i], "late");
	/* Somebody commits: this does not wait. */
	journal_commit(p->journal);
	assert_int_equal(late[0].told, 0);
}

/* Goal: what comes while a commit is under way shares the next one, which nobody has to ask for. */
static void
test_batch_meanwhile(void **state)
{
	struct place *p = *state;
	struct batched first;

	add_text(p, &first, "first");
	in_commit = add_late;
	in_commit_place = p;
	journal_commit(p->journal);
	assert_int_equal(commits, 2);
	expect_told(&first, 0, "first");
	for (size_t i = 0; i < LENGTH(late); i++)
		expect_told(&late[i], 0, "late");
}

/* Goal: each line goes to the file of its own day. */
static void
test_batch_days(void **state)
{
	struct place *p = *state;
	struct batched before, after;

	add_text(p, &before, "before");
	after = (struct batched){ .line = { .text = "after", .len = 5, .done = on_batched },
		.place = p };
	journal_add(p->journal, &after.line, &(struct timespec){ .tv_sec = today.tv_sec + 86400 });
	journal_commit(p->journal);
	assert_int_equal(commits, 2);
	expect_told(&before, 0, "before midnight");
	expect_told(&after, 0, "after midnight");
	expect_file(p, "2026-11-23.jsonl", "before\n");
	expect_file(p, "2026-11-24.jsonl", "after\n");
}

/* Goal: a line that does not fit takes no other with it. */
static void
test_batch_no_room(void **state)
{
	struct place *p = *state;
	struct rlimit small = p->limit;
	struct batched one, large, two;

	add_text(p, &one, "one");
	add_text(p, &large, "this does not fit");
	add_text(p, &two, "two");
	small.rlim_cur = 10;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	journal_commit(p->journal);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &p->limit), 0);
	expect_told(&one, 0, "one");
	CHECK(large.told == 1 && large.line.error != 0, "the large one was taken");
	expect_told(&two, 0, "two");
	expect_file(p, "2026-11-23.jsonl", "one\ntwo\n");
}

static void *
add_many(void *arg)
{
	struct batched *b = calloc(LINES, sizeof(*b));

	for (int i = 0; i < LINES; i++) {
		add_text(arg, &b[i], "a line of 20 bytes.");
		if (i % 7 == 0)
			journal_commit(((struct place *)arg)->journal);
	}
	journal_commit(((struct place *)arg)->journal);
	return (b);
}

/* Goal: with many threads, each line is written once and told once. */
static void
test_batch_threads(void **state)
{
	struct place *p = *state;
	pthread_t threads[THREADS];
	struct batched *b[THREADS];
	struct buf text = { 0 };

	for (size_t t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&threads[t], NULL, add_many, p), 0);
	for (size_t t = 0; t < THREADS; t++)
		pthread_join(threads[t], (void **)&b[t]);
	for (size_t t = 0; t < THREADS; t++)
		for (int i = 0; i < LINES; i++)
			expect_told(&b[t][i], 0, "a line");
	for (size_t t = 0; t < THREADS; t++)
		free(b[t]);
	file_read(p->path, "2026-11-23.jsonl", &text);
	assert_int_equal(text.len, 20 * THREADS * LINES);
	buf_free(&text);
}

struct writer {
	struct place *place;
	int number;
};

/* Lines of all lengths, each saying whose it is and ending in the same way. */
static void *
append_many(void *arg)
{
	const struct writer *w = arg;
	static const char fill[] =
	    "................................................................";
	char line[128];

	for (int i = 0; i < LINES; i++) {
		snprintf(line, sizeof(line), "%03d %03d %.*s end", w->number, i, (i * 7) % 64,
		    fill);
		if (append(w->place, line))
			return (arg);
	}
	return (NULL);
}

/* One process's part. Returns its exit status. */
static int
append_as_process(struct place *p, int process)
{
	pthread_t threads[4];
	struct writer writers[4];
	int failed = 0;
	void *result;

	/* a journal of its own, which ends with the process */
	if ((p->journal = journal_open(p->dir, p->path)) == NULL)
		return (1);
	for (int i = 0; i < 4; i++) {
		writers[i] = (struct writer){ p, process * 4 + i };
		if (pthread_create(&threads[i], NULL, append_many, &writers[i]))
			return (1);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], &result);
		failed |= result != NULL;
	}
	return (failed);
}

/*
 * Be a writer that runs out of room again and again: half a line, then cut off, all under the
 * lock.
 */
static void
cut_again_and_again(struct place *p)
{
	struct stat st;
	int fd;

	for (int i = 0; i < 300; i++) {
		fd = openat(p->dir, "2026-11-23.jsonl", O_RDWR | O_APPEND | O_CLOEXEC);
		if (fd == -1 || flock(fd, LOCK_EX) || fstat(fd, &st) ||
		    write(fd, "half a li", 9) != 9)
			_exit(1);
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
		if (ftruncate(fd, st.st_size))
			_exit(1);
		close(fd);
	}
	_exit(0);
}

/*
 * Goal: lines of several processes, each with several threads, are all there, whole, in each one's
 * order.
 */
static void
test_many_writers(void **state)
{
	struct place *p = *state;
	int next[4 * PROCESSES] = { 0 }, status, who, number;
	pid_t pids[PROCESSES + 1];
	struct buf text = { 0 };
	size_t lines = 0;

	file_text(p->path, "2026-11-23.jsonl", "", 0600);
	for (int i = 0; i <= PROCESSES; i++) {
		assert_int_not_equal(pids[i] = fork(), -1);
		if (pids[i] == 0 && i == PROCESSES)
			cut_again_and_again(p);
		if (pids[i] == 0)
			_exit(append_as_process(p, i));
	}
	for (int i = 0; i <= PROCESSES; i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	file_read(p->path, "2026-11-23.jsonl", &text);
	for (char *line = strtok(text.data, "\n"); line; line = strtok(NULL, "\n"), lines++) {
		CHECK(sscanf(line, "%3d %3d ", &who, &number) == 2 && who < 4 * PROCESSES &&
			strcmp(line + strlen(line) - 4, " end") == 0 &&
			strlen(line) == (size_t)(12 + (number * 7) % 64),
		    "broken: %s", line);
		CHECK(next[who]++ == number, "%s: out of its order", line);
	}
	assert_int_equal(lines, 4 * PROCESSES * LINES);
	buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_append, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commit_before_return, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory_committed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfinished, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_a_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commit_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moved_in_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rewritten_in_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory_moved_in_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directory_not_synced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unseen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock_among_processes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_group_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_batch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_batch_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(test_batch_meanwhile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_batch_days, setup, teardown),
		cmocka_unit_test_setup_teardown(test_batch_no_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_batch_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_writers, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
