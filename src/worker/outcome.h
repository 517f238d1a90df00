#ifndef WORKER_OUTCOME_H
#define WORKER_OUTCOME_H

#include "store/installation.h"
#include "worker/resolve.h"

/*
 * What becomes of a record after Fluid was asked. The caller holds state_lock() for all of these, and has
 * loaded the record under it.
 */

/** Save a changed record; in the space set aside, if the disk is full. 0, or -1 after an error was logged. */
int outcome_save(const struct resolving *s, struct installation *i);

/**
 * What a verified installation waits for will never come. One that works with the credentials it has goes
 * on with them; any other has failed. todo: what the operator can do, or NULL.
 */
enum resolved outcome_fail(const struct resolving *s, struct installation *i, const char *reason,
    const char *why, const char *todo);

/** An unsigned install that Fluid denies, or that could not be confirmed in time: remove its record. */
enum resolved outcome_remove(const struct resolving *s, const struct installation *i,
    const char *msg, const char *why);

/** Note that this record may become active, and then is to be completed. 0, or -1 after an error was logged. */
int outcome_note_active(const struct resolving *s, const char *record);

/** Its credentials are there: save it as active, then complete it. */
enum resolved outcome_active(const struct resolving *s, struct installation *i);

/**
 * What belongs to an active record: its places in the indexes, no marker without need, and no older
 * installation beside it. Returns 0, or -1 after an error was logged.
 */
int outcome_complete(const struct resolving *s, struct installation *i);

/**
 * Load a record again after Fluid was asked, if it can still take the answer. Returns RESOLVED and *i; or
 * what to do without it.
 */
enum resolved outcome_load(const struct resolving *s, const char *record, struct installation **i);

#endif
