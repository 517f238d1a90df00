#include "store/journal_output.h"

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

#include "base/file.h"
#include "base/log.h"
#include "base/timefmt.h"
#include "store/durable.h"
#include "store/journal_files.h"
#include "store/journal_rewrite.h"
#include "store/lock.h"

enum { MAX_FILES_A_DAY = 1000, PARTS_MAX = 128 };

/* One open journal file. Only the thread that commits opens, writes or closes one. */
struct file {
	int fd;
	char name[JOURNAL_NAME_SIZE];
	char day[TIMEFMT_DAY_SIZE];
	off_t end;   /* behind our last line, which ended with a newline */
	bool failed; /* nothing more is written here, or synced */
};

struct journal_output {
	int dir;
	char *path;

	pthread_mutex_t mutex; /* of the files; held only for moments, as health wants it */
	struct file *current;
	unsigned first_free; /* number of today's first file that is not known to be bad */
	char bad_day[TIMEFMT_DAY_SIZE];
	bool blocked; /* the lock of another program was waited for in vain */
};

struct journal_output *
journal_output_open(int dir, const char *path)
{
	struct journal_output *j = calloc(1, sizeof(*j));

	if (j == NULL || (j->path = strdup(path)) == NULL) {
		free(j);
		return (NULL);
	}
	j->dir = dir;
	pthread_mutex_init(&j->mutex, NULL);
	return (j);
}

static void
file_free(struct file *f)
{
	if (f)
		close(f->fd);
	free(f);
}

void
journal_output_close(struct journal_output *j)
{
	if (j == NULL)
		return;
	file_free(j->current);
	pthread_mutex_destroy(&j->mutex);
	free(j->path);
	free(j);
}

/*
 * The number of the file that the day is written to: the last one, and none that is known to be bad.
 * Returns 0, or -1 with errno set where a file cannot be seen: it may exist.
 */
static int
file_number(const struct journal_output *j, const char *day, unsigned *number)
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
file_open(struct journal_output *j, const char *day)
{
	struct file *f = calloc(1, sizeof(*f));
	struct stat st;
	unsigned number;

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
	return (f);

err1:
	file_close(f->fd);
err0:
	free(f);
	return (NULL);
}

/* Begin another file for the day: what the kernel could not write, it has forgotten. */
static void
file_fail(struct journal_output *j, struct file *f)
{
	log_line(LOG_LEVEL_ERROR, "journal file given up", "file", f->name, NULL);
	j->first_free = (unsigned)journal_file_number(f->name) + 1;
	memcpy(j->bad_day, f->day, sizeof(j->bad_day));
	f->failed = true;
}

static bool
same_file(const struct stat *a, const struct stat *b)
{
	return (a->st_ino == b->st_ino && a->st_dev == b->st_dev);
}

/* Whether the file is still the one its name stands for: it may have been removed or moved away. */
static bool
file_in_place(const struct journal_output *j, const struct file *f)
{
	struct stat here, named;

	if (fstat(f->fd, &here) || fstatat(j->dir, f->name, &named, AT_SYMLINK_NOFOLLOW))
		return (false);
	return (same_file(&here, &named));
}

/* Whether the journal directory is the one under its path: it can have been moved away or replaced. */
static bool
directory_in_place(const struct journal_output *j)
{
	struct stat here, named;

	return (
	    fstat(j->dir, &here) == 0 && lstat(j->path, &named) == 0 && same_file(&here, &named));
}

/* Write these parts whole, and add their size to *end. Returns 0, or -1 with errno set. */
static int
write_parts(int fd, const struct iovec *parts, int n, off_t *end)
{
	size_t want = 0;
	ssize_t done;

	for (int i = 0; i < n; i++)
		want += parts[i].iov_len;
	do {
		done = writev(fd, parts, n);
	} while (done == -1 && errno == EINTR);
	if (done == -1)
		return (-1);
	*end += done;
	errno = ENOSPC;
	return (done == (ssize_t)want ? 0 : -1);
}

/* Write the lines before `last` (NULL: all). *end, the end of the file, is moved. Returns 0, or -1 with errno. */
static int
write_lines(int fd, const struct journal_line *first, const struct journal_line *last, bool newline,
    off_t *end)
{
	static const char nl = '\n';
	struct iovec newline_part = { (void *)(uintptr_t)&nl, 1 }, parts[PARTS_MAX];
	int n = 0;

	if (newline)
		parts[n++] = newline_part;
	for (const struct journal_line *l = first; l != last; l = STAILQ_NEXT(l, link)) {
		if (n + 2 > PARTS_MAX) {
			if (write_parts(fd, parts, n, end))
				return (-1);
			n = 0;
		}
		parts[n++] = (struct iovec){ (void *)(uintptr_t)l->text, l->len };
		parts[n++] = newline_part;
	}
	return (write_parts(fd, parts, n, end));
}

/*
 * Write lines behind what is there, under the lock. A line that a crash left unfinished is ended first.
 * Returns 0, or -1 with errno set and the file as it was (or given up).
 */
static int
file_write(struct journal_output *j, struct file *f, const struct journal_line *first,
    const struct journal_line *last)
{
	struct stat st;
	char ending = '\n';
	off_t end;
	int saved;

	if (fstat(f->fd, &st))
		return (-1);
	/* If another program cuts the file off just now, nothing is read, and that sets no errno. */
	errno = EIO;
	if (st.st_size > 0 && st.st_size != f->end && pread(f->fd, &ending, 1, st.st_size - 1) != 1)
		return (-1);
	end = st.st_size;
	if (write_lines(f->fd, first, last, ending != '\n', &end) == 0) {
		f->end = end;
		return (0);
	}
	saved = errno;
	if (end != st.st_size && ftruncate(f->fd, st.st_size))
		file_fail(j, f);
	errno = saved;
	return (-1);
}

/*
 * Lock the file against other processes. Health is answered while this waits for another program.
 * Returns 0, or -1 with errno set.
 */
static int
file_lock(struct journal_output *j, struct file *f, struct lock_wait *w)
{
	bool again = true;
	struct stat st;
	int result;

	while ((result = lock_try(f->fd)) && errno == EWOULDBLOCK && again) {
		/* What other processes of ours write shows in the size. */
		if (fstat(f->fd, &st) == 0)
			lock_wait_saw(w, st.st_size);
		pthread_mutex_unlock(&j->mutex);
		again = lock_wait_pause(w);
		pthread_mutex_lock(&j->mutex);
	}
	if (result == 0) {
		j->blocked = false;
		return (0);
	}
	if (errno == EWOULDBLOCK) {
		errno = ETIMEDOUT;
		j->blocked = true;
	}
	log_errno(LOG_LEVEL_ERROR,
	    errno == ETIMEDOUT ? "another program holds the lock" : "cannot be locked", "directory",
	    j->path, "file", f->name, NULL);
	return (-1);
}

/* The file to append to for this day, locked against other processes. NULL with errno set. */
static struct file *
file_acquire(struct journal_output *j, const char *day)
{
	struct lock_wait w;
	struct file *f;

	lock_wait_begin(&w, LOCK_WAIT_MS);
	for (int tries = 0; tries < 3; tries++) {
		f = j->current;
		if (f == NULL || f->failed || strcmp(f->day, day) != 0) {
			if ((f = file_open(j, day)) == NULL)
				return (NULL);
			file_free(j->current);
			j->current = f;
		}
		if (file_lock(j, f, &w))
			return (NULL);
		if (file_in_place(j, f))
			return (f);
		file_free(f);
		j->current = NULL;
	}
	errno = ESTALE;
	return (NULL);
}

/*
 * Whether the lines that were written to the file are in the one that has its name now: it was rewritten between the
 * write and the sync (store/journal_rewrite.h), which synced the new one before the name changed.
 */
static bool
was_rewritten(const struct journal_output *j, const struct file *f,
    const struct journal_lines *lines)
{
	const struct journal_line *l;

	if (!directory_in_place(j))
		return (false);
	STAILQ_FOREACH(l, lines, link)
	if (l->error == 0 && !journal_rewrite_has(j->dir, f->name, l->text, l->len))
		return (false);
	return (sync_directory(j->dir) == 0);
}

/* Commit these lines, which were written to the file. Returns 0, or -1 with errno set. */
static int
file_sync(struct journal_output *j, struct file *f, const struct journal_lines *lines)
{
	if (fdatasync(f->fd)) {
		log_errno(LOG_LEVEL_ERROR, "journal commit failed", "file", f->name, NULL);
		pthread_mutex_lock(&j->mutex);
		file_fail(j, f);
		pthread_mutex_unlock(&j->mutex);
		errno = EIO;
		return (-1);
	}
	if (!file_in_place(j, f) || !directory_in_place(j)) {
		f->failed = true;
		if (was_rewritten(j, f, lines))
			return (0);
		log_line(LOG_LEVEL_ERROR, "journal file is no longer the one under its name",
		    "directory", j->path, "file", f->name, NULL);
		errno = ESTALE;
		return (-1);
	}
	return (0);
}

/* Write the lines; each by itself where they do not fit together. Returns whether any was written. */
static bool
write_batch(struct journal_output *j, struct file *f, const struct journal_lines *lines)
{
	struct journal_line *l;
	bool any = false;

	if (file_write(j, f, STAILQ_FIRST(lines), NULL) == 0)
		return (true);
	STAILQ_FOREACH(l, lines, link)
	{
		if (f->failed)
			errno = EIO;
		if (f->failed || file_write(j, f, l, STAILQ_NEXT(l, link)))
			l->error = errno;
		else
			any = true;
	}
	return (any && !f->failed);
}

void
journal_output_write(struct journal_output *j, const char *day,
    void (*take)(void *user, const char *day, struct journal_lines *lines), void *user,
    struct journal_lines *lines)
{
	struct journal_line *l;
	struct file *f;
	bool written = false;
	int error = 0;

	pthread_mutex_lock(&j->mutex);
	if ((f = file_acquire(j, day)) == NULL)
		error = errno;
	/* Now, so that those that came while this waited for the lock are among them. */
	take(user, day, lines);
	if (f) {
		written = write_batch(j, f, lines);
		flock(f->fd, LOCK_UN);
		if (f->failed)
			error = EIO;
	}
	pthread_mutex_unlock(&j->mutex);
	if (written && file_sync(j, f, lines))
		error = errno;
	STAILQ_FOREACH(l, lines, link)
	if (l->error == 0)
		l->error = error;
}

/* Where a thread has waited for the lock in vain: whether it is still held by another program. */
static bool
still_blocked(struct journal_output *j)
{
	if (j->blocked && j->current && lock_try(j->current->fd) == 0) {
		flock(j->current->fd, LOCK_UN);
		j->blocked = false;
	}
	return (j->blocked);
}

int
journal_output_ready(struct journal_output *j, const struct timespec *received)
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
