#ifndef WORKER_POSITION_H
#define WORKER_POSITION_H

#include <stdbool.h>

#include "worker/follow.h"

/*
 * How far the worker has read the journal, in queue/ of the state directory, which `dir` is below:
 *
 *	position.json	for each file of the journal
 *			"<where the next line begins> <where the last delivery begins> <that delivery>",
 *			and if lines from there on are under way, " <where the lines begin that were not
 *			read> <how many are under way>"; or "read". Versions before 0.2 wrote a number, for the last few files
 *	beginning	a journal file: a version before 0.2 dealt with the days before it
 */

/**
 * The saved position: an array for free(), of *n files, and whether it names all files that were read (worker/follow.h).
 * NULL with *n 0: none. NULL with *n 1: errno, which is EBADMSG if it is damaged.
 */
struct follow_file *position_load(int dir, unsigned *n, bool *complete);

/**
 * Where to begin if there is no position, or a damaged one: as position_load(). That is the journal's beginning, but
 * for days that a version before 0.2 dealt with.
 */
struct follow_file *position_beginning(int dir, unsigned *n, bool *complete);

/** Whether a worker that runs saved it so lately that what it says is under way still is. */
bool position_is_recent(int dir);

/** Whether there is neither of the two files: no worker has ever read the journal. */
bool position_is_new(int dir);

/** A version before 0.2 dealt with the days before this journal file's. Durable. Returns 0, or -1 with errno set. */
int position_note_beginning(int dir, const char *file);

/** Save the position, durably. Returns 0, or -1 with errno set. */
int position_save(int dir, const struct follow_file *files, unsigned n);

/** Follow the journal from where the last worker has been, else from its beginning. NULL with errno set. */
struct follow *position_follow(int dir, int journal);

#endif
