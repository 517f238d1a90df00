#ifndef WORKER_RUNS_H
#define WORKER_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "store/journal_files.h"

/*
 * Which deliveries were dealt with. The notes are in one file for each day of the journal, queue/ran/2026-11-23:
 * whatever belongs to a line of the journal of that day, whenever its hook ran. A line is
 *
 *	<delivery> <key> done|given_up|discarded
 *
 * Versions before 0.2 wrote the key alone, into the file of the day on which the hook ran. No clock decides what
 * is remembered: a file stays as long as the journal has that day. Only a few days are in memory at a time.
 */

/* A key as text: 32 lower-case hexadecimal digits. */
enum { RUNS_KEY_LEN = 16, RUNS_KEY_SIZE = 2 * RUNS_KEY_LEN + 1 };

/* How far apart, in days of the journal, two deliveries with the same key are the same (contract section 6). */
enum { RUNS_DAYS = 2 };

enum runs_result { RUNS_NOT, RUNS_DONE, RUNS_GIVEN_UP, RUNS_DISCARDED };

struct runs;

/** dir: the directory of the notes, which stays open as long. NULL: ENOMEM. */
struct runs *runs_open(int dir);

/** Notes that could not be written are lost: see runs_flush(). NULL is fine. */
void runs_close(struct runs *r);

/**
 * What became of a delivery, or of a key. file: the name of the journal file that its line is in; the days around
 * it count as well. Returns 0, or -1 with errno set: the notes cannot be read, and nothing is known.
 */
int runs_find(struct runs *r, const char *file, const char *what, enum runs_result *result);

/** Whether notes of versions before 0.2 are among those days. Returns false where they cannot be read. */
bool runs_has_old(struct runs *r, const char *file);

/**
 * Note what became of a delivery. file: as above. Returns 0, or -1 with errno set: there is no memory. The note counts
 * from now on, and is on disk after runs_write(), on stable storage after runs_flush().
 */
int runs_add(struct runs *r, const char *file, const char *delivery, const char *key,
    enum runs_result result);

/**
 * Write the notes that are not written yet, all of a batch at once: they outlive this process, but perhaps not a power
 * failure. Returns 0 when all are written, or -1 with errno set: no hook should be started before they are.
 */
int runs_write(struct runs *r);

/** The same, and have them on stable storage. */
int runs_flush(struct runs *r);

/** How many notes are not on stable storage. */
size_t runs_unsynced(const struct runs *r);

/**
 * Make sure that the next notes of this day can be written even if the disk becomes full. Returns 0, also where
 * the file system cannot do this, or -1 with errno set.
 */
int runs_reserve(struct runs *r, const char *file);

/**
 * Remove the notes of days that the journal (a directory) has no file of, if a day began since the last call.
 * The newest days stay in any case.
 */
void runs_drop_old(struct runs *r, int journal);

#endif
