#ifndef WORKER_QUEUE_MEMORY_H
#define WORKER_QUEUE_MEMORY_H

#include "worker/queue_item.h"
#include "worker/runs_memory.h"

/* What waits, in memory: found by delivery and by key, and in the order in which it is due. */

struct queue_entry {
	struct queue_item item;
	char file[QUEUE_FILE_SIZE];               /* its name */
	struct queue_entry *next_name, *next_key; /* in their buckets */
	size_t at;                                /* in the heap; SIZE_MAX: it is not there */
};

/* Zeroed: empty. */
struct queue_memory {
	struct queue_entry **by_name, **by_key; /* by file and by key: n_buckets each */
	size_t n_buckets;
	struct queue_entry **heap; /* the one that is due first is the first */
	size_t n_heap, cap_heap;
	size_t n;
	struct digest_set dead; /* deliveries and keys that were given up */
};

/** Add an item, or replace that of the same delivery and target; it is in the heap then. NULL: ENOMEM. */
struct queue_entry *queue_memory_put(struct queue_memory *m, const struct queue_item *item);

struct queue_entry *queue_memory_get(const struct queue_memory *m, const char *delivery,
    const char *target);

/** The same, by the name of its file. */
struct queue_entry *queue_memory_get_file(const struct queue_memory *m, const char *file);

/** Whether an item with this key waits for the target. */
bool queue_memory_has_key(const struct queue_memory *m, const char *key, const char *target);

void queue_memory_remove(struct queue_memory *m, struct queue_entry *e);

/** The one that is due first, or NULL. */
struct queue_entry *queue_memory_first(const struct queue_memory *m);

/** Take it out of the heap; it stays known. */
void queue_memory_take(struct queue_memory *m, struct queue_entry *e);

/** Have it in the heap, due at this time. */
void queue_memory_schedule(struct queue_memory *m, struct queue_entry *e, int64_t next);

/** Call each() for all, in no order; it may schedule them, and nothing else. */
void queue_memory_each(struct queue_memory *m, void (*each)(void *user, struct queue_entry *e),
    void *user);

void queue_memory_free(struct queue_memory *m);

#endif
