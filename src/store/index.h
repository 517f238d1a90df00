#ifndef STORE_INDEX_H
#define STORE_INDEX_H

#include <stdbool.h>

#include "store/state.h"

/*
 * The indexes shops/ and companies/: a directory for each key, in it a symbolic link for each
 * installation, to ../../installations/<record>.json. The links are for people and scripts;
 * fluidhook reads their names and never follows them.
 *
 * An index that is complete has a mark: a symbolic link called "+complete", which no key can be called, so
 * that it is lost together with the other links. While one of the marks is missing, a key that is not
 * found may have had records: store/reindex.h.
 */

/** Note on stable storage that `record` belongs to `key`. Both names are safe. 0, or -1 with errno. */
int index_add(int directory, const char *key, const char *record);

enum index_made {
	INDEX_WAS_THERE,
	INDEX_ENTRY_MADE, /* the directory of the key is to be synced */
	INDEX_KEY_MADE,   /* and the directory of the index, too */
};

/**
 * The same without syncing anything. Returns a descriptor of the key's directory, to be synced and closed by the
 * caller, or -1 with errno set.
 */
int index_enter(int directory, const char *key, const char *record, enum index_made *made);

/** The same, and nothing is to be synced now. Returns 0, or -1 with errno set. */
int index_link(int directory, const char *key, const char *record);

/** Take that back. Nothing there is fine. Returns 0, or -1 with errno set. */
int index_remove(int directory, const char *key, const char *record);

/**
 * Call each(user, record) for the records of a key, in no particular order, until it returns
 * non-zero; at most `most` of them (0: all). Names that are not safe are passed over.
 * Returns 0 (also where the key is unknown, or no safe name), or -1 with errno set.
 */
int index_each(int directory, const char *key, unsigned most,
    int (*each)(void *user, const char *record), void *user);

/** The same for the directory of a key that was opened, without a limit. */
int index_each_in(int dir, int (*each)(void *user, const char *record), void *user);

/** Without a limit; returns what each() returned where that is not 0. */
int index_each_until(int directory, const char *key, int (*each)(void *user, const char *record),
    void *user);

/** Whether both indexes have their marks. False where that cannot be seen. */
bool index_is_complete(const struct state *s);

/** Mark both as complete, on stable storage; or take the marks back. Returns 0, or -1 with errno set. */
int index_mark(const struct state *s);
int index_unmark(const struct state *s);

#endif
