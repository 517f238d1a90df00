#ifndef STORE_CHANGES_H
#define STORE_CHANGES_H

#include <stdbool.h>

#include "store/installation.h"
#include "store/lifecycle_rules.h"
#include "store/state.h"

/*
 * Installation records that are changed together, under state_lock(): their files, index entries and markers
 * get to stable storage with as few syncs as their order permits.
 *
 *	1. index entries and markers, and the new text of each record in a file of its own
 *	2. the records that take their new text at once
 *	3. those that have to come after these: what a newer installation supersedes
 *	4. index entries that do not belong any more are removed; this needs no sync
 *
 * Each step is on stable storage before the next begins. So a record that is in no index, or one whose
 * credentials are gone while those of its successor are not there, cannot come from a crash.
 */

enum { CHANGES_MAX = 64 };

struct change;

struct changes {
	struct state *state;
	struct change *list;
	unsigned n, size;
};

void changes_begin(struct changes *c, struct state *s);

/** Whether this record is among them. */
bool changes_has(const struct changes *c, const char *record);

/** The records, as they will be, one by one from 0 on. NULL: there are no more. */
const struct installation *changes_nth(const struct changes *c, unsigned n);

enum changes_turn { CHANGES_FIRST, CHANGES_LAST };

/**
 * Save this record. was: where it belonged as it is in its file, or NULL: nowhere. The record belongs to the
 * changes from now on, also if this fails. Returns 0, or -1: ENOMEM.
 */
int changes_put(struct changes *c, struct installation *i, const struct lifecycle_places *was,
    enum changes_turn turn);

/**
 * Do not change this record, but have it on stable storage as it is, with its index entries: the process that
 * wrote it may have died before that. Otherwise as changes_put().
 */
int changes_confirm(struct changes *c, struct installation *i);

/** Bring all of it to stable storage. Returns 0, or -1 with errno set: some of it may be done then. */
int changes_commit(struct changes *c);

/** Forget them. To be called in any case; changes_begin() may follow. */
void changes_end(struct changes *c);

/** Remove the index entries of a record where it was before its end, and where it was before it moved. */
int changes_leave_former(struct state *s, const struct installation *i);

#endif
