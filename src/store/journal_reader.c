#include "store/journal_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { BLOCK = 64 * 1024, LINE_LIMIT = 512 << 20 };

struct journal_reader {
	int dir, fd; /* of the file that is read; -1: none yet */
	char (*files)[JOURNAL_NAME_SIZE];
	size_t first, left; /* files not read yet: those from `first` to before `left` */
	size_t current;
	/* What of the file was read and not handed out: `len` bytes that begin at `start` in it. */
	char *data;
	size_t len, cap;
	off_t start;
	bool (
	    *looks)(void *user, const char *line, size_t len); /* NULL: all lines are handed out */
	void *user;
};

struct journal_reader *
journal_reader_new(int dir)
{
	struct journal_reader *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return (NULL);
	r->dir = dir;
	r->fd = -1;
	if ((r->files = journal_files(dir, &r->left)) == NULL) {
		free(r);
		return (NULL);
	}
	return (r);
}

void
journal_reader_free(struct journal_reader *r)
{
	if (r == NULL)
		return;
	if (r->fd != -1)
		close(r->fd);
	if (r->data)
		explicit_bzero(r->data, r->cap);
	free(r->data);
	free(r->files);
	free(r);
}

void
journal_reader_only(struct journal_reader *r,
    bool (*looks)(void *user, const char *line, size_t len), void *user)
{
	r->looks = looks;
	r->user = user;
}

const char *
journal_reader_file(const struct journal_reader *r)
{
	return (r->files[r->current]);
}

off_t
journal_reader_offset(const struct journal_reader *r)
{
	/* What is in memory is what was not handed out yet: it ends where the line begins. */
	return (r->start + (off_t)r->len);
}

void
journal_reader_skip_to(struct journal_reader *r, const char *day)
{
	while (r->left && strncmp(r->files[r->left - 1], day, JOURNAL_DAY_LEN) > 0)
		r->left--;
}

void
journal_reader_begin_at(struct journal_reader *r, const char *day)
{
	while (r->first < r->left && strncmp(r->files[r->first], day, JOURNAL_DAY_LEN) < 0)
		r->first++;
}

/* Put the part of the file before what is in memory in front of it. 1, 0 at the file's start, or -1. */
static int
read_before(struct journal_reader *r)
{
	/* More each time, so that a long line is not moved about again and again. */
	size_t more = r->len > BLOCK ? r->len : BLOCK, cap;
	char *data;
	ssize_t n;

	if (r->start == 0)
		return (0);
	if ((off_t)more > r->start)
		more = (size_t)r->start;
	if (r->len + more > LINE_LIMIT) {
		errno = EFBIG;
		return (-1);
	}
	if (r->len + more > r->cap) {
		cap = 2 * (r->len + more);
		if ((data = malloc(cap)) == NULL)
			return (-1);
		if (r->len)
			memcpy(data + more, r->data, r->len);
		if (r->data)
			explicit_bzero(r->data, r->cap);
		free(r->data);
		r->data = data;
		r->cap = cap;
	} else {
		memmove(r->data + more, r->data, r->len);
	}
	n = pread(r->fd, r->data, more, r->start - (off_t)more);
	if (n != (ssize_t)more) {
		if (n >= 0)
			errno = EIO;
		return (-1);
	}
	r->start -= (off_t)more;
	r->len += more;
	return (1);
}

/* No more of this file. Keeps errno. */
static void
leave_file(struct journal_reader *r)
{
	file_close(r->fd);
	r->fd = -1;
}

/* Go on with the file before. Returns 1, 0 when there is none, or -1 with errno set. */
static int
open_previous(struct journal_reader *r)
{
	struct stat st;

	leave_file(r);
	while (r->left > r->first) {
		r->current = --r->left;
		r->fd = openat(r->dir, r->files[r->current],
		    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (r->fd == -1 && errno == ENOENT)
			continue;
		if (r->fd == -1 || fstat(r->fd, &st))
			return (-1);
		if (!S_ISREG(st.st_mode)) {
			errno = EINVAL;
			return (-1);
		}
		r->start = st.st_size;
		r->len = 0;
		return (1);
	}
	return (0);
}

/* The last newline before `end` in memory; false where there is none. */
static bool
find_newline(const struct journal_reader *r, size_t end, size_t *at)
{
	const char *found = end ? memrchr(r->data, '\n', end) : NULL;

	if (found)
		*at = (size_t)(found - r->data);
	return (found != NULL);
}

/*
 * The last line of what is left of the file, which lies behind r->len afterwards. Returns 1, 0 when nothing is, or -1
 * with errno set.
 */
static int
previous_here(struct journal_reader *r, size_t *len)
{
	size_t end, begin = 0, newline;
	int result;

	/* Where it ends; what is behind the last newline is not whole. */
	while (!find_newline(r, r->len, &end)) {
		r->len = 0;
		if ((result = read_before(r)) != 1)
			return (result);
	}
	r->len = end + 1;
	for (;;) {
		if (find_newline(r, r->len - 1, &newline)) {
			begin = newline + 1;
			break;
		}
		if ((result = read_before(r)) == -1)
			return (-1);
		if (result == 0)
			break;
	}
	*len = r->len - 1 - begin;
	r->len = begin;
	return (1);
}

int
journal_reader_previous(struct journal_reader *r, struct buf *line)
{
	size_t len = 0;
	int result;

	for (;;) {
		result = r->fd == -1 ? 0 : previous_here(r, &len);
		if (result == 1 && r->looks &&
		    (len == 0 || !r->looks(r->user, r->data + r->len, len)))
			continue;
		if (result == 0 && (result = open_previous(r)) == 1)
			continue;
		if (result == 1) {
			buf_reset(line);
			buf_add(line, r->data + r->len, len);
			result = line->failed ? -1 : 1;
		}
		if (result == -1)
			leave_file(r);
		return (result);
	}
}
