#include "store/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/timefmt.h"
#include "store/durable.h"
#include "store/journal_files.h"
#include "store/lock.h"

enum { MAX_FILES_A_DAY = 1000 };

/*
 * One open journal file. It outlives its time as the current one until the last thread that wrote
 * to it knows whether its line is on stable storage.
 */
struct file {
	int fd;
	char name[JOURNAL_NAME_SIZE];
	char day[TIMEFMT_DAY_SIZE];
	unsigned users;		/* threads inside journal_append(), and one for being current */
	uint64_t written;	/* lines appended by this process */
	uint64_t synced;	/* of these, on stable storage */
	off_t end;		/* behind our last line, which ended with a newline */
	bool syncing;
	int failed;		/* not 0: nothing more is written here, or synced; the errno for who waits */
	/*
	 * Commits are counted. Who waits for an even one waits apart from who waits for an odd one, so
	 * that the end of a commit wakes those it was for, and one more, who begins the next.
	 */
	unsigned commit;	/* the next to begin, which is for all that is written now */
	pthread_cond_t ended[2];
};

struct journal {
	int dir;
	char *path;
	pthread_mutex_t mutex;
	struct file *current;
	unsigned first_free;	/* number of today's first file that is not known to be bad */
	char bad_day[TIMEFMT_DAY_SIZE];
	bool blocked;		/* a thread has waited for another program's lock in vain */
};

struct journal *
journal_open(int dir, const char *path)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (j == NULL || (j->path = strdup(path)) == NULL) {
		free(j);
		return (NULL);
	}
	j->dir = dir;
	pthread_mutex_init(&j->mutex, NULL);
	return (j);
}

static void
file_release(struct file *f)
{
	if (f == NULL || --f->users)
		return;
	close(f->fd);
	pthread_cond_destroy(&f->ended[0]);
	pthread_cond_destroy(&f->ended[1]);
	free(f);
}

void
journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	file_release(j->current);
	pthread_mutex_destroy(&j->mutex);
	free(j->path);
	free(j);
}

/*
 * The number of the file that the day is written to: the last one, and none that is known to be bad.
 * Returns 0, or -1 with errno set where a file cannot be seen: it may exist.
 */
static int
file_number(const struct journal *j, const char *day, unsigned *number)
{
	char name[JOURNAL_NAME_SIZE];
	struct stat st;

	for (*number = strcmp(j->bad_day, day) == 0 ? j->first_free : 0; *number < MAX_FILES_A_DAY;
	    ++*number) {
		journal_file_name(name, day, *number + 1);
		if (fstatat(j->dir, name, &st, AT_SYMLINK_NOFOLLOW))
			return (errno == ENOENT ? 0 : -1);
	}
	return (0);
}

/* Open the day's file. Its entry is on stable storage when this returns. NULL with errno set. */
static struct file *
file_open(struct journal *j, const char *day)
{
	struct file *f = calloc(1, sizeof(*f));
	struct stat st;
	unsigned number;
	int saved;

	if (f == NULL)
		return (NULL);
	if (file_number(j, day, &number))
		goto err0;
	memcpy(f->day, day, sizeof(f->day));
	journal_file_name(f->name, day, number);
	f->fd = openat(j->dir, f->name,
	    O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (f->fd == -1)
		goto err0;
	if (fstat(f->fd, &st))
		goto err1;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		goto err1;
	}
	/* Also where the file was there before: whoever made it may have died before this. */
	if (sync_directory(j->dir))
		goto err1;
	pthread_cond_init(&f->ended[0], NULL);
	pthread_cond_init(&f->ended[1], NULL);
	f->users = 1;
	return (f);

err1:
	saved = errno;
	close(f->fd);
	errno = saved;
err0:
	saved = errno;
	free(f);
	errno = saved;
	return (NULL);
}

/* Never write to this file again, nor sync it. Who waits for its lines gets this error. */
static void
file_leave(struct file *f, int error)
{
	f->failed = error;
	pthread_cond_broadcast(&f->ended[0]);
	pthread_cond_broadcast(&f->ended[1]);
}

/* The same, and begin another file for the day: what the kernel could not write, it has forgotten. */
static void
file_fail(struct journal *j, struct file *f)
{
	if (!f->failed) {
		log_line(LOG_LEVEL_ERROR, "journal file given up", "file", f->name, NULL);
		j->first_free = (unsigned)journal_file_number(f->name) + 1;
		memcpy(j->bad_day, f->day, sizeof(j->bad_day));
	}
	file_leave(f, EIO);
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return (a->st_ino == b->st_ino && a->st_dev == b->st_dev);
}

/* Whether the file is still the one its name stands for: it may have been removed or moved away. */
static bool
file_in_place(const struct journal *j, const struct file *f, off_t *size)
{
	struct stat here, named;

	if (fstat(f->fd, &here) || fstatat(j->dir, f->name, &named, AT_SYMLINK_NOFOLLOW))
		return (false);
	*size = here.st_size;
	return (same_file(&here, &named));
}

/* Whether that holds from the path on: also the directory can have been moved away or replaced. */
static bool
path_in_place(const struct journal *j, const struct file *f)
{
	struct stat here, named;
	off_t size;

	return (file_in_place(j, f, &size) && fstat(j->dir, &here) == 0 && lstat(j->path, &named) == 0 &&
	    same_file(&here, &named));
}

/*
 * Write the line behind what is there, under the lock. A line that a crash left unfinished is ended
 * first. Returns 0, or -1 with errno set and the file as it was (or given up).
 */
static int
file_write(struct journal *j, struct file *f, off_t size, const char *line, size_t len)
{
	struct iovec parts[3] = {
		{ .iov_base = (char[]){ '\n' }, .iov_len = 0 },
		{ .iov_base = (void *)(uintptr_t)line, .iov_len = len },
		{ .iov_base = (char[]){ '\n' }, .iov_len = 1 },
	};
	ssize_t n, want;
	char last;
	int saved;

	if (size > 0 && size != f->end) {
		if (pread(f->fd, &last, 1, size - 1) != 1)
			return (-1);
		if (last != '\n')
			parts[0].iov_len = 1;
	}
	want = (ssize_t)(parts[0].iov_len + len + 1);
	do {
		n = writev(f->fd, parts, 3);
	} while (n == -1 && errno == EINTR);
	if (n == want) {
		f->written++;
		f->end = size + want;
		return (0);
	}
	saved = n == -1 ? errno : ENOSPC;
	if (n > 0 && ftruncate(f->fd, size))
		file_fail(j, f);
	errno = saved;
	return (-1);
}

/*
 * Lock the current file against other processes. Other threads go on while this one waits for another
 * program. Returns 1, 0 if the current file is another one by then, or -1 with errno set.
 */
static int
file_lock(struct journal *j, struct file *f, struct lock_wait *w)
{
	bool again = true;
	struct stat st;
	int result;

	while ((result = lock_try(f->fd)) && errno == EWOULDBLOCK && again) {
		/* What other processes of ours write shows in the size. */
		if (fstat(f->fd, &st) == 0)
			lock_wait_saw(w, st.st_size);
		f->users++;
		pthread_mutex_unlock(&j->mutex);
		again = lock_wait_pause(w);
		pthread_mutex_lock(&j->mutex);
		file_release(f);
		if (f != j->current || f->failed)
			return (0);
	}
	if (result == 0) {
		j->blocked = false;
		return (1);
	}
	if (errno == EWOULDBLOCK) {
		errno = ETIMEDOUT;
		j->blocked = true;
	}
	log_errno(LOG_LEVEL_ERROR, errno == ETIMEDOUT ? "another program holds the lock" :
	    "cannot be locked", "directory", j->path, "file", f->name, NULL);
	return (-1);
}

/* The file to append to for this day, locked against other processes, and its size. */
static struct file *
file_acquire(struct journal *j, const char *day, off_t *size)
{
	struct lock_wait w;
	struct file *f;
	int locked;

	lock_wait_begin(&w, LOCK_WAIT_MS);
	for (int tries = 0; tries < 3;) {
		f = j->current;
		if (f == NULL || f->failed || strcmp(f->day, day) != 0) {
			if ((f = file_open(j, day)) == NULL)
				return (NULL);
			file_release(j->current);
			j->current = f;
		}
		if ((locked = file_lock(j, f, &w)) == -1)
			return (NULL);
		if (locked == 0)
			continue;
		if (file_in_place(j, f, size))
			return (f);
		flock(f->fd, LOCK_UN);
		file_release(f);
		j->current = NULL;
		tries++;
	}
	errno = ESTALE;
	return (NULL);
}

/* Commit what is written to the file, for all who wrote it. Returns with the mutex held again. */
static void
file_sync(struct journal *j, struct file *f)
{
	uint64_t target = f->written;
	unsigned commit = f->commit++;
	bool in_place;
	int result;

	f->syncing = true;
	pthread_mutex_unlock(&j->mutex);
	result = fdatasync(f->fd);
	if (result)
		log_errno(LOG_LEVEL_ERROR, "journal commit failed", "file", f->name, NULL);
	in_place = path_in_place(j, f);
	pthread_mutex_lock(&j->mutex);
	f->syncing = false;
	if (result) {
		file_fail(j, f);
		return;
	}
	if (!in_place) {
		log_line(LOG_LEVEL_ERROR, "journal file is no longer the one under its name", "directory",
		    j->path, "file", f->name, NULL);
		file_leave(f, ESTALE);
		return;
	}
	f->synced = target;
	pthread_cond_broadcast(&f->ended[commit % 2]);
	pthread_cond_signal(&f->ended[(commit + 1) % 2]);
}

/* Wait until line number `mine` of the file is on stable storage, committing for all when nobody is. */
static int
file_commit(struct journal *j, struct file *f, uint64_t mine)
{
	unsigned commit = f->commit;

	while (f->synced < mine) {
		if (f->failed) {
			errno = f->failed;
			return (-1);
		}
		if (f->syncing)
			pthread_cond_wait(&f->ended[commit % 2], &j->mutex);
		else
			file_sync(j, f);
	}
	return (0);
}

int
journal_append(struct journal *j, const char *line, size_t len, const struct timespec *received)
{
	char day[TIMEFMT_DAY_SIZE];
	struct file *f;
	off_t size;
	int result = -1;

	timefmt_day(day, received->tv_sec);
	pthread_mutex_lock(&j->mutex);
	if ((f = file_acquire(j, day, &size)) == NULL)
		goto out;
	f->users++;
	result = file_write(j, f, size, line, len);
	flock(f->fd, LOCK_UN);
	if (result == 0)
		result = file_commit(j, f, f->written);
	file_release(f);
out:
	pthread_mutex_unlock(&j->mutex);
	return (result);
}

/* Where a thread has waited for the lock in vain: whether it is still held by another program. */
static bool
still_blocked(struct journal *j)
{
	if (j->blocked && j->current && lock_try(j->current->fd) == 0) {
		flock(j->current->fd, LOCK_UN);
		j->blocked = false;
	}
	return (j->blocked);
}

int
journal_ready(struct journal *j, const struct timespec *received)
{
	char day[TIMEFMT_DAY_SIZE], name[JOURNAL_NAME_SIZE];
	struct stat st;
	unsigned number;
	bool blocked;
	int result;

	timefmt_day(day, received->tv_sec);
	pthread_mutex_lock(&j->mutex);
	result = file_number(j, day, &number);
	blocked = result == 0 && still_blocked(j);
	pthread_mutex_unlock(&j->mutex);
	if (blocked)
		errno = ETIMEDOUT;
	if (blocked || result)
		return (-1);
	journal_file_name(name, day, number);
	if (fstatat(j->dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return (errno == ENOENT ? 0 : -1);
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return (-1);
	}
	return (faccessat(j->dir, name, R_OK | W_OK, AT_EACCESS));
}
