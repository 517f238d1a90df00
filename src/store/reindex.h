#ifndef STORE_REINDEX_H
#define STORE_REINDEX_H

#include <stdbool.h>

#include "store/state.h"

/*
 * The indexes shops/ and companies/ and the markers in queue/ are derived from the records. They can be
 * lost: in a backup without symbolic links, or by a crash between two steps. Here they are compared with
 * the records, and what is missing or stale is put right.
 */

struct reindex {
	/* What the caller wants. */
	bool dry;            /* change nothing, only count */
	bool remove_orphans; /* remove entries whose record does not exist */
	/* These may be NULL. */
	bool (*stop)(void *user); /* whether to stop early */
	/* Something was added or removed. path: below the state directory. */
	void (*changed)(void *user, bool added, const char *path);
	/* The places of this record are not known: it cannot be read, errno says why. */
	void (*damaged)(void *user, const char *file);
	void *user;
	/* What was found. */
	unsigned long records, added, removed; /* dry: added counts records that lack something */
	unsigned long
	    orphans; /* entries whose record does not exist, and that were left: it may be lost */
	unsigned long unreadable; /* records whose places are not known */
	bool complete;            /* the indexes are, and say so: index_is_complete() */
};

/**
 * Compare and put right. Deliveries can go on meanwhile: the lock of the records is held for one record
 * at a time. A crash at any point does no harm: the marks of the indexes are made last, and are removed
 * before the first entry that is missing is made.
 * With a record that cannot be read, indexes without a mark do not get one.
 * Returns 0, 1 if stopped early, or -1 with errno set.
 */
int reindex(struct state *s, struct reindex *r);

/** The same for programs that serve or work: what was done, or why it failed, is logged. stop: may be NULL. */
int reindex_logged(struct state *s, bool (*stop)(void *user), void *user);

#endif
