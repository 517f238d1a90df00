#ifndef WORKER_FOLLOW_H
#define WORKER_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "worker/follow_file.h"
#include "worker/lines.h"

/*
 * Following the journal: its lines in the order received, from a position on, across days.
 *
 * The position names every file that the journal has. No clock decides which files are read: one that the position
 * does not name is new, whatever its day. A file in which the last line read is not where it was, has been replaced,
 * restored or truncated, and is read from its beginning: the notes of what was dealt with (worker/runs.h) keep it from
 * running again. Only in a file that fluidhook itself has rewritten (store/journal_rewrite.h), reading goes on behind
 * the last delivery read, wherever that is now.
 *
 * A file that cannot be read is skipped, named in the log once, and tried again every few seconds. Its place in the
 * position stays.
 *
 * Lines are read under the receiver's lock, so that a line that it takes back is never seen, and are on stable storage
 * when they are returned: after a power failure the position is not beyond what the journal has.
 */

struct follow;

/**
 * Follow the journal in this directory (a descriptor that stays open as long). files, n: the position to go on from.
 * complete: it names all files that were read; false for that of a version before 0.2, which names the last few only,
 * so that those of earlier days count as read. NULL: ENOMEM.
 */
struct follow *follow_new(int dir, const struct follow_file *files, unsigned n, bool complete);

void follow_free(struct follow *f);

/**
 * The next whole line, without its newline, in `line` (emptied first), and where it begins.
 * A line that has not ended yet does not count. Returns 1, 0 when there is none now, or -1 with errno set: the
 * directory cannot be read.
 */
int follow_next(struct follow *f, struct buf *line, struct follow_place *place);

/** The line returned last is returned again by the next call. */
void follow_back(struct follow *f);

/** The position behind the line returned last, as follow_new() takes it. The files belong to f. */
struct follow_file *follow_position(struct follow *f, unsigned *n);

/** Whether there are files that cannot be read now. */
bool follow_is_hindered(const struct follow *f);

/** What hinders reading, for messages: errno as text, and EWOULDBLOCK as another program's lock. */
const char *follow_problem(int error);

#endif
