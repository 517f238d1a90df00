#include "worker/runs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nettle/sha2.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "base/timefmt.h"
#include "base/uuid.h"
#include "store/durable.h"

enum {
	SECONDS_A_DAY = 86400,
	FILE_MAX = 1 << 30,
	SLOTS_MIN = 256,
	WINDOW = 2 * RUNS_DAYS + 1,
	DAYS_MAX = WINDOW + 3, /* in memory */
	NEWEST_KEPT = RUNS_DAYS + 1,
	LINE_SIZE = UUID_SIZE + RUNS_KEY_SIZE + 16,
	RESERVE = 64 * 1024, /* for the notes of all hooks that can run at once, several times */
	RESERVE_LEAST = 16 * 1024,
};

/* The beginning of a text's SHA-256, and what became of it in place of the last byte. */
enum { DIGEST_LEN = 15 };

struct slot {
	unsigned char digest[DIGEST_LEN];
	unsigned char result; /* RUNS_NOT: free */
};

/* A set with open addressing; digests are random enough to be their own hash. */
struct set {
	struct slot *slots;
	size_t n, cap; /* cap: 0 or a power of two */
};

struct day {
	char name[TIMEFMT_DAY_SIZE];
	struct set set;
	bool has_old;  /* notes of versions before 0.2 */
	uint64_t used; /* when, by count */
};

struct note {
	char day[TIMEFMT_DAY_SIZE];
	char line[LINE_SIZE];
};

struct runs {
	int dir;
	struct day *days;
	size_t n_days;
	uint64_t uses;
	/* Notes that are not on stable storage; the first ones are written already, to the file of `day`. */
	struct note *notes;
	size_t n_notes, n_written;
	struct buf text; /* of notes that are being written */
	/* The file that was written to last. */
	int fd; /* -1: none */
	char day[TIMEFMT_DAY_SIZE];
	off_t size;
	off_t reserved; /* its space is reserved up to here */
	bool new_day;   /* since runs_drop_old() */
	bool hindered;  /* that could not see which days there are */
};

static const char *const results[] = { "", "done", "given_up", "discarded" };

static void
digest_of(unsigned char digest[DIGEST_LEN], const char *text, size_t len)
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, len, (const uint8_t *)text);
	sha256_digest(&ctx, DIGEST_LEN, digest);
}

/* Its slot, or the free one where it would be. NULL where the set has no slots. */
static struct slot *
slot_of(const struct set *s, const unsigned char digest[DIGEST_LEN])
{
	struct slot *slot;
	size_t at;

	if (s->cap == 0)
		return (NULL);
	memcpy(&at, digest, sizeof(at));
	for (;; at++) {
		slot = &s->slots[at & (s->cap - 1)];
		if (slot->result == RUNS_NOT || memcmp(slot->digest, digest, DIGEST_LEN) == 0)
			return (slot);
	}
}

static int
grow(struct set *s)
{
	struct set larger = { .cap = s->cap ? 2 * s->cap : SLOTS_MIN, .n = s->n };

	if ((larger.slots = calloc(larger.cap, sizeof(*larger.slots))) == NULL)
		return (-1);
	for (size_t i = 0; i < s->cap; i++)
		if (s->slots[i].result != RUNS_NOT)
			*slot_of(&larger, s->slots[i].digest) = s->slots[i];
	free(s->slots);
	*s = larger;
	return (0);
}

/* The last note counts: what was given up can be done later. Returns 0, or -1 with errno ENOMEM. */
static int
set_add(struct set *s, const char *text, size_t len, enum runs_result result)
{
	unsigned char digest[DIGEST_LEN];
	struct slot *slot;

	if (4 * (s->n + 1) > 3 * s->cap && grow(s))
		return (-1);
	digest_of(digest, text, len);
	slot = slot_of(s, digest);
	if (slot->result == RUNS_NOT)
		s->n++;
	memcpy(slot->digest, digest, DIGEST_LEN);
	slot->result = (unsigned char)result;
	return (0);
}

static enum runs_result
result_named(const char *text, size_t len)
{
	for (size_t i = RUNS_DONE; i < sizeof(results) / sizeof(results[0]); i++)
		if (strlen(results[i]) == len && memcmp(results[i], text, len) == 0)
			return ((enum runs_result)i);
	return (RUNS_NOT);
}

/* Add a line of a file. A line that a crash left unfinished or damaged is skipped. */
static int
load_line(struct day *d, const char *line, size_t len)
{
	const char *key = memchr(line, ' ', len), *word;
	size_t left;
	enum runs_result result;

	if (key == NULL) {
		if (len != RUNS_KEY_SIZE - 1)
			return (0);
		d->has_old = true;
		return (set_add(&d->set, line, len, RUNS_DONE));
	}
	left = len - (size_t)(++key - line);
	if ((word = memchr(key, ' ', left)) == NULL)
		return (0);
	result = result_named(word + 1, left - (size_t)(word - key) - 1);
	if (result == RUNS_NOT)
		return (0);
	if (set_add(&d->set, line, (size_t)(key - line) - 1, result))
		return (-1);
	return (word == key ? 0 : set_add(&d->set, key, (size_t)(word - key), result));
}

/* Read a day's notes: those on disk, and those that are not there yet. */
static int
load_day(const struct runs *r, struct day *d)
{
	struct buf text = { 0 };
	const char *line, *stop, *end;
	int result = 0;

	if (file_read_at(r->dir, d->name, FILE_MAX, &text) && errno != ENOENT) {
		result = -1;
		goto out;
	}
	stop = text.data + text.len;
	for (line = text.data; result == 0 && line < stop &&
	     (end = memchr(line, '\n', (size_t)(stop - line))) != NULL;
	     line = end + 1)
		result = load_line(d, line, (size_t)(end - line));
	for (size_t i = 0; result == 0 && i < r->n_notes; i++)
		if (strcmp(r->notes[i].day, d->name) == 0)
			result = load_line(d, r->notes[i].line, strlen(r->notes[i].line) - 1);
out:
	buf_free(&text);
	return (result);
}

/*
 * Room for one more day: of the one that was used least recently, or more memory. NULL: ENOMEM. A day whose notes are not
 * written yet can go as well: load_day() knows them.
 */
static struct day *
room_for_day(struct runs *r)
{
	struct day *oldest = NULL;
	void *more;

	for (size_t i = 0; r->n_days >= DAYS_MAX && i < r->n_days; i++)
		if (oldest == NULL || r->days[i].used < oldest->used)
			oldest = &r->days[i];
	if (oldest) {
		free(oldest->set.slots);
		*oldest = r->days[--r->n_days];
	}
	if ((more = reallocarray(r->days, r->n_days + 1, sizeof(*r->days))) == NULL)
		return (NULL);
	r->days = more;
	return (&r->days[r->n_days]);
}

/* A day's notes, read if they are not in memory. NULL with errno set. */
static struct day *
day_get(struct runs *r, const char *name)
{
	struct day *d;
	int saved;

	for (size_t i = 0; i < r->n_days; i++)
		if (strcmp(r->days[i].name, name) == 0) {
			r->days[i].used = ++r->uses;
			return (&r->days[i]);
		}
	if ((d = room_for_day(r)) == NULL)
		return (NULL);
	*d = (struct day){ .used = ++r->uses };
	memcpy(d->name, name, sizeof(d->name));
	if (load_day(r, d)) {
		saved = errno;
		free(d->set.slots);
		errno = saved;
		return (NULL);
	}
	r->n_days++;
	return (d);
}

/* The days around that of a journal file. A name that is no date has none around it. */
static unsigned
days_around(char names[WINDOW][TIMEFMT_DAY_SIZE], const char *file)
{
	char text[TIMEFMT_SECONDS_SIZE];
	struct timespec at;

	snprintf(text, sizeof(text), "%.*sT00:00:00Z", JOURNAL_DAY_LEN, file);
	if (timefmt_parse(text, &at)) {
		snprintf(names[0], TIMEFMT_DAY_SIZE, "%.*s", JOURNAL_DAY_LEN, file);
		return (1);
	}
	for (int i = 0; i < WINDOW; i++)
		timefmt_day(names[i], at.tv_sec + (int64_t)(i - RUNS_DAYS) * SECONDS_A_DAY);
	return (WINDOW);
}

struct runs *
runs_open(int dir)
{
	struct runs *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return (NULL);
	*r = (struct runs){ .dir = dir, .fd = -1, .new_day = true };
	return (r);
}

void
runs_close(struct runs *r)
{
	if (r == NULL)
		return;
	if (r->fd != -1)
		close(r->fd);
	for (size_t i = 0; i < r->n_days; i++)
		free(r->days[i].set.slots);
	free(r->days);
	free(r->notes);
	buf_free(&r->text);
	free(r);
}

int
runs_find(struct runs *r, const char *file, const char *what, enum runs_result *result)
{
	char names[WINDOW][TIMEFMT_DAY_SIZE];
	unsigned n = days_around(names, file);
	unsigned char digest[DIGEST_LEN];
	const struct slot *slot;
	const struct day *d;

	*result = RUNS_NOT;
	digest_of(digest, what, strlen(what));
	for (unsigned i = 0; i < n; i++) {
		if ((d = day_get(r, names[i])) == NULL)
			return (-1);
		if ((slot = slot_of(&d->set, digest)) != NULL && slot->result != RUNS_NOT &&
		    *result != RUNS_DONE)
			*result = (enum runs_result)slot->result;
	}
	return (0);
}

bool
runs_has_old(struct runs *r, const char *file)
{
	char names[WINDOW][TIMEFMT_DAY_SIZE];
	unsigned n = days_around(names, file);
	const struct day *d;

	for (unsigned i = 0; i < n; i++)
		if ((d = day_get(r, names[i])) != NULL && d->has_old)
			return (true);
	return (false);
}

static void
close_file(struct runs *r)
{
	int saved = errno;

	if (r->fd != -1)
		close(r->fd);
	r->fd = -1;
	errno = saved;
}

/* Open a day's file for more notes, behind what a crash may have left unfinished in it. */
static int
open_file(struct runs *r, const char *day)
{
	char last = '\n';
	struct stat st;

	if (r->fd != -1 && strcmp(r->day, day) == 0)
		return (0);
	close_file(r);
	r->reserved = 0;
	r->fd = openat(r->dir, day, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	if (r->fd == -1 && errno == ENOENT) {
		r->new_day = true;
		r->fd = openat(r->dir, day, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	}
	if (r->fd == -1)
		return (-1);
	/* Also where it was there before: whoever made it may have died before this. */
	if (sync_directory(r->dir) || fstat(r->fd, &st) ||
	    (st.st_size && pread(r->fd, &last, 1, st.st_size - 1) == -1) ||
	    (last != '\n' && file_write_all(r->fd, "\n", 1))) {
		close_file(r);
		return (-1);
	}
	memcpy(r->day, day, sizeof(r->day));
	r->size = st.st_size + (last != '\n');
	return (0);
}

/* Have what is written on stable storage. Returns 0, or -1 with errno set: then it is written again. */
static int
sync_written(struct runs *r)
{
	size_t n = r->n_written;

	if (n == 0)
		return (0);
	r->n_written = 0;
	if (fdatasync(r->fd)) {
		close_file(r);
		return (-1);
	}
	r->n_notes -= n;
	memmove(r->notes, r->notes + n, r->n_notes * sizeof(*r->notes));
	return (0);
}

/* Write the notes that follow each other and are of one day. Returns 0, or -1 with errno set. */
static int
write_day(struct runs *r)
{
	const struct note *first;
	size_t end;

	if (r->n_written && strcmp(r->day, r->notes[r->n_written].day) != 0 && sync_written(r))
		return (-1);
	first = &r->notes[r->n_written];
	if (open_file(r, first->day))
		return (-1);
	buf_reset(&r->text);
	for (end = r->n_written; end < r->n_notes && strcmp(r->notes[end].day, r->day) == 0; end++)
		buf_adds(&r->text, r->notes[end].line);
	if (r->text.failed) {
		errno = ENOMEM;
		return (-1);
	}
	if (file_write_all(r->fd, r->text.data, r->text.len)) {
		/* A part of it may be there: the next one looks at the file anew. */
		r->n_written = 0;
		close_file(r);
		return (-1);
	}
	r->size += (off_t)r->text.len;
	r->n_written = end;
	return (0);
}

int
runs_write(struct runs *r)
{
	while (r->n_written < r->n_notes)
		if (write_day(r))
			return (-1);
	return (0);
}

int
runs_flush(struct runs *r)
{
	return (runs_write(r) || sync_written(r) ? -1 : 0);
}

size_t
runs_unsynced(const struct runs *r)
{
	return (r->n_notes);
}

int
runs_add(struct runs *r, const char *file, const char *delivery, const char *key,
    enum runs_result result)
{
	struct note note;
	struct day *d;
	void *more;

	snprintf(note.day, sizeof(note.day), "%.*s", JOURNAL_DAY_LEN, file);
	if (snprintf(note.line, sizeof(note.line), "%s %s %s\n", delivery, key, results[result]) >=
	    (int)sizeof(note.line)) {
		errno = EINVAL;
		return (-1);
	}
	if ((more = reallocarray(r->notes, r->n_notes + 1, sizeof(note))) == NULL)
		return (-1);
	r->notes = more;
	r->notes[r->n_notes++] = note;
	/* In memory first, so that it counts whatever becomes of the rest. */
	return (
	    (d = day_get(r, note.day)) == NULL || load_line(d, note.line, strlen(note.line) - 1) ?
		-1 :
		0);
}

int
runs_reserve(struct runs *r, const char *file)
{
	char day[TIMEFMT_DAY_SIZE];

	snprintf(day, sizeof(day), "%.*s", JOURNAL_DAY_LEN, file);
	if ((r->n_written && strcmp(r->day, day) != 0 && sync_written(r)) || open_file(r, day))
		return (-1);
	if (r->reserved - r->size >= RESERVE_LEAST)
		return (0);
	if (fallocate(r->fd, FALLOC_FL_KEEP_SIZE, r->size, RESERVE)) {
		if (errno != EOPNOTSUPP && errno != ENOSYS)
			return (-1);
	}
	r->reserved = r->size + RESERVE;
	return (0);
}

static int
newest_first(const void *a, const void *b)
{
	return (strcmp(b, a));
}

/* The days that there are notes of, the newest first: an array of *n for free(). NULL with *n 0, and errno unless none. */
static char (*noted_days(int dir, size_t *n))[TIMEFMT_DAY_SIZE]
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd == -1 ? NULL : fdopendir(fd);
	char(*days)[TIMEFMT_DAY_SIZE] = NULL, (*more)[TIMEFMT_DAY_SIZE];
	struct dirent *entry;
	int saved;

	*n = 0;
	if (directory == NULL) {
		if (fd != -1)
			close(fd);
		return (NULL);
	}
	while ((errno = 0, entry = readdir(directory)) != NULL) {
		if (strlen(entry->d_name) != TIMEFMT_DAY_SIZE - 1 || entry->d_name[0] == '.')
			continue;
		if ((more = reallocarray(days, *n + 1, sizeof(*days))) == NULL)
			break;
		days = more;
		memcpy(days[(*n)++], entry->d_name, TIMEFMT_DAY_SIZE);
	}
	saved = entry ? ENOMEM : errno;
	closedir(directory);
	errno = saved;
	/* A list that is cut short says nothing about which days are the newest. */
	if (saved) {
		free(days);
		*n = 0;
		return (NULL);
	}
	if (*n)
		qsort(days, *n, sizeof(*days), newest_first);
	return (days);
}

static bool
is_unwritten(const struct runs *r, const char *day)
{
	for (size_t i = 0; i < r->n_notes; i++)
		if (strcmp(r->notes[i].day, day) == 0)
			return (true);
	return (false);
}

void
runs_drop_old(struct runs *r, int journal)
{
	char(*files)[JOURNAL_NAME_SIZE], (*days)[TIMEFMT_DAY_SIZE];
	size_t n_files, n_days;

	if (!r->new_day)
		return;
	errno = 0;
	days = noted_days(r->dir, &n_days);
	/* Tried again each time, and said once. */
	if (days == NULL && errno && !r->hindered)
		log_errno(LOG_LEVEL_ERROR, "notes of old days are not removed", "directory",
		    "queue/ran", NULL);
	r->new_day = r->hindered = days == NULL && errno;
	if (days == NULL)
		return;
	files = journal_files(journal, &n_files);
	/* A journal without any file is one that something else happened to: it says nothing about the notes. */
	for (size_t i = NEWEST_KEPT; n_files && i < n_days; i++) {
		size_t f = 0;

		while (f < n_files && strncmp(files[f], days[i], JOURNAL_DAY_LEN) != 0)
			f++;
		if (f == n_files && !is_unwritten(r, days[i]) && unlinkat(r->dir, days[i], 0))
			log_errno(LOG_LEVEL_WARN, "notes of a day not removed", "file", days[i],
			    NULL);
	}
	free(files);
	free(days);
}
