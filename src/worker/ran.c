#include "worker/ran.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/timefmt.h"
#include "store/durable.h"

enum { SECONDS_A_DAY = 86400, FILE_MAX = 1 << 30, LINE_LEN = 2 * RAN_KEY_LEN + 1, SLOTS_MIN = 1024 };

/* A set of digests with open addressing; they are random enough to be their own hash. */
struct set {
	unsigned char (*slots)[RAN_KEY_LEN];	/* all zero: free */
	size_t n, cap;				/* cap: a power of two */
};

struct ran {
	int dir;
	int fd;				/* of today's file; -1: not open */
	char day[TIMEFMT_DAY_SIZE];	/* today's */
	struct set set;
};

static const unsigned char free_slot[RAN_KEY_LEN];

static unsigned char *
slot_of(const struct set *s, const unsigned char *key)
{
	size_t at;

	memcpy(&at, key, sizeof(at));
	for (;; at++) {
		unsigned char *slot = s->slots[at & (s->cap - 1)];

		if (memcmp(slot, key, RAN_KEY_LEN) == 0 || memcmp(slot, free_slot, RAN_KEY_LEN) == 0)
			return (slot);
	}
}

static int
grow(struct set *s)
{
	struct set larger = { .cap = s->cap ? 2 * s->cap : SLOTS_MIN, .n = s->n };

	if ((larger.slots = calloc(larger.cap, RAN_KEY_LEN)) == NULL)
		return (-1);
	for (size_t i = 0; i < s->cap; i++)
		if (memcmp(s->slots[i], free_slot, RAN_KEY_LEN) != 0)
			memcpy(slot_of(&larger, s->slots[i]), s->slots[i], RAN_KEY_LEN);
	free(s->slots);
	*s = larger;
	return (0);
}

static int
set_add(struct set *s, const unsigned char *key)
{
	unsigned char *slot;

	if (2 * (s->n + 1) > s->cap && grow(s))
		return (-1);
	slot = slot_of(s, key);
	if (memcmp(slot, free_slot, RAN_KEY_LEN) == 0) {
		memcpy(slot, key, RAN_KEY_LEN);
		s->n++;
	}
	return (0);
}

/* Two hexadecimal digits; -1 where they are none. */
static int
parse_byte(const char *s)
{
	static const char digits[] = "0123456789abcdef";
	const char *high = memchr(digits, s[0], 16), *low = memchr(digits, s[1], 16);

	return (high && low ? (int)((high - digits) << 4 | (low - digits)) : -1);
}

/* A digest in hexadecimal, at the beginning of RAN_KEY_SIZE - 1 bytes. */
static int
parse_key(const char *text, unsigned char key[RAN_KEY_LEN])
{
	int byte;

	for (size_t i = 0; i < RAN_KEY_LEN; i++) {
		if ((byte = parse_byte(text + 2 * i)) == -1)
			return (-1);
		key[i] = (unsigned char)byte;
	}
	return (0);
}

/* Add the digests of a file to the set. What a crash has left unfinished or damaged is passed over. */
static int
load_file(const struct ran *r, const char *name, struct set *set)
{
	struct buf text = { 0 };
	unsigned char key[RAN_KEY_LEN];
	const char *line, *stop, *end;
	int result = 0;

	if (read_whole(r->dir, name, FILE_MAX, &text)) {
		result = errno == ENOENT ? 0 : -1;
		goto out;
	}
	stop = text.data + text.len;
	for (line = text.data; (end = memchr(line, '\n', (size_t)(stop - line))) != NULL; line = end + 1)
		if (end - line == LINE_LEN - 1 && parse_key(line, key) == 0 && set_add(set, key)) {
			result = -1;
			break;
		}
out:
	buf_free(&text);
	return (result);
}

/* Remove the files of days that count no more. */
static void
remove_old(struct ran *r, int64_t now)
{
	int fd = openat(r->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd == -1 ? NULL : fdopendir(fd);
	char oldest[TIMEFMT_DAY_SIZE];
	struct dirent *entry;

	if (folder == NULL) {
		if (fd != -1)
			close(fd);
		return;
	}
	timefmt_day(oldest, now - RAN_DAYS * SECONDS_A_DAY);
	while ((entry = readdir(folder)) != NULL)
		if (strlen(entry->d_name) == TIMEFMT_DAY_SIZE - 1 && entry->d_name[0] != '.' &&
		    strcmp(entry->d_name, oldest) < 0)
			unlinkat(r->dir, entry->d_name, 0);
	closedir(folder);
}

/* Open the day's file, behind what a crash may have left unfinished in it. */
static int
open_day(struct ran *r, const char *day)
{
	int fd = openat(r->dir, day, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	int saved;

	if (fd == -1)
		return (-1);
	if (fsync(r->dir) || (lseek(fd, 0, SEEK_END) % LINE_LEN != 0 && write_all(fd, "\n", 1))) {
		saved = errno;
		close(fd);
		errno = saved;
		return (-1);
	}
	if (r->fd != -1)
		close(r->fd);
	r->fd = fd;
	return (0);
}

/*
 * Begin a day: read again what the last days have, and drop what is older. Returns 0, or -1 with errno
 * set and what is in memory as it was.
 */
static int
begin_day(struct ran *r, int64_t now)
{
	char day[TIMEFMT_DAY_SIZE];
	struct set set = { .slots = NULL };

	if (grow(&set))
		return (-1);
	remove_old(r, now);
	for (int64_t ago = RAN_DAYS; ago >= 0; ago--) {
		timefmt_day(day, now - ago * SECONDS_A_DAY);
		if (load_file(r, day, &set))
			goto err;
	}
	if (open_day(r, day))
		goto err;
	free(r->set.slots);
	r->set = set;
	memcpy(r->day, day, sizeof(r->day));
	return (0);

err:
	free(set.slots);
	return (-1);
}

struct ran *
ran_open(int dir, int64_t now)
{
	struct ran *r = calloc(1, sizeof(*r));
	int saved;

	if (r == NULL)
		return (NULL);
	r->dir = dir;
	r->fd = -1;
	if (begin_day(r, now)) {
		saved = errno;
		ran_close(r);
		errno = saved;
		return (NULL);
	}
	return (r);
}

void
ran_close(struct ran *r)
{
	if (r == NULL)
		return;
	if (r->fd != -1)
		close(r->fd);
	free(r->set.slots);
	free(r);
}

bool
ran_has(const struct ran *r, const char key[RAN_KEY_SIZE])
{
	unsigned char digest[RAN_KEY_LEN];

	return (strlen(key) == RAN_KEY_SIZE - 1 && parse_key(key, digest) == 0 &&
	    memcmp(slot_of(&r->set, digest), digest, RAN_KEY_LEN) == 0);
}

int
ran_add(struct ran *r, const char key[RAN_KEY_SIZE], int64_t now)
{
	unsigned char digest[RAN_KEY_LEN];
	char day[TIMEFMT_DAY_SIZE], line[LINE_LEN + 1];

	if (strlen(key) != RAN_KEY_SIZE - 1 || parse_key(key, digest)) {
		errno = EINVAL;
		return (-1);
	}
	if (set_add(&r->set, digest))
		return (-1);
	timefmt_day(day, now);
	if (strcmp(day, r->day) != 0 && begin_day(r, now))
		return (-1);
	snprintf(line, sizeof(line), "%s\n", key);
	if (write_all(r->fd, line, LINE_LEN) || fdatasync(r->fd)) {
		/* A part of it may be there: the next one looks at the file anew. */
		*r->day = '\0';
		return (-1);
	}
	return (set_add(&r->set, digest));
}
