#ifndef WORKER_WAITING_H
#define WORKER_WAITING_H

#include "worker/queue.h"

/* What waits in the queue, in memory: the same items as queue/waiting, and which ones are dead. */

struct waiting;

/** Reads the queue. NULL with errno set. */
struct waiting *waiting_new(struct queue *q);

void waiting_free(struct waiting *w);

/** Add an item, or replace the one of the same delivery. */
void waiting_put(struct waiting *w, const struct queue_item *item);

/** Take an item out. Returns whether it was there. */
bool waiting_remove(struct waiting *w, const char *delivery);

/** Take an item out, and remember that it was given up. */
void waiting_dead_letter(struct waiting *w, const struct queue_item *item);

/** Whether this delivery, or another one with its key, waits or is dead. */
bool waiting_has(const struct waiting *w, const struct queue_item *item);

/** Look at it again at this time (by queue_clock()), without noting that on disk. */
void waiting_postpone(struct waiting *w, const char *delivery, int64_t next);

/** All that wait for credentials are due now. */
void waiting_wake_credentials(struct waiting *w, int64_t now);

/**
 * Walk over the items, oldest delivery first, copying each. cursor: UUID_SIZE bytes, "" to begin with.
 * Items can be removed and put meanwhile. Returns false behind the last.
 */
bool waiting_next(const struct waiting *w, char cursor[UUID_SIZE], struct queue_item *item);

/** Look for items that somebody else has put into the directory (`fluidhook retry`). */
void waiting_refresh(struct waiting *w);

#endif
