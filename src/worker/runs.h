#ifndef WORKER_RUNS_H
#define WORKER_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "store/journal_files.h"
#include "worker/run.h"

/*
 * What became of each delivery at each target (contract section 4). There is one file for each day of the journal,
 * runs/2026-11-23.jsonl: whatever belongs to a line of the journal of that day, whenever it ran. A line is one attempt.
 *
 * They are the memory of what was dealt with, too, by delivery and by key. No clock decides what is remembered: a file
 * stays as long as the journal has that day. Only a few days are in memory at a time. Versions before 0.2 remembered in
 * queue/ran, for the most specific hook alone; what they noted counts as long as those files are there.
 */

/* How far apart, in days of the journal, two deliveries with the same key are the same (contract section 6). */
enum { RUNS_DAYS = 2 };

struct runs;

/**
 * dir: the directory runs/. old: queue/ran, -1 for none. Both stay open as long. NULL: ENOMEM.
 */
struct runs *runs_open(int dir, int old);

/** Attempts that could not be written are lost: see runs_flush(). NULL is fine. */
void runs_close(struct runs *r);

/**
 * What became of a delivery, or of a key, at a target. file: the name of the journal file that its line is in; the days
 * around it count as well. For the most specific hook it does not matter which one it was. RUNS_FAILED is never returned: such a
 * delivery waits. Returns 0, or -1 with errno set: the files cannot be read, and nothing is known.
 */
int runs_find(struct runs *r, const char *file, const char *what, const char *target,
    enum runs_result *result);

/** Whether notes of versions before 0.2 are among those days. Returns false where they cannot be read. */
bool runs_has_old(struct runs *r, const char *file);

/**
 * Record an attempt. Returns 0, or -1 with errno set: there is no memory. It counts from now on, and is on disk after
 * runs_write(), on stable storage after runs_flush().
 */
int runs_add(struct runs *r, const struct run *run);

/**
 * Write what is not written yet, all of a batch at once: it outlives this process, but perhaps not a power failure.
 * Returns 0 when all is written, or -1 with errno set: nothing should be started before it is.
 */
int runs_write(struct runs *r);

/** The same, and have it on stable storage. */
int runs_flush(struct runs *r);

/** How many attempts are not on stable storage. */
size_t runs_unsynced(const struct runs *r);

/**
 * Make sure that the next attempts of this day can be written even if the disk becomes full. Returns 0, also where the file
 * system cannot do this, or -1 with errno set.
 */
int runs_reserve(struct runs *r, const char *file);

/**
 * Remove the files of days that the journal (a directory) has no file of, if a day began since the last call. The newest
 * days stay in any case.
 */
void runs_drop_old(struct runs *r, int journal);

#endif
