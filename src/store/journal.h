#ifndef STORE_JOURNAL_H
#define STORE_JOURNAL_H

#include <stddef.h>
#include <time.h>

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
 * Append one line to the journal of the day of `received`, and return once it is on stable storage.
 * All threads that wait at once share one commit.
 *
 * line: len bytes without a newline; not modified, not kept.
 * Waits at most LOCK_WAIT_MS while another program has the day's file locked (ETIMEDOUT, logged).
 * Returns 0, or -1 with errno set; a line that could not be committed may still be found later. ESTALE:
 * the file, or the journal directory, is no longer the one under its name.
 * Safe from several threads, and beside other processes that append.
 */
int journal_append(struct journal *j, const char *line, size_t len, const struct timespec *received);

/**
 * Whether the day's file can be written, as far as can be told without writing. Never waits for a lock.
 * Returns 0, or -1 with errno set.
 */
int journal_ready(struct journal *j, const struct timespec *received);

#endif
