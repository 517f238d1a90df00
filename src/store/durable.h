#ifndef STORE_DURABLE_H
#define STORE_DURABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/file.h"

/* Files that are always whole. Nothing here follows a symbolic link in the last part of a name. */

/**
 * Open a directory, and make it (mode 0700) where it is missing, with its entry on stable storage.
 * Returns a descriptor, or -1 with errno set.
 */
int durable_directory(int parent, const char *name);

/**
 * Have the entries of a directory on stable storage. Returns 0, or -1 with errno set. A file system that
 * cannot do this (EINVAL) is named in the log: nothing can be stored there for certain.
 */
int sync_directory(int dir);

/** durable_directory() without syncing anything: for callers that go on to sync both directories. */
int make_directory(int parent, const char *name, bool *made);

/**
 * Make a new file, and remove a leftover of this name. Returns a descriptor to write to, or -1 with errno set.
 */
int durable_create(int dir, const char *name, mode_t mode);

/**
 * Replace a file's contents, or make it: readers see the old or the new file, and after a return of
 * 0 the new one is on stable storage. Callers keep out of each other's way by a lock of their own;
 * a leftover of a crash is cleared away by the next call for the same name.
 * Returns 0, or -1 with errno set and the old file as it was.
 */
int durable_replace(int dir, const char *name, const void *data, size_t len, mode_t mode);

/**
 * Whether two looks at a file found it unchanged, and whether it has rested long enough for that to
 * mean something: the times of files advance in steps, and a file that changed just now could change
 * again and look the same.
 */
bool stat_same(const struct stat *a, const struct stat *b);
bool stat_settled(const struct stat *st);

#endif
