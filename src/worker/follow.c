#include "worker/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/timefmt.h"
#include "store/durable.h"
#include "worker/resume.h"

enum {
	BLOCK = 256 * 1024,
	LINE_LIMIT = 512 << 20,
	SCAN_MS = 5000, /* how often files that nothing is expected of are looked at */
	LOCK_MS = 2000, /* how long to wait for another program's lock */
	LOCK_PAUSE_MS = 2,
};

struct reading {
	struct follow_file at;
	int fd;           /* -1: not open */
	uint64_t synced;  /* what is before this is on stable storage; 0 for another fd */
	struct stat seen; /* the file when it had been read to its end; st_ino 0: never */
	int error;        /* why it cannot be read now: errno; 0: it can */
};

struct follow {
	int dir;
	struct reading *files; /* in order */
	struct follow_file *position;
	unsigned n, cap;
	unsigned current; /* the file that is read now */
	bool begun;       /* going through the files; else the next call begins with the first */
	bool all;         /* going through all of them */
	bool complete;
	struct stat dir_seen;
	int64_t scanned; /* milliseconds of CLOCK_BOOTTIME; 0: never */
	/* Whole lines of the current file that were read ahead: block holds them from `start` to its end. */
	struct buf block;
	size_t start;
	uint64_t line; /* where the line returned last begins */
};

static int64_t
boot_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return ((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

const char *
follow_problem(int error)
{
	switch (error) {
	case EWOULDBLOCK:
		return ("another program holds a lock on it");
	case EINVAL:
		return ("is no regular file");
	case ELOOP:
		return ("is a symbolic link");
	default:
		return (strerror(error));
	}
}

/* Put a file in its place in the order. Returns it, or NULL with errno ENOMEM. */
static struct reading *
insert(struct follow *f, const char *name)
{
	unsigned at = 0;
	void *more;

	while (at < f->n && journal_file_compare(f->files[at].at.name, name) < 0)
		at++;
	if (at < f->n && journal_file_compare(f->files[at].at.name, name) == 0)
		return (&f->files[at]);
	if (f->n == f->cap) {
		unsigned cap = f->cap ? 2 * f->cap : 16;

		if ((more = reallocarray(f->files, cap, sizeof(*f->files))) == NULL)
			return (NULL);
		f->files = more;
		if ((more = reallocarray(f->position, cap, sizeof(*f->position))) == NULL)
			return (NULL);
		f->position = more;
		f->cap = cap;
	}
	memmove(f->files + at + 1, f->files + at, (f->n - at) * sizeof(*f->files));
	f->files[at] = (struct reading){ .fd = -1 };
	snprintf(f->files[at].at.name, JOURNAL_NAME_SIZE, "%s", name);
	f->n++;
	return (&f->files[at]);
}

struct follow *
follow_new(int dir, const struct follow_file *files, unsigned n, bool complete)
{
	struct follow *f = calloc(1, sizeof(*f));
	struct reading *r;

	if (f == NULL)
		return (NULL);
	f->dir = dir;
	f->complete = complete;
	for (unsigned i = 0; i < n; i++) {
		if (journal_file_number(files[i].name) < 0)
			continue;
		if ((r = insert(f, files[i].name)) == NULL) {
			follow_free(f);
			return (NULL);
		}
		r->at = files[i];
	}
	return (f);
}

static void
close_file(struct reading *r)
{
	int saved = errno;

	if (r->fd != -1)
		close(r->fd);
	r->fd = -1;
	r->synced = 0;
	errno = saved;
}

void
follow_free(struct follow *f)
{
	if (f == NULL)
		return;
	for (unsigned i = 0; i < f->n; i++)
		close_file(&f->files[i]);
	free(f->files);
	free(f->position);
	buf_wipe(&f->block);
	free(f);
}

static void
forget_block(struct follow *f)
{
	buf_reset(&f->block);
	f->start = 0;
}

/* Whether other files can be in the directory than when it was looked at last, or it is time to look anyway. */
static bool
may_have_changed(const struct follow *f)
{
	struct stat st;

	return (f->scanned == 0 || boot_ms() - f->scanned >= SCAN_MS || fstat(f->dir, &st) ||
	    !stat_same(&st, &f->dir_seen) || !stat_settled(&st));
}

/* Days before those that a position of a version before 0.2 names. */
static bool
is_before_position(const struct follow *f, const char *oldest, const char *name)
{
	char today[TIMEFMT_DAY_SIZE];

	timefmt_day(today, time(NULL));
	return (!f->complete && *oldest && journal_file_compare(name, oldest) < 0 &&
	    strncmp(name, today, JOURNAL_DAY_LEN) < 0);
}

/* Take in the files that are new, and forget those that are gone. Returns 0, or -1 with errno set. */
static int
scan(struct follow *f)
{
	char oldest[JOURNAL_NAME_SIZE] = "";
	char(*names)[JOURNAL_NAME_SIZE];
	struct reading *r;
	unsigned left = 0;
	size_t n, i = 0;

	fstat(f->dir, &f->dir_seen);
	if ((names = journal_files(f->dir, &n)) == NULL)
		return (-1);
	if (f->n)
		memcpy(oldest, f->files[0].at.name, sizeof(oldest));
	/* Both are in the same order. */
	for (unsigned k = 0; k < f->n; k++) {
		while (i < n && journal_file_compare(names[i], f->files[k].at.name) < 0)
			i++;
		if (i < n && journal_file_compare(names[i], f->files[k].at.name) == 0)
			f->files[left++] = f->files[k];
		else
			close_file(&f->files[k]);
	}
	f->n = left;
	for (i = 0; i < n; i++) {
		unsigned before = f->n;

		if ((r = insert(f, names[i])) == NULL)
			break;
		if (f->n > before)
			r->at.is_old = is_before_position(f, oldest, names[i]);
	}
	free(names);
	if (i < n)
		return (-1);
	f->complete = true;
	f->scanned = boot_ms();
	return (0);
}

/* Whether lines are expected in a file: those of the newest two days, and of today and later. */
static bool
is_expected(const struct follow *f, const struct reading *r)
{
	char today[TIMEFMT_DAY_SIZE];
	unsigned days = 0;

	for (const struct reading *other = f->files + f->n - 1; days <= 2 && other >= r; other--)
		if (other == f->files + f->n - 1 ||
		    strncmp(other->at.name, other[1].at.name, JOURNAL_DAY_LEN) != 0)
			days++;
	timefmt_day(today, time(NULL));
	return (days <= 2 || strncmp(r->at.name, today, JOURNAL_DAY_LEN) >= 0);
}

/* Whether a file is to be looked at: its name says something else than when it had been read to its end. */
static bool
is_due(const struct follow *f, struct reading *r)
{
	struct stat named;

	if (!f->all && (r->error || !is_expected(f, r)))
		return (false);
	if (fstatat(f->dir, r->at.name, &named, AT_SYMLINK_NOFOLLOW))
		return (errno != ENOENT);
	if (r->fd != -1 && (named.st_ino != r->seen.st_ino || named.st_dev != r->seen.st_dev))
		close_file(r);
	return (r->seen.st_ino == 0 || !stat_same(&named, &r->seen) || !stat_settled(&named));
}

/* The end of the last whole line of a file of this size. Returns 0, or -1 with errno set. */
static int
end_of_lines(int fd, uint64_t size, uint64_t *end)
{
	char data[4096];
	const char *newline;
	ssize_t n;

	for (*end = 0; size; size -= (uint64_t)n) {
		n = (ssize_t)(size < sizeof(data) ? size : sizeof(data));
		if (pread(fd, data, (size_t)n, (off_t)size - n) != n) {
			errno = EIO;
			return (-1);
		}
		if ((newline = memrchr(data, '\n', (size_t)n)) != NULL) {
			*end = size - (uint64_t)(n - (newline + 1 - data));
			break;
		}
	}
	return (0);
}

/*
 * The lock that the receiver holds while it writes a line, and takes it back if the disk is full. It holds it for a
 * moment only: who holds it for seconds is another program, which must not stop us.
 */
static int
lock(struct reading *r)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_MS * 1000000L };
	int64_t until = boot_ms() + LOCK_MS;

	while (flock(r->fd, LOCK_SH | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return (-1);
		if (r->error == EWOULDBLOCK || boot_ms() >= until) {
			errno = EWOULDBLOCK;
			return (-1);
		}
		nanosleep(&pause, NULL);
	}
	return (0);
}

/*
 * Find out where to go on in the file, which is locked: at the position, or at the beginning if the position does not
 * fit. Returns 0, or -1 with errno set.
 */
static int
find_place(const struct follow *f, struct reading *r, uint64_t size)
{
	int in_place;

	if (r->at.is_old) {
		if (end_of_lines(r->fd, size, &r->at.offset))
			return (-1);
		r->at.is_old = false;
	}
	/* Nothing of it was read through this descriptor yet: it may be another file than before. */
	if ((in_place = resume_place(f->dir, r->fd, &r->at, r->synced == 0)) == -1)
		return (-1);
	if (in_place == 0) {
		log_line(LOG_LEVEL_WARN,
		    "journal file is not what it was, reading it from its beginning", "file",
		    r->at.name, "last", r->at.delivery[0] ? r->at.delivery : NULL, NULL);
		r->at.offset = r->at.last = 0;
		r->at.delivery[0] = '\0';
	}
	return (0);
}

/* Read whole lines into the empty block: at least one, if there is one. Returns 0, or -1 with errno set. */
static int
read_lines(struct follow *f, const struct reading *r)
{
	const char *end = NULL;
	size_t before;
	ssize_t n;

	while (end == NULL) {
		before = f->block.len;
		if (before > LINE_LIMIT) {
			errno = EFBIG;
			return (-1);
		}
		if (buf_reserve(&f->block, BLOCK) ||
		    (n = pread(r->fd, f->block.data + before, BLOCK,
			 (off_t)(r->at.offset + before))) == -1)
			return (-1);
		if (n == 0)
			break;
		f->block.len += (size_t)n;
		end = memrchr(f->block.data + before, '\n', (size_t)n);
	}
	/* What is left over is a line that has not ended yet: it is read again. */
	f->block.len = end ? (size_t)(end + 1 - f->block.data) : 0;
	return (0);
}

/*
 * Read on in a file, under the lock, and sync what was read. Returns 1 with lines in the block, 0 if there are none,
 * or -1 with errno set and nothing in the block.
 */
static int
fill(struct follow *f, struct reading *r)
{
	struct stat st;
	int result;

	forget_block(f);
	if (r->fd == -1 && (r->fd = lines_open(f->dir, r->at.name)) == -1)
		return (errno == ENOENT ? 0 : -1);
	if (lock(r))
		return (-1);
	result = fstat(r->fd, &st) || find_place(f, r, (uint64_t)st.st_size) || read_lines(f, r) ?
	    -1 :
	    0;
	flock(r->fd, LOCK_UN);
	if (result == 0 && f->block.len && (uint64_t)st.st_size > r->synced) {
		if ((result = fdatasync(r->fd)) == 0)
			r->synced = (uint64_t)st.st_size;
	}
	if (result) {
		forget_block(f);
		return (-1);
	}
	r->seen = st;
	return (f->block.len > 0);
}

/* The file can be read, or cannot: said once. */
static void
set_error(struct reading *r, int error)
{
	if (error && error != r->error)
		log_line(LOG_LEVEL_ERROR, "journal file cannot be read: skipped, and tried again",
		    "file", r->at.name, "error", follow_problem(error), NULL);
	else if (error == 0 && r->error)
		log_line(LOG_LEVEL_INFO, "journal file can be read again", "file", r->at.name,
		    NULL);
	r->error = error;
}

/* The next line of the current file. Returns 1, or 0 when there is none that can be read. */
static int
next_here(struct follow *f, struct buf *line, struct follow_place *place)
{
	struct reading *r = &f->files[f->current];
	const char *data, *end;
	char delivery[UUID_SIZE];
	size_t len;
	int result;

	if (f->start == f->block.len) {
		if (f->block.len == 0 && !is_due(f, r))
			return (0);
		if ((result = fill(f, r)) != 1) {
			set_error(r, result == -1 ? errno : 0);
			if (result == -1)
				r->seen.st_ino = 0;
			if (result == -1 || !is_expected(f, r))
				close_file(r);
			return (0);
		}
		set_error(r, 0);
	}
	data = f->block.data + f->start;
	end = memchr(data, '\n', f->block.len - f->start);
	len = (size_t)(end - data);
	buf_reset(line);
	buf_add(line, data, len);
	if (line->failed) {
		set_error(r, ENOMEM);
		r->seen.st_ino = 0;
		return (0);
	}
	memcpy(place->name, r->at.name, sizeof(place->name));
	place->offset = f->line = r->at.offset;
	lines_delivery(data, len, delivery);
	if (delivery[0]) {
		memcpy(r->at.delivery, delivery, sizeof(delivery));
		r->at.last = r->at.offset;
	}
	f->start += len + 1;
	r->at.offset += len + 1;
	return (1);
}

int
follow_next(struct follow *f, struct buf *line, struct follow_place *place)
{
	if (!f->begun) {
		f->all = may_have_changed(f);
		if (f->all && scan(f))
			return (-1);
		f->begun = true;
		f->current = 0;
	}
	for (; f->current < f->n; f->current++) {
		if (next_here(f, line, place))
			return (1);
		forget_block(f);
	}
	/* Nothing more for now. The next call looks at the files again. */
	f->begun = false;
	return (0);
}

void
follow_back(struct follow *f)
{
	f->files[f->current].at.offset = f->line;
	f->files[f->current].seen.st_ino = 0;
	forget_block(f);
	f->begun = false;
}

struct follow_file *
follow_position(struct follow *f, unsigned *n)
{
	for (unsigned i = 0; i < f->n; i++)
		f->position[i] = f->files[i].at;
	*n = f->n;
	return (f->position);
}

bool
follow_is_hindered(const struct follow *f)
{
	for (unsigned i = 0; i < f->n; i++)
		if (f->files[i].error)
			return (true);
	return (false);
}
