#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include <stddef.h>
#include <sys/queue.h>
#include <time.h>

#include "base/timefmt.h"

/*
 * The journal: journal/YYYY-MM-DD.jsonl, one line a delivery, in the order received. After a write
 * error that leaves a file in doubt the day goes on in YYYY-MM-DD.1.jsonl, and so on.
 */

struct journal;

/**
 * dir: the journal directory's descriptor, which must stay open as long as the journal. path: where the
 * directory is; copied. NULL: ENOMEM.
 */
struct journal *journal_open(int dir, const char *path);

void journal_close(struct journal *j);

/* A line on its way to stable storage. It belongs to its owner, who keeps it and its text until done(). */
struct journal_line {
	const char *text; /* len bytes without a newline */
	size_t len;
	/**
	 * Called once, when it is decided, by whichever thread committed it and without a lock. It must not
	 * wait, as the log lines of the whole batch are written after it. It may free the line. line->error is 0 when it is on stable storage, else errno; a line that could not
	 * be committed may still be found later. ESTALE: the file, or the journal directory, is no longer
	 * the one under its name. ETIMEDOUT: another program had the file locked for LOCK_WAIT_MS (logged).
	 */
	void (*done)(struct journal_line *line);
	int error;

	/* For the journal. */
	char day[TIMEFMT_DAY_SIZE];
	STAILQ_ENTRY(journal_line) link;
};

STAILQ_HEAD(journal_lines, journal_line);

/**
 * Add a line (text, len and done are set) to those that the next commit appends, to the journal of the day
 * of `received`. The caller has to call journal_commit() before it waits for anything.
 */
void journal_add(struct journal *j, struct journal_line *line, const struct timespec *received);

/**
 * Append all lines that were added, with as few commits as possible. While another thread does that, this
 * returns at once: that thread goes on until there is none left.
 */
void journal_commit(struct journal *j);

/**
 * Append one line, and wait until it is on stable storage. Returns 0, or -1 with errno set as above.
 * Safe from several threads, and beside other processes that append.
 */
int journal_append(struct journal *j, const char *line, size_t len,
    const struct timespec *received);

/**
 * Whether the day's file can be written, as far as can be told without writing. Never waits for a lock.
 * Returns 0, or -1 with errno set.
 */
int journal_ready(struct journal *j, const struct timespec *received);

#endif
