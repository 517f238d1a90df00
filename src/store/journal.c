#include "store/journal.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/timefmt.h"
#include "store/journal_output.h"

struct journal {
	struct journal_output *output;

	pthread_mutex_t batch_mutex; /* of what follows */
	struct journal_lines batch;  /* lines that nobody commits yet */
	bool committing;             /* some thread does */
	pthread_cond_t changed;      /* a commit is over, for those in journal_append() */
};

struct journal *
journal_open(int dir, const char *path)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (j == NULL || (j->output = journal_output_open(dir, path)) == NULL) {
		free(j);
		return (NULL);
	}
	pthread_mutex_init(&j->batch_mutex, NULL);
	pthread_cond_init(&j->changed, NULL);
	STAILQ_INIT(&j->batch);
	return (j);
}

void
journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	journal_output_close(j->output);
	pthread_cond_destroy(&j->changed);
	pthread_mutex_destroy(&j->batch_mutex);
	free(j);
}

/* Take those lines out of the batch that come first and are of one day. */
static void
take_lines(void *journal, const char *day, struct journal_lines *lines)
{
	struct journal *j = journal;
	struct journal_line *l;

	STAILQ_INIT(lines);
	pthread_mutex_lock(&j->batch_mutex);
	while ((l = STAILQ_FIRST(&j->batch)) != NULL && strcmp(l->day, day) == 0) {
		STAILQ_REMOVE_HEAD(&j->batch, link);
		STAILQ_INSERT_TAIL(lines, l, link);
	}
	pthread_mutex_unlock(&j->batch_mutex);
}

void
journal_add(struct journal *j, struct journal_line *line, const struct timespec *received)
{
	timefmt_day(line->day, received->tv_sec);
	line->error = 0;
	pthread_mutex_lock(&j->batch_mutex);
	STAILQ_INSERT_TAIL(&j->batch, line, link);
	pthread_mutex_unlock(&j->batch_mutex);
}

/* Commit once. The caller holds batch_mutex, and nobody commits. */
static void
lead(struct journal *j)
{
	char day[TIMEFMT_DAY_SIZE];
	struct journal_lines lines;
	struct journal_line *l;
	struct log_hold hold;

	memcpy(day, STAILQ_FIRST(&j->batch)->day, sizeof(day));
	j->committing = true;
	pthread_mutex_unlock(&j->batch_mutex);
	journal_output_write(j->output, day, take_lines, j, &lines);
	pthread_mutex_lock(&j->batch_mutex);
	j->committing = false;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->batch_mutex);
	/* Another thread may commit the next ones meanwhile. A line is gone once its owner knows. */
	log_hold(&hold);
	while ((l = STAILQ_FIRST(&lines)) != NULL) {
		STAILQ_REMOVE_HEAD(&lines, link);
		l->done(l);
	}
	log_release(&hold);
	pthread_mutex_lock(&j->batch_mutex);
}

void
journal_commit(struct journal *j)
{
	pthread_mutex_lock(&j->batch_mutex);
	while (!j->committing && !STAILQ_EMPTY(&j->batch))
		lead(j);
	pthread_mutex_unlock(&j->batch_mutex);
}

/* A line whose owner waits for it. */
struct awaited {
	struct journal_line line;
	struct journal *journal;
	bool done;
};

static void
on_awaited(struct journal_line *l)
{
	struct awaited *a = (struct awaited *)l;
	struct journal *j = a->journal;

	pthread_mutex_lock(&j->batch_mutex);
	a->done = true;
	pthread_cond_broadcast(&j->changed);
	pthread_mutex_unlock(&j->batch_mutex);
}

int
journal_append(struct journal *j, const char *line, size_t len, const struct timespec *received)
{
	struct awaited a = { .line = { .text = line, .len = len, .done = on_awaited },
		.journal = j };

	journal_add(j, &a.line, received);
	pthread_mutex_lock(&j->batch_mutex);
	/* Whoever commits goes on until the batch is empty: others may rely on that. */
	while (!a.done || (!j->committing && !STAILQ_EMPTY(&j->batch)))
		if (j->committing || STAILQ_EMPTY(&j->batch))
			pthread_cond_wait(&j->changed, &j->batch_mutex);
		else
			lead(j);
	pthread_mutex_unlock(&j->batch_mutex);
	errno = a.line.error;
	return (errno ? -1 : 0);
}

int
journal_ready(struct journal *j, const struct timespec *received)
{
	return (journal_output_ready(j->output, received));
}
