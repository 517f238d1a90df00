#ifndef WORKER_QUEUE_H
#define WORKER_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/queue_item.h"

/*
 * What waits and what was given up, in queue/ of the state directory; the worker has it in memory as well.
 *
 *	position.json, beginning	how far the journal has been read (worker/position.h)
 *	waiting/			deliveries that wait for a target (worker/queue_item.h)
 *	dead/				deliveries that were given up at a target
 *	running				which hooks run (worker/running.h)
 *	worker.lock			held by the worker that runs
 *
 * What it costs to look something up does not depend on how much waits.
 */

struct queue;

/**
 * Open the queue. dir: the queue directory, which stays open as long. exclusive: for a worker, which has all that waits
 * in memory then. NULL with errno set; EWOULDBLOCK where another worker has it.
 */
struct queue *queue_open(int dir, bool exclusive);

void queue_close(struct queue *q);

/** The queue's directory. */
int queue_directory(const struct queue *q);

/** Whether a worker runs: another process has opened the queue `exclusive`. */
bool queue_has_worker(const struct queue *q);

/* For the worker. Times are those of queue_clock(). */

/**
 * Let a delivery wait for a target until item->next; one that waits already is replaced. Durable. Returns 0, or -1 with
 * errno set: then it waits in memory alone, marked `unsaved`, until queue_save_again().
 */
int queue_put(struct queue *q, const struct queue_item *item);

/** It waits no longer. Returns 0, also if it did not wait, or -1 with errno set: its file is still there. */
int queue_remove(struct queue *q, const char *delivery, const char *target);

/** Give a delivery up at a target: it waits no longer. Durable. Returns 0, or -1 with errno set and nothing changed. */
int queue_dead_letter(struct queue *q, const struct queue_item *item);

/** Whether this delivery, or another one with its key, waits for a target or was given up there. */
bool queue_has(const struct queue *q, const char *delivery, const char *key, const char *target);

/** What waits for a target, or NULL. Valid until it is removed. */
const struct queue_item *queue_get(const struct queue *q, const char *delivery, const char *target);

/**
 * The next item that is due now, the one that has waited longest first; it is not returned again before queue_postpone() or
 * queue_put(). NULL: none.
 */
const struct queue_item *queue_due(struct queue *q, int64_t now);

/** Look at an item again at this time, without noting that on disk. */
void queue_postpone(struct queue *q, const struct queue_item *item, int64_t next);

/** When the next one is due, perhaps in the past; 0: nothing waits. */
int64_t queue_next(const struct queue *q);

/** All that wait for credentials are due now. */
void queue_wake_credentials(struct queue *q, int64_t now);

/** Take in what somebody else has put into the directory (`fluidhook retry`). */
void queue_refresh(struct queue *q);

/** Write what is in memory alone. lost: called with each that still is. Returns 0, or -1 with errno set. */
int queue_save_again(struct queue *q, void (*lost)(const struct queue_item *item));

/* For commands. */

/**
 * All that waits (or is dead), ordered by delivery: an array of *n for free(). Damaged
 * ones are logged, counted and passed over. NULL with *n 0: there are none. NULL with *n 1: errno.
 */
struct queue_item *queue_items(struct queue *q, bool dead, unsigned *n, unsigned *damaged);

/**
 * The same, but damaged ones are not logged: on_damaged(user, name, error) is called for each, with its file's name and
 * its errno, which is EBADMSG unless the file cannot be read.
 */
struct queue_item *queue_items_and(struct queue *q, bool dead, unsigned *n,
    void (*on_damaged)(void *user, const char *name, int error), void *user);

/**
 * Let a dead letter wait again, with all its attempts before it. Returns 0, or -1 with errno set: ENOENT when another
 * process has done so already, ETIMEDOUT when one holds the lock for too long.
 */
int queue_requeue(struct queue *q, const struct queue_item *item);

#endif
