#ifndef STORE_RECORDS_H
#define STORE_RECORDS_H

#include <stdbool.h>

#include "store/installation.h"
#include "store/state.h"

/*
 * Installation records, and the entries of the indexes, as the receiver reads them: again and again, and
 * seldom changed. What was read is kept (store/cache.h) and checked against the file or directory (inode,
 * size, times) at every use, or as often as store/glance.h says. A thread that must not wait for the disk
 * says so (store/wait.h).
 */

struct records;

/*
 * A record as it was read. Shared and not to be changed; valid until records_release(). It has what it takes
 * to verify a delivery and to decide what the delivery changes; the other members are empty:
 * authentication_token and name, and what belongs to exchanges, subscriptions and moves. Only whether there
 * is an exchange_token can be told.
 */
struct record {
	const struct installation *installation;
};

/** dir: the installations directory's descriptor, which stays open as long. NULL: ENOMEM. */
struct records *records_new(int dir);

void records_free(struct records *r);

/**
 * The record of this name. Returns it (to be given back with records_release()), or NULL with errno
 * set: ENOENT if there is none, EBADMSG if the file is damaged, EAGAIN if this thread would have to wait for
 * the disk. Safe from several threads.
 */
const struct record *records_get(struct records *r, const char *name);

void records_release(struct records *r, const struct record *record);

/** Whether that was noted (records_settle()) of the record as it was read here. */
bool records_is_settled(struct records *r, const struct record *record);

/**
 * Note that the record, as it is in the file now, is on stable storage with its index entries, and that
 * what it means for other records is done. The note is lost when the file changes.
 */
void records_settle(struct records *r, const char *name);

/**
 * Call each(user, record) for the entries of a key in an index, which is s->shops or s->companies, until it
 * returns non-zero. Returns 0, also if the key is unknown or no safe name, or -1 with errno set (EAGAIN: as
 * above).
 */
int records_each(struct records *r, const struct state *s, int index, const char *key,
    int (*each)(void *user, const char *record), void *user);

#endif
