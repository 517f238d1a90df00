#include "worker/runs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/dir.h"
#include "base/file.h"
#include "base/log.h"
#include "base/timefmt.h"
#include "base/uuid.h"
#include "store/durable.h"
#include "worker/runs_line.h"
#include "worker/runs_memory.h"

enum {
	SECONDS_A_DAY = 86400,
	FILE_MAX = 1 << 30,
	WINDOW = 2 * RUNS_DAYS + 1,
	DAYS_MAX = WINDOW + 3, /* in memory */
	NEWEST_KEPT = RUNS_DAYS + 1,
	RESERVE = 256 * 1024, /* for the lines of all hooks that can run at once, several times */
	RESERVE_LEAST = 128 * 1024,
};

struct day {
	char name[TIMEFMT_DAY_SIZE];
	struct digest_set set;
	bool has_old;  /* notes of versions before 0.2 */
	uint64_t used; /* when, by count */
};

/* An attempt that is not on stable storage. */
struct note {
	char day[TIMEFMT_DAY_SIZE];
	char *line; /* with its newline */
};

struct runs {
	int dir, old;
	struct day *days;
	size_t n_days;
	uint64_t uses;
	/* The first ones are written already, to the file of `day`. */
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

/* Note what became of a delivery. Returns 0, or -1 with errno ENOMEM. */
static int
remember(struct day *d, const struct run *run)
{
	if (run->result == RUNS_FAILED)
		return (0);
	if (digest_set_add(&d->set, run->delivery, run->target, run->result))
		return (-1);
	return (*run->key ? digest_set_add(&d->set, run->key, run->target, run->result) : 0);
}

/* Add a line of queue/ran: "<delivery> <key> <result>", or the key alone. Lines that are damaged are skipped. */
static int
load_old_line(struct day *d, const char *line, size_t len)
{
	char copy[UUID_SIZE + RUNS_KEY_SIZE + 16], *key, *result;
	struct run run = { .target = "" };

	if (len >= sizeof(copy))
		return (0);
	memcpy(copy, line, len);
	copy[len] = '\0';
	if ((key = strchr(copy, ' ')) == NULL) {
		if (len != RUNS_KEY_SIZE - 1)
			return (0);
		d->has_old = true;
		return (digest_set_add(&d->set, copy, "", RUNS_DONE));
	}
	*key++ = '\0';
	if ((result = strchr(key, ' ')) == NULL)
		return (0);
	*result++ = '\0';
	run.delivery = copy;
	run.key = key;
	run.result = runs_result_named(result, strlen(result));
	return (run.result == RUNS_NOT || run.result == RUNS_FAILED ? 0 : remember(d, &run));
}

static int
load_old(const struct runs *r, struct day *d)
{
	struct buf text = { 0 };
	const char *line, *stop, *end;
	int result = 0;

	if (r->old == -1)
		return (0);
	if (file_read_at(r->old, d->name, FILE_MAX, &text) && errno != ENOENT) {
		buf_free(&text);
		return (-1);
	}
	stop = text.data + text.len;
	for (line = text.data; result == 0 && line < stop &&
	     (end = memchr(line, '\n', (size_t)(stop - line))) != NULL;
	     line = end + 1)
		result = load_old_line(d, line, (size_t)(end - line));
	buf_free(&text);
	return (result);
}

static int
load_line(void *user, struct runs_line *l)
{
	return (remember(user, &l->run));
}

/* Read a day: what is on disk, and what is not there yet. */
static int
load_day(const struct runs *r, struct day *d)
{
	struct runs_line l = { .at = NULL };
	int result = load_old(r, d) || runs_line_each(r->dir, d->name, load_line, d) ? -1 : 0;

	for (size_t i = 0; result == 0 && i < r->n_notes; i++)
		if (strcmp(r->notes[i].day, d->name) == 0 &&
		    runs_line_read(&l, r->notes[i].line, strlen(r->notes[i].line) - 1))
			result = remember(d, &l.run);
	buf_free(&l.texts);
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
		digest_set_free(&oldest->set);
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
		digest_set_free(&d->set);
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
runs_open(int dir, int old)
{
	struct runs *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return (NULL);
	*r = (struct runs){ .dir = dir, .old = old, .fd = -1, .new_day = true };
	return (r);
}

/* Forget the first notes. */
static void
drop_notes(struct runs *r, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(r->notes[i].line);
	r->n_notes -= n;
	if (r->n_notes)
		memmove(r->notes, r->notes + n, r->n_notes * sizeof(*r->notes));
}

void
runs_close(struct runs *r)
{
	if (r == NULL)
		return;
	if (r->fd != -1)
		close(r->fd);
	for (size_t i = 0; i < r->n_days; i++)
		digest_set_free(&r->days[i].set);
	free(r->days);
	drop_notes(r, r->n_notes);
	free(r->notes);
	buf_free(&r->text);
	free(r);
}

int
runs_find(struct runs *r, const char *file, const char *what, const char *target,
    enum runs_result *result)
{
	char names[WINDOW][TIMEFMT_DAY_SIZE];
	unsigned n = days_around(names, file);
	unsigned char digest[DIGEST_LEN];
	enum runs_result found;
	const struct day *d;

	*result = RUNS_NOT;
	digest_of(digest, what, target);
	for (unsigned i = 0; i < n; i++) {
		if ((d = day_get(r, names[i])) == NULL)
			return (-1);
		found = digest_set_find(&d->set, digest);
		if (found != RUNS_NOT && *result != RUNS_DONE)
			*result = found;
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
	char file[RUNS_FILE_SIZE], last = '\n';
	struct stat st;

	if (r->fd != -1 && strcmp(r->day, day) == 0)
		return (0);
	close_file(r);
	r->reserved = 0;
	runs_file_name(file, day);
	r->fd = openat(r->dir, file, O_RDWR | O_APPEND | O_NOFOLLOW | O_CLOEXEC);
	if (r->fd == -1 && errno == ENOENT) {
		r->new_day = true;
		r->fd = openat(r->dir, file, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
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
	drop_notes(r, n);
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
runs_add(struct runs *r, const struct run *run)
{
	struct note note;
	struct day *d;
	void *more;

	snprintf(note.day, sizeof(note.day), "%.*s", JOURNAL_DAY_LEN, run->file);
	if ((more = reallocarray(r->notes, r->n_notes + 1, sizeof(note))) == NULL)
		return (-1);
	r->notes = more;
	if ((note.line = runs_line_make(run)) == NULL)
		return (-1);
	/* The day is read before, so that it does not have this one twice. It counts whatever becomes of the rest. */
	d = day_get(r, note.day);
	r->notes[r->n_notes++] = note;
	return (d == NULL || remember(d, run) ? -1 : 0);
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

/* Add the days of a directory, whose files are called after them. Returns 0, or -1 with errno set. */
static int
add_days(int dir, const char *ending, char (**days)[TIMEFMT_DAY_SIZE], size_t *n)
{
	const char *name;
	struct dir d;
	void *more;
	int next;

	if (dir_open(&d, dir, "."))
		return (-1);
	while ((next = dir_next(&d, &name)) == 1) {
		if (strlen(name) != TIMEFMT_DAY_SIZE - 1 + strlen(ending) || *name == '.' ||
		    strcmp(name + TIMEFMT_DAY_SIZE - 1, ending) != 0)
			continue;
		if ((more = reallocarray(*days, *n + 1, sizeof(**days))) == NULL) {
			next = -1;
			break;
		}
		*days = more;
		snprintf((*days)[(*n)++], TIMEFMT_DAY_SIZE, "%s", name);
	}
	dir_close(&d);
	return (next);
}

/* All days, the newest first and each once. Returns 0 with an array of *n for free(), or -1 with errno set. */
static int
noted_days(const struct runs *r, char (**days)[TIMEFMT_DAY_SIZE], size_t *n)
{
	size_t left = 0;

	*days = NULL;
	*n = 0;
	/* A list that is cut short says nothing about which days are the newest. */
	if (add_days(r->dir, ".jsonl", days, n) ||
	    (r->old != -1 && add_days(r->old, "", days, n))) {
		free(*days);
		*days = NULL;
		return (-1);
	}
	if (*n)
		qsort(*days, *n, sizeof(**days), newest_first);
	for (size_t i = 0; i < *n; i++)
		if (left == 0 || strcmp((*days)[left - 1], (*days)[i]) != 0)
			memmove((*days)[left++], (*days)[i], sizeof(**days));
	*n = left;
	return (0);
}

static bool
is_unwritten(const struct runs *r, const char *day)
{
	for (size_t i = 0; i < r->n_notes; i++)
		if (strcmp(r->notes[i].day, day) == 0)
			return (true);
	return (false);
}

static void
drop_day(const struct runs *r, const char *day)
{
	char file[RUNS_FILE_SIZE];

	runs_file_name(file, day);
	if ((unlinkat(r->dir, file, 0) && errno != ENOENT) ||
	    (r->old != -1 && unlinkat(r->old, day, 0) && errno != ENOENT))
		log_errno(LOG_LEVEL_WARN, "runs of a day not removed", "file", file, NULL);
}

void
runs_drop_old(struct runs *r, int journal)
{
	char(*files)[JOURNAL_NAME_SIZE], (*days)[TIMEFMT_DAY_SIZE];
	size_t n_files, n_days;
	bool seen;

	if (!r->new_day)
		return;
	seen = noted_days(r, &days, &n_days) == 0;
	/* Tried again each time, and said once. */
	if (!seen && !r->hindered)
		log_errno(LOG_LEVEL_ERROR, "runs of old days are not removed", "directory", "runs",
		    NULL);
	r->new_day = r->hindered = !seen;
	if (!seen)
		return;
	files = journal_files(journal, &n_files);
	/* A journal without any file is one that something else happened to: it says nothing about the runs. */
	for (size_t i = NEWEST_KEPT; n_files && i < n_days; i++) {
		size_t f = 0;

		while (f < n_files && strncmp(files[f], days[i], JOURNAL_DAY_LEN) != 0)
			f++;
		if (f == n_files && !is_unwritten(r, days[i]))
			drop_day(r, days[i]);
	}
	free(files);
	free(days);
}
