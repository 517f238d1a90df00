#include "store/journal_rewrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/uuid.h"
#include "store/durable.h"
#include "store/journal_files.h"
#include "store/journal_find.h"
#include "store/lock.h"

enum {
	BLOCK = 256 * 1024,
	LINE_LIMIT = 512 << 20,
	UNDER_LOCK = 64 * 1024, /* at most so much is copied while appenders wait */
	WAIT_MS = 30 *
	    1000, /* for another rewriting, and for each lock of an appender or a backup */
};

/* How a line of ours begins: {"delivery":"<uuid>" */
static const char beginning[] = "{\"delivery\":\"";

enum {
	BEGINNING_LEN = sizeof(beginning) - 1,
	HEAD_SIZE = BEGINNING_LEN + UUID_SIZE + 1,
	NOTE_MOST = 256
};

struct rewriting {
	int dir, from, to; /* to: -1 until a line is replaced */
	const char *name;
	char tmp[JOURNAL_NAME_SIZE + 8];
	journal_rewrite_line *line;
	void *user;
	uint64_t done;        /* so much of the old file was handled */
	uint64_t written;     /* so much of the new file is written, or pending */
	uint64_t last;        /* where the last delivery begins in the new file */
	char head[HEAD_SIZE]; /* the beginning of its line; "": there is none */
	struct buf block;     /* what was read of it from `done` on */
	struct buf out;       /* what replaces a line */
	struct buf pending;   /* what is still to be written to the new file */
};

static void
note_name(char out[JOURNAL_NAME_SIZE + 8], const char *name)
{
	snprintf(out, JOURNAL_NAME_SIZE + 8, ".%s.moved", name);
}

/* The beginning of a line with its delivery. False if it begins otherwise. */
static bool
head_of(char head[HEAD_SIZE], const char *line, size_t len)
{
	if (len < HEAD_SIZE - 1 || memcmp(line, beginning, BEGINNING_LEN) != 0 ||
	    line[HEAD_SIZE - 2] != '"')
		return (false);
	memcpy(head, line, HEAD_SIZE - 1);
	head[HEAD_SIZE - 1] = '\0';
	return (memchr(head, '\0', HEAD_SIZE - 1) == NULL &&
	    strchr(head + BEGINNING_LEN, '"') == head + HEAD_SIZE - 2);
}

static int
flush(struct rewriting *r)
{
	int result = 0;

	if (r->pending.failed) {
		errno = ENOMEM;
		return (-1);
	}
	if (r->to != -1 && r->pending.len)
		result = file_write_all(r->to, r->pending.data, r->pending.len);
	buf_reset(&r->pending);
	return (result);
}

/* Copy the old file's beginning, which stays as it is. Returns 0, or -1 with errno set. */
static int
copy_before(struct rewriting *r)
{
	struct buf part = { 0 };
	uint64_t at = 0;
	int result = buf_reserve(&part, BLOCK);

	while (result == 0 && at < r->done) {
		size_t want = r->done - at < BLOCK ? (size_t)(r->done - at) : BLOCK;
		ssize_t n = pread(r->from, part.data, want, (off_t)at);

		if (n == 0)
			errno = EIO;
		if (n <= 0 || file_write_all(r->to, part.data, (size_t)n))
			result = -1;
		else
			at += (uint64_t)n;
	}
	part.len = part.cap ? part.cap - 1 : 0;
	buf_wipe(&part);
	return (result);
}

/* Begin the new file: as the old one, as far as that was handled. Returns 0, or -1 with errno set. */
static int
begin_new(struct rewriting *r)
{
	struct stat st;

	if (fstat(r->from, &st) || (r->to = durable_create(r->dir, r->tmp, 0600)) == -1)
		return (-1);
	if (fchmod(r->to, st.st_mode & 07777) || copy_before(r))
		return (-1);
	return (0);
}

/* One line, and behind it the newline that it has if it is whole. Returns 0, or -1 with errno set. */
static int
handle_line(struct rewriting *r, const char *line, size_t len, bool whole)
{
	int result;

	buf_reset(&r->out);
	if ((result = r->line(r->user, line, len, whole, &r->out)) == -1)
		return (-1);
	if (result == 1 && r->to == -1 && begin_new(r))
		return (-1);
	if (r->out.failed) {
		errno = ENOMEM;
		return (-1);
	}
	if (whole && head_of(r->head, line, len))
		r->last = r->written;
	if (r->to != -1) {
		if (result == 1)
			buf_add(&r->pending, r->out.data, r->out.len);
		else
			buf_add(&r->pending, line, len);
		if (whole)
			buf_addc(&r->pending, '\n');
		if (r->pending.len >= BLOCK && flush(r))
			return (-1);
	}
	r->done += len + whole;
	r->written += (result == 1 ? r->out.len : len) + whole;
	return (0);
}

/* The whole lines of the block; what is left of it is moved to its beginning. Returns 0, or -1 with errno set. */
static int
handle_block(struct rewriting *r, size_t searched)
{
	const char *line = r->block.data, *end = r->block.data + r->block.len, *newline;
	const char *from = line + searched;

	while ((newline = memchr(from, '\n', (size_t)(end - from))) != NULL) {
		if (handle_line(r, line, (size_t)(newline - line), true))
			return (-1);
		line = from = newline + 1;
	}
	r->block.len = (size_t)(end - line);
	memmove(r->block.data, line, r->block.len);
	return (0);
}

/* Handle the whole lines up to this size of the file. Returns 0, or -1 with errno set. */
static int
handle_until(struct rewriting *r, uint64_t size)
{
	while (r->done + r->block.len < size) {
		size_t before = r->block.len;
		uint64_t at = r->done + before;
		size_t want = size - at < BLOCK ? (size_t)(size - at) : BLOCK;
		ssize_t n;

		if (before > LINE_LIMIT) {
			errno = EFBIG;
			return (-1);
		}
		if (buf_reserve(&r->block, want))
			return (-1);
		if ((n = pread(r->from, r->block.data + before, want, (off_t)at)) <= 0) {
			if (n == 0)
				errno = EIO; /* shorter than it was */
			return (-1);
		}
		r->block.len += (size_t)n;
		if (handle_block(r, before))
			return (-1);
	}
	return (flush(r));
}

/* Whether the open file is still the one under the name. Sets errno if not. */
static bool
in_place(const struct rewriting *r)
{
	struct stat here, named;

	if (fstat(r->from, &here) || fstatat(r->dir, r->name, &named, AT_SYMLINK_NOFOLLOW))
		return (false);
	errno = ENOENT;
	return (here.st_ino == named.st_ino && here.st_dev == named.st_dev);
}

/* Lock the old file against appenders, and see how large it is. Returns 0, or -1 with errno set. */
static int
lock_old(struct rewriting *r, uint64_t *size)
{
	struct stat st;

	if (lock_file(r->from, WAIT_MS))
		return (-1);
	if (fstat(r->from, &st) == 0 && in_place(r)) {
		*size = (uint64_t)st.st_size;
		if (*size >= r->done + r->block.len)
			return (0);
		errno = EIO; /* another program has cut it off */
	}
	flock(r->from, LOCK_UN);
	return (-1);
}

/* Note where the last delivery is in the new file. Returns 0, or -1 with errno set. */
static int
note(const struct rewriting *r)
{
	char name[JOURNAL_NAME_SIZE + 8], text[NOTE_MOST];

	note_name(name, r->name);
	snprintf(text, sizeof(text), "%llu %s\n", (unsigned long long)r->last, r->head);
	return (durable_replace(r->dir, name, text, strlen(text), 0600));
}

/* The rest, and the change of names. Appenders are locked out. Returns 1, or -1 with errno set. */
static int
finish(struct rewriting *r, uint64_t size)
{
	struct stat st;

	if (handle_until(r, size) ||
	    (r->block.len && handle_line(r, r->block.data, r->block.len, false)) || flush(r))
		return (-1);
	if (fstat(r->from, &st) ||
	    futimens(r->to, (const struct timespec[2]){ st.st_atim, st.st_mtim }) || fsync(r->to) ||
	    note(r) || renameat(r->dir, r->tmp, r->dir, r->name))
		return (-1);
	return (sync_directory(r->dir) ? -1 : 1);
}

/* Returns as journal_rewrite(). */
static int
rewrite(struct rewriting *r)
{
	uint64_t size = 0;
	int result;

	for (;;) {
		if (lock_old(r, &size))
			return (-1);
		if (r->to != -1 && size - r->done <= UNDER_LOCK) {
			result = finish(r, size);
			flock(r->from, LOCK_UN);
			return (result);
		}
		flock(r->from, LOCK_UN);
		/* Nothing of this is taken back any more. */
		if (handle_until(r, size))
			return (-1);
		if (r->to == -1) {
			if (r->block.len &&
			    r->line(r->user, r->block.data, r->block.len, false, &r->out) == -1)
				return (-1);
			return (0);
		}
		/* Most of the work of the sync under the lock. */
		if (fsync(r->to))
			return (-1);
	}
}

/* Open the file, and keep other rewritings away. Returns 0, or -1 with errno set. */
static int
open_old(struct rewriting *r, int turn)
{
	struct stat st;

	if (turn == -1 || lock_file(turn, WAIT_MS))
		return (-1);
	r->from = openat(r->dir, r->name, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (r->from == -1 || fstat(r->from, &st))
		return (-1);
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		return (-1);
	}
	if (unlinkat(r->dir, r->tmp, 0) && errno != ENOENT)
		return (-1);
	return (0);
}

int
journal_rewrite(int dir, const char *name, journal_rewrite_line *line, void *user)
{
	struct rewriting r = { .dir = dir,
		.from = -1,
		.to = -1,
		.name = name,
		.line = line,
		.user = user };
	int turn = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = -1, saved;

	snprintf(r.tmp, sizeof(r.tmp), ".%s.new", name);
	if (open_old(&r, turn) == 0)
		result = rewrite(&r);
	saved = errno;
	if (r.to != -1) {
		close(r.to);
		/* After the change of names, it is not there. */
		unlinkat(dir, r.tmp, 0);
	}
	file_close(r.from);
	file_close(turn);
	buf_wipe(&r.block);
	buf_wipe(&r.out);
	buf_wipe(&r.pending);
	errno = saved;
	return (result);
}

int
journal_rewrite_is_of(int dir, const char *name, int fd)
{
	char file[JOURNAL_NAME_SIZE + 8], *head, found[HEAD_SIZE];
	struct buf text = { 0 };
	unsigned long long at;
	size_t len;
	ssize_t n;
	int result = -1;

	note_name(file, name);
	if (file_read_at(dir, file, NOTE_MOST, &text)) {
		result = errno == ENOENT ? 0 : -1;
		goto out;
	}
	result = 0;
	if (text.len < 2 || text.data[text.len - 1] != '\n')
		goto out;
	text.data[text.len - 1] = '\0';
	errno = 0;
	at = strtoull(text.data, &head, 10);
	if (errno || at > INT64_MAX || *head != ' ' || strlen(++head) != HEAD_SIZE - 1)
		goto out;
	len = strlen(head);
	if ((n = pread(fd, found, len, (off_t)at)) == -1)
		result = -1;
	else
		result = (size_t)n == len && memcmp(found, head, len) == 0;
out:
	buf_free(&text);
	return (result);
}

bool
journal_rewrite_has(int dir, const char *name, const char *line, size_t len)
{
	char head[HEAD_SIZE], *uuid = head + BEGINNING_LEN;
	struct buf found = { 0 };
	bool has = false;

	if (head_of(head, line, len)) {
		uuid[UUID_SIZE - 1] = '\0';
		has = journal_find(dir, name, uuid, &found) == 1;
	}
	buf_wipe(&found);
	return (has);
}

int
journal_rewrite_forget(int dir, const char *name)
{
	char file[JOURNAL_NAME_SIZE + 8];

	note_name(file, name);
	return (unlinkat(dir, file, 0) && errno != ENOENT ? -1 : 0);
}
