#ifndef WORKER_FOLLOW_H
#define WORKER_FOLLOW_H

#include <stdint.h>

#include "base/buf.h"
#include "store/journal_files.h"

/*
 * Following the journal: its lines in the order received, from a position on, across days. A line that
 * was received just before midnight can be written just after it, so that the file of a day is left
 * only when the day after next has begun. A file that is not what it was is read from its beginning: one
 * that has taken another's place, or where no line begins at the place that was read to.
 */

/* One journal file and how far it has been read, in bytes: always the beginning of a line. */
struct follow_file {
	char name[JOURNAL_NAME_SIZE];
	uint64_t offset;
};

/* Where a line is. */
struct follow_place {
	char name[JOURNAL_NAME_SIZE];
	uint64_t offset;
};

struct follow;

/**
 * Follow the journal in this folder (a descriptor that stays open as long). files, n: the position to
 * go on from; n 0: from the beginning. NULL: ENOMEM.
 */
struct follow *follow_new(int dir, const struct follow_file *files, unsigned n);

void follow_free(struct follow *f);

/**
 * The next whole line, without its newline, in `line` (emptied first). A line that is not ended yet is
 * none. Returns 1, 0 when there is none now, or -1 with errno set.
 */
int follow_next(struct follow *f, struct buf *line, struct follow_place *place);

/** The position behind the line returned last, as follow_new() takes it. The files belong to f. */
const struct follow_file *follow_position(const struct follow *f, unsigned *n);

/**
 * Read the line at a place again, into `line` (emptied first). Returns 0, or -1 with errno set: ENOENT
 * where the file has been removed, EBADMSG where no line begins or ends there.
 */
int follow_read(int dir, const struct follow_place *place, struct buf *line);

#endif
