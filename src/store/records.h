#ifndef STORE_RECORDS_H
#define STORE_RECORDS_H

#include <stdbool.h>

#include "store/installation.h"

/*
 * Installation records as the receiver reads them: again and again, and hardly ever changed. What
 * was read is kept and checked against the file (inode, size, times) at every use, or as often as
 * store/glance.h says.
 */

struct records;

/* A record as it was read. Shared and not to be changed; valid until records_release(). */
struct record {
	const struct installation *installation;
};

/** dir: the installations directory's descriptor, which stays open as long. NULL: ENOMEM. */
struct records *records_new(int dir);

void records_free(struct records *r);

/**
 * The record of this name. Returns it (to be given back with records_release()), or NULL with errno
 * set: ENOENT where there is none, EBADMSG where the file is damaged. Safe from several threads.
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

#endif
