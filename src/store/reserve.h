#ifndef STORE_RESERVE_H
#define STORE_RESERVE_H

#include <stddef.h>

/*
 * Disk space that is set aside before something that must not be lost arrives: a disk that is full by
 * then cannot prevent it from being written. Blocks are allocated, not only a length; a file system that
 * copies on write may need more all the same.
 */

enum { RESERVE_NAME_SIZE = 256 };

/* {.dir = -1, .fd = -1} is none. */
struct reserve {
	int dir, fd;
	char name[RESERVE_NAME_SIZE];
};

/**
 * Set `size` bytes aside in a file of this name (a leftover of that name is removed) in the directory, whose
 * descriptor stays open as long. Returns 0, or -1 with errno set and nothing set aside.
 */
int reserve_make(struct reserve *r, int dir, const char *name, size_t size);

/**
 * Replace `name` in the directory `to` by these bytes, durably, in the space set aside; the reserve is used up
 * then. Both directories are on one file system. Returns 0, or -1 with errno set, the old file as it was and
 * the reserve still there.
 */
int reserve_use(struct reserve *r, int to, const char *name, const void *data, size_t len);

/**
 * Write these bytes to the beginning of the space set aside, durably, under the name that it has. It stays a reserve.
 * Returns 0, or -1 with errno set.
 */
int reserve_fill(struct reserve *r, const void *data, size_t len);

/** Leave the file where it is, with what reserve_fill() has written. */
void reserve_leave(struct reserve *r);

/** Give back what was not used. */
void reserve_drop(struct reserve *r);

#endif
