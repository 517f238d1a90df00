#include "worker/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/timefmt.h"

enum { BLOCK = 64 * 1024, LINE_LIMIT = 512 << 20 };

struct reading {
	struct follow_file at;
	int fd;			/* -1: not opened yet */
};

struct follow {
	int dir;
	struct reading *files;	/* in order */
	struct follow_file *position;
	unsigned n, cap;
	unsigned current;	/* the file that is read now */
	bool rescan;		/* there may be new files */
	/* What was read ahead of the current file: block holds it from `start` to its end. */
	struct buf block;
	size_t start;
};

/* Put a file in its place in the order. Returns 0, or -1 with errno ENOMEM. */
static int
insert(struct follow *f, const char *name, uint64_t offset)
{
	unsigned at = 0;
	void *more;

	while (at < f->n && journal_file_compare(f->files[at].at.name, name) < 0)
		at++;
	if (at < f->n && journal_file_compare(f->files[at].at.name, name) == 0)
		return (0);
	if (f->n == f->cap) {
		unsigned cap = f->cap ? 2 * f->cap : 16;

		if ((more = reallocarray(f->files, cap, sizeof(*f->files))) == NULL)
			return (-1);
		f->files = more;
		if ((more = reallocarray(f->position, cap, sizeof(*f->position))) == NULL)
			return (-1);
		f->position = more;
		f->cap = cap;
	}
	memmove(f->files + at + 1, f->files + at, (f->n - at) * sizeof(*f->files));
	f->files[at] = (struct reading){ .at = { .offset = offset }, .fd = -1 };
	snprintf(f->files[at].at.name, JOURNAL_NAME_SIZE, "%s", name);
	f->n++;
	return (0);
}

struct follow *
follow_new(int dir, const struct follow_file *files, unsigned n)
{
	struct follow *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return (NULL);
	f->dir = dir;
	f->rescan = true;
	for (unsigned i = 0; i < n; i++)
		if (journal_file_number(files[i].name) >= 0 && insert(f, files[i].name, files[i].offset)) {
			follow_free(f);
			return (NULL);
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

/*
 * Of today or later. The names of files can be ahead of the clock, where that was wrong for a while; what is
 * written today is read all the same.
 */
static bool
is_recent(const char *name)
{
	char today[TIMEFMT_DAY_SIZE];

	timefmt_day(today, time(NULL));
	return (strncmp(name, today, JOURNAL_DAY_LEN) >= 0);
}

/* Look for files that are new: those that come behind the oldest that is followed, and recent ones. */
static int
scan(struct follow *f)
{
	char oldest[JOURNAL_NAME_SIZE] = "";
	char (*names)[JOURNAL_NAME_SIZE];
	size_t n;
	int result = 0;

	if ((names = journal_files(f->dir, &n)) == NULL)
		return (-1);
	if (f->n)
		memcpy(oldest, f->files[0].at.name, sizeof(oldest));
	for (size_t i = 0; result == 0 && i < n; i++)
		if (*oldest == '\0' || journal_file_compare(names[i], oldest) > 0 || is_recent(names[i]))
			result = insert(f, names[i], 0);
	free(names);
	return (result);
}

/* Forget the files of days that nothing is written to any more: all but the newest two, and recent ones. */
static void
leave_old(struct follow *f)
{
	unsigned keep = f->n, days = 0;

	while (keep > 0) {
		if (keep == f->n || strncmp(f->files[keep - 1].at.name, f->files[keep].at.name,
		    JOURNAL_DAY_LEN) != 0)
			days++;
		if (days > 2 && !is_recent(f->files[keep - 1].at.name))
			break;
		keep--;
	}
	if (keep == 0)
		return;
	for (unsigned i = 0; i < keep; i++)
		close_file(&f->files[i]);
	memmove(f->files, f->files + keep, (f->n - keep) * sizeof(*f->files));
	f->n -= keep;
	f->current -= f->current < keep ? f->current : keep;
}

static void
forget_block(struct follow *f)
{
	buf_reset(&f->block);
	f->start = 0;
}

/* Not the file that was read before, or not as it was: all of it may be new. */
static void
begin_again(struct reading *r)
{
	log_line(LOG_LEVEL_WARN, "journal file is not what it was, reading it from its beginning", "file",
	    r->at.name, NULL);
	close_file(r);
	r->at.offset = 0;
}

/*
 * Open a file where it is not open, at the place that it was read to, which is the beginning of a line.
 * Returns 1, 0 where it is not there, or -1 with errno set.
 */
static int
open_file(const struct follow *f, struct reading *r)
{
	char last = '\n';
	ssize_t n = 1;

	if (r->fd != -1)
		return (1);
	if ((r->fd = openat(f->dir, r->at.name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)) == -1)
		return (errno == ENOENT ? 0 : -1);
	if (r->at.offset)
		n = pread(r->fd, &last, 1, (off_t)r->at.offset - 1);
	if (n == -1 && errno != EINVAL) {
		close_file(r);
		return (-1);
	}
	if (n == 1 && last == '\n')
		return (1);
	begin_again(r);
	return (open_file(f, r));
}

/* Let go of files that others have taken the place of: those are read from their beginning. */
static void
leave_replaced(struct follow *f)
{
	struct stat here, named;

	for (unsigned i = 0; i < f->n; i++)
		if (f->files[i].fd != -1 && fstat(f->files[i].fd, &here) == 0 &&
		    fstatat(f->dir, f->files[i].at.name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
		    (here.st_ino != named.st_ino || here.st_dev != named.st_dev))
			begin_again(&f->files[i]);
}

/* Read on in the current file. Returns how many bytes, 0 at its end, or -1 with errno set. */
static ssize_t
read_on(struct follow *f)
{
	struct reading *r = &f->files[f->current];
	size_t ahead = f->block.len - f->start;
	ssize_t n;

	if ((n = open_file(f, r)) != 1)
		return (n);
	if (f->start) {
		memmove(f->block.data, f->block.data + f->start, ahead);
		f->block.len = ahead;
		f->start = 0;
	}
	if (ahead > LINE_LIMIT) {
		errno = EFBIG;
		return (-1);
	}
	if (buf_reserve(&f->block, BLOCK))
		return (-1);
	n = pread(r->fd, f->block.data + f->block.len, BLOCK, (off_t)(r->at.offset + ahead));
	if (n > 0)
		f->block.len += (size_t)n;
	return (n);
}

/* The next line of the current file. Returns 1, 0 when there is none, or -1 with errno set. */
static int
next_here(struct follow *f, struct buf *line, struct follow_place *place)
{
	struct reading *r = &f->files[f->current];
	size_t searched = 0, len;
	const char *end;
	ssize_t n;

	for (;;) {
		len = f->block.len - f->start;
		end = len > searched ? memchr(f->block.data + f->start + searched, '\n',
		    len - searched) : NULL;
		if (end)
			break;
		searched = len;
		if ((n = read_on(f)) <= 0)
			return ((int)n);
	}
	len = (size_t)(end - (f->block.data + f->start));
	buf_reset(line);
	buf_add(line, f->block.data + f->start, len);
	if (line->failed)
		return (-1);
	memcpy(place->name, r->at.name, sizeof(place->name));
	place->offset = r->at.offset;
	f->start += len + 1;
	r->at.offset += len + 1;
	return (1);
}

int
follow_next(struct follow *f, struct buf *line, struct follow_place *place)
{
	int result;

	if (f->rescan) {
		if (scan(f))
			return (-1);
		f->rescan = false;
	}
	while (f->current < f->n) {
		if ((result = next_here(f, line, place)) != 0)
			return (result);
		/* What is left over is a line that is not whole yet: it is read again. */
		forget_block(f);
		f->current++;
	}
	/* Nothing more for now. The next call looks at all files again, and for new ones. */
	leave_old(f);
	leave_replaced(f);
	f->current = 0;
	f->rescan = true;
	return (0);
}

const struct follow_file *
follow_position(const struct follow *f, unsigned *n)
{
	for (unsigned i = 0; i < f->n; i++)
		f->position[i] = f->files[i].at;
	*n = f->n;
	return (f->position);
}

int
follow_read(int dir, const struct follow_place *place, struct buf *line)
{
	int fd = openat(dir, place->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	const char *end = NULL;
	ssize_t n = -1;
	int saved;

	buf_reset(line);
	if (fd == -1)
		return (-1);
	while (end == NULL && line->len <= LINE_LIMIT && buf_reserve(line, BLOCK) == 0 &&
	    (n = pread(fd, line->data + line->len, BLOCK, (off_t)(place->offset + line->len))) > 0) {
		end = memchr(line->data + line->len, '\n', (size_t)n);
		line->len += (size_t)n;
	}
	saved = n == 0 || line->len > LINE_LIMIT ? EBADMSG : errno;
	close(fd);
	errno = saved;
	if (end == NULL)
		return (-1);
	line->len = (size_t)(end - line->data);
	line->data[line->len] = '\0';
	return (0);
}
