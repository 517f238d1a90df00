#include "cli/lib/sorted.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/lib/spool.h"

/* A row's place in the spool, where its name with a NUL is in front of it. */
struct place {
	int64_t seconds;
	uint32_t nanoseconds;
	uint32_t len; /* of both */
	uint64_t at;
};

struct sorted {
	struct spool *spool;
	struct place *places;
	size_t n, cap;
	struct buf row;
};

struct sorted *
sorted_new(void)
{
	struct sorted *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return (NULL);
	if ((s->spool = spool_new()) == NULL) {
		free(s);
		return (NULL);
	}
	return (s);
}

void
sorted_free(struct sorted *s)
{
	if (s == NULL)
		return;
	spool_free(s->spool);
	free(s->places);
	buf_free(&s->row);
	free(s);
}

size_t
sorted_count(const struct sorted *s)
{
	return (s->n);
}

int
sorted_add(struct sorted *s, const struct timespec *time, const char *name, const void *row,
    size_t len)
{
	struct place *more;

	if (s->n == s->cap) {
		s->cap = s->cap ? 2 * s->cap : 256;
		if ((more = reallocarray(s->places, s->cap, sizeof(*more))) == NULL)
			return (-1);
		s->places = more;
	}
	buf_reset(&s->row);
	buf_add(&s->row, name, strlen(name) + 1);
	buf_add(&s->row, row, len);
	s->places[s->n] = (struct place){
		.seconds = time->tv_sec,
		.nanoseconds = (uint32_t)time->tv_nsec,
		.len = (uint32_t)s->row.len,
		.at = spool_end(s->spool),
	};
	if (s->row.failed || spool_add(s->spool, s->row.data, s->row.len))
		return (-1);
	s->n++;
	return (0);
}

/* The newest first. */
static int
by_time(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->seconds != y->seconds)
		return (x->seconds < y->seconds ? 1 : -1);
	if (x->nanoseconds != y->nanoseconds)
		return (x->nanoseconds < y->nanoseconds ? 1 : -1);
	return (x->at < y->at ? -1 : x->at > y->at);
}

static bool
same_time(const struct place *a, const struct place *b)
{
	return (a->seconds == b->seconds && a->nanoseconds == b->nanoseconds);
}

struct named {
	char *name;
	struct place place;
};

static int
by_name(const void *a, const void *b)
{
	return (strcmp(((const struct named *)a)->name, ((const struct named *)b)->name));
}

/* Put n rows of the same time in the order of their names. Returns 0, or -1 with errno set. */
static int
sort_by_name(struct sorted *s, struct place *places, size_t n)
{
	struct named *named = calloc(n, sizeof(*named));
	int result = named ? 0 : -1;

	for (size_t i = 0; i < n && result == 0; i++) {
		named[i].place = places[i];
		if (spool_read(s->spool, places[i].at, places[i].len, &s->row) ||
		    (named[i].name = strdup(s->row.data)) == NULL)
			result = -1;
	}
	if (result == 0) {
		qsort(named, n, sizeof(*named), by_name);
		for (size_t i = 0; i < n; i++)
			places[i] = named[i].place;
	}
	for (size_t i = 0; named && i < n; i++)
		free(named[i].name);
	free(named);
	return (result);
}

int
sorted_each(struct sorted *s, void (*each)(void *user, const char *row, size_t len), void *user)
{
	size_t end, name;

	if (s->n)
		qsort(s->places, s->n, sizeof(*s->places), by_time);
	for (size_t i = 0; i < s->n; i = end) {
		for (end = i + 1; end < s->n && same_time(&s->places[i], &s->places[end]); end++)
			;
		if (end - i > 1 && sort_by_name(s, s->places + i, end - i))
			return (-1);
	}
	for (size_t i = 0; i < s->n; i++) {
		if (spool_read(s->spool, s->places[i].at, s->places[i].len, &s->row))
			return (-1);
		name = strlen(s->row.data) + 1;
		each(user, s->row.data + name, s->row.len - name);
	}
	return (0);
}
