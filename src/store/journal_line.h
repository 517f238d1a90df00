#ifndef STORE_JOURNAL_LINE_H
#define STORE_JOURNAL_LINE_H

#include <stddef.h>
#include <sys/queue.h>

#include "base/timefmt.h"

/* A line on its way to stable storage. It belongs to its owner, who keeps it and its text until done(). */
struct journal_line {
	const char *text; /* len bytes without a newline */
	size_t len;
	/**
	 * Called once, when it is decided, by whichever thread committed it and without a lock. It must not
	 * wait, as the log lines of the whole batch are written after it. It may free the line. line->error is 0
	 * when it is on stable storage, else errno; a line that could not be committed may still be found later. ESTALE: the file, or the journal directory, is no longer
	 * the one under its name. ETIMEDOUT: another program had the file locked for LOCK_WAIT_MS (logged).
	 */
	void (*done)(struct journal_line *line);
	int error;

	/* For the journal. */
	char day[TIMEFMT_DAY_SIZE];
	STAILQ_ENTRY(journal_line) link;
};

STAILQ_HEAD(journal_lines, journal_line);

#endif
