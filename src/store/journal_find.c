#include "store/journal_find.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/uuid.h"

/*
 * PROBE: read to see one line's time, first; doubled up to PROBE_MOST where lines are longer.
 * NEAR: a part of the file as small as this is read instead of halved again.
 * SLACK: read on each side of that part, as neighbouring lines can have exchanged places.
 */
enum {
	PROBE = 8192,
	PROBE_MOST = 4 << 20,
	NEAR = 128 << 10,
	SLACK = 256 << 10,
	LINE_MOST = 64 << 20
};

/* How the receiver begins a line. */
static const char head[] = "{\"delivery\":\"";

enum { HEAD_LEN = sizeof(head) - 1, MS_DIGITS = 12 };

struct finding {
	int fd;
	off_t size;
	const char *uuid;
	struct buf *data; /* what was read last, which begins at `start` */
	off_t start;
};

/* Read the file's bytes from `start` to before `end`. Returns 0, or -1 with errno set. */
static int
read_part(struct finding *f, off_t start, off_t end)
{
	size_t len = (size_t)(end - start), done = 0;
	ssize_t n;

	/* It can hold credentials: what it grows out of is overwritten. */
	if (f->data->cap <= len)
		buf_wipe(f->data);
	buf_reset(f->data);
	if (buf_reserve(f->data, len + 1))
		return (-1);
	while (done < len) {
		n = pread(f->fd, f->data->data + done, len - done, start + (off_t)done);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO; /* shorter than it was */
		if (n <= 0)
			return (-1);
		done += (size_t)n;
	}
	f->data->len = len;
	f->data->data[len] = '\0';
	f->start = start;
	return (0);
}

/* The time of a UUID, in ms. Returns 0, or -1 if it does not begin as one. */
static int
time_of(const char *uuid, uint64_t *ms)
{
	static const char digits[] = "0123456789abcdef";
	const char *found;

	*ms = 0;
	for (size_t i = 0; i <= MS_DIGITS; i++) {
		if (i == 8) {
			if (uuid[i] != '-')
				return (-1);
			continue;
		}
		if (uuid[i] == '\0' || (found = strchr(digits, uuid[i])) == NULL)
			return (-1);
		*ms = *ms << 4 | (uint64_t)(found - digits);
	}
	return (0);
}

/*
 * The first line that begins behind `at`: its place and its time. Where none does, the place is the file's end.
 * Returns 1, 0 if the line does not begin as the receiver's lines do, or is too far away, or -1 with errno set.
 */
static int
probe(struct finding *f, off_t at, off_t *place, uint64_t *ms)
{
	const char *newline, *line;
	off_t stop;

	for (off_t most = PROBE; most <= PROBE_MOST; most *= 2) {
		stop = f->size - at < most ? f->size : at + most;
		if (read_part(f, at, stop))
			return (-1);
		newline = memchr(f->data->data, '\n', f->data->len);
		line = newline ? newline + 1 : NULL;
		if (line && f->data->data + f->data->len - line >= HEAD_LEN + UUID_SIZE) {
			*place = at + (line - f->data->data);
			return (
			    memcmp(line, head, HEAD_LEN) == 0 && time_of(line + HEAD_LEN, ms) == 0);
		}
		if (stop == f->size) {
			*place = f->size;
			return (1);
		}
	}
	return (0);
}

/*
 * Narrow down where a line of this time should begin: at *lo, at *last or between them. Returns 1, 0 if the file's
 * lines are not as the receiver writes them, or -1 with errno set.
 */
static int
narrow(struct finding *f, uint64_t wanted, off_t *lo, off_t *last)
{
	off_t hi = f->size, mid, place;
	uint64_t ms = 0;
	int result;

	*lo = 0;
	*last = f->size;
	while (hi - *lo > NEAR) {
		mid = *lo + (hi - *lo) / 2;
		if ((result = probe(f, mid, &place, &ms)) != 1)
			return (result);
		if (place < hi && ms < wanted) {
			*lo = place;
			continue;
		}
		/* Where no line begins between mid and hi, the one at `last` stays. */
		if (place < hi)
			*last = place;
		hi = mid;
	}
	return (1);
}

/* The end of the line that begins at `at` in the file. Returns 1, 0 if it has none, or -1 with errno set. */
static int
whole_line(struct finding *f, off_t at)
{
	const char *newline;
	off_t end;

	for (off_t most = PROBE; most <= LINE_MOST; most *= 8) {
		end = f->size - at < most ? f->size : at + most;
		if (read_part(f, at, end))
			return (-1);
		if ((newline = memchr(f->data->data, '\n', f->data->len)) != NULL) {
			f->data->len = (size_t)(newline - f->data->data);
			f->data->data[f->data->len] = '\0';
			return (1);
		}
		if (end == f->size)
			break;
	}
	return (0);
}

/* Find the line that begins from lo to hi, or near them. Returns 1 with the line in f->data, 0, or -1 with errno set. */
static int
look(struct finding *f, off_t lo, off_t hi)
{
	char wanted[HEAD_LEN + UUID_SIZE + 1];
	const char *found, *from, *end;

	lo = lo > SLACK ? lo - SLACK : 0;
	hi = f->size - hi > SLACK ? hi + SLACK : f->size;
	if (read_part(f, lo, hi))
		return (-1);
	snprintf(wanted, sizeof(wanted), "%s%s\"", head, f->uuid);
	end = f->data->data + f->data->len;
	for (from = f->data->data;
	     (found = memmem(from, (size_t)(end - from), wanted, sizeof(wanted) - 1)) != NULL;
	     from = found + 1)
		if (lo + (found - f->data->data) == 0 ||
		    (found > f->data->data && found[-1] == '\n'))
			return (whole_line(f, lo + (found - f->data->data)));
	return (0);
}

int
journal_find(int dir, const char *file, const char *uuid, struct buf *line)
{
	struct finding f = { .uuid = uuid, .data = line };
	off_t lo, last;
	struct stat st;
	uint64_t wanted;
	int result = -1;

	f.fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (f.fd == -1 || fstat(f.fd, &st))
		goto out;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		goto out;
	}
	f.size = st.st_size;
	if (strlen(uuid) != UUID_SIZE - 1 || time_of(uuid, &wanted))
		result = 0;
	else if ((result = narrow(&f, wanted, &lo, &last)) == 1)
		result = look(&f, lo, last);
out:
	file_close(f.fd);
	return (result);
}
