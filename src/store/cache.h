#ifndef STORE_CACHE_H
#define STORE_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include "store/glance.h"

/*
 * What was read from files, kept in memory up to a number of bytes. What was not used for the longest time
 * goes first. An entry is checked against its file at every use, or as often as store/glance.h says.
 * All functions are safe from several threads.
 */

struct cache;

/* What the file looked like when it was read. */
struct cache_look {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed, modified;
};

/* The beginning of an entry. Shared and not to be changed, except by the functions below. */
struct cache_entry {
	TAILQ_ENTRY(cache_entry) use;
	struct cache_entry *next;
	const char *key;
	uint32_t hash;
	uint32_t size;
	unsigned users; /* who holds it, and one for the cache */
	struct cache_look look;
	bool rested; /* the file did not change just before it was read: a change will show */
	struct glance seen;
};

/** budget: in bytes, approximately. NULL: ENOMEM. */
struct cache *cache_new(size_t budget);

/** Nobody holds an entry any more. */
void cache_free(struct cache *c);

/**
 * Make an entry of `size` bytes in all, which begin with struct cache_entry, for what was read from a file that
 * looked like `st` at the time `now` (glance_now()). The caller holds it, fills the rest of it, and adds it with
 * cache_add(). NULL: ENOMEM.
 */
struct cache_entry *cache_entry_new(const char *key, size_t size, const struct stat *st,
    int64_t now);

/** Keep an entry, in place of an older one of the same key. The caller still holds it. */
void cache_add(struct cache *c, struct cache_entry *e);

/** The entry of this key, which the caller then holds, whether it is still right or not. NULL: none. */
struct cache_entry *cache_find(struct cache *c, const char *key);

/** Whether the last look at the file still counts (store/glance.h). */
bool cache_is_recent(const struct cache_entry *e, int64_t now);

/** Whether the file, which looked like `st` at the time `now`, is still the one that was read. */
bool cache_confirm(struct cache_entry *e, const struct stat *st, int64_t now);

/** Forget what is kept for this key. */
void cache_drop(struct cache *c, const char *key);

/** The caller does not hold it any more. NULL is fine. The last one to let go overwrites and frees it. */
void cache_release(struct cache *c, struct cache_entry *e);

#endif
