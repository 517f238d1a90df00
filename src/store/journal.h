#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include <stddef.h>
#include <time.h>

#include "store/journal_line.h"

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
