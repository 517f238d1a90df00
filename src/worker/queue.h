#ifndef WORKER_QUEUE_H
#define WORKER_QUEUE_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/uuid.h"
#include "delivery/event.h"
#include "worker/follow.h"
#include "worker/runs.h"

/*
 * What the worker remembers, in queue/ of the state directory:
 *
 *	position.json, beginning	how far the journal has been read (worker/position.h)
 *	waiting/<delivery>.json	deliveries whose hook is to run (again) at a later time
 *	dead/<delivery>.json	deliveries whose hook was given up
 *	ran/			which deliveries' hooks ran (worker/runs.h)
 *	worker.lock		held by the worker that runs
 */

struct queue;

/** A delivery that waits, or was given up. */
struct queue_item {
	char delivery[UUID_SIZE];
	struct follow_place place; /* of its journal line */
	char event[EVENT_SIZE];    /* whose hook is to run */
	char key[RUNS_KEY_SIZE];   /* what makes two deliveries the same (worker/job.h) */
	unsigned attempts;         /* how often it ran */
	/* when it is due, by queue_clock(); of a dead one: when it was given up, unix */
	int64_t next;
	int64_t seen;         /* when it was read first, by queue_clock(); in memory alone */
	bool for_credentials; /* waits until its installation has them */
	char why[160];        /* what happened last */
	bool unsaved;         /* in memory alone; not written */
};

/** Seconds of a clock that nobody sets and that does not jump. Waits are measured with it, never with the date. */
int64_t queue_clock(void);

/** What is due at `next` of that clock, as unix seconds: for files and people. */
int64_t queue_unix(int64_t next);

/**
 * Open the queue. dir: the queue directory, which stays open as long. NULL with errno set; EWOULDBLOCK
 * where another worker has it and `exclusive` was asked for.
 */
struct queue *queue_open(int dir, bool exclusive);

void queue_close(struct queue *q);

/** Which deliveries' hooks ran, of a queue that was opened to be used alone. */
struct runs *queue_runs(struct queue *q);

/** The queue's directory. */
int queue_directory(const struct queue *q);

/** Let a delivery wait; one that waits already is replaced. Durable. Returns 0, or -1 with errno set. */
int queue_wait(struct queue *q, const struct queue_item *item);

/** It waits no longer: done, or to be tried. Returns 0, or -1 with errno set. */
int queue_remove(struct queue *q, const struct queue_item *item);

/** Give it up: from waiting to dead. Returns 0, or -1 with errno set. */
int queue_dead_letter(struct queue *q, const struct queue_item *item);

/** One that waits as well is no dead one. Returns 0, or -1 with errno set. */
int queue_drop_dead_letter(struct queue *q, const struct queue_item *item);

/**
 * Take a dead one back: it waits, with no attempt counted and for now. Several processes may do so at once.
 * Returns 0, or -1 with errno set: ENOENT if it is dead no longer, ETIMEDOUT if another process holds the lock.
 */
int queue_requeue(struct queue *q, const struct queue_item *item);

/**
 * The items that wait (or that are dead), oldest delivery first: an array of *n for free(). Damaged
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
 * Call each(user, delivery) for all that wait; what they are called on disk alone is looked at. Returns 0, or -1 with
 * errno set: these were not all.
 */
int queue_each_waiting(struct queue *q, void (*each)(void *user, const char *delivery), void *user);

/** Whether a worker runs: another process has opened the queue `exclusive`. */
bool queue_has_worker(const struct queue *q);

/** Read one that waits. Returns 0, or -1 with errno set. */
int queue_read(struct queue *q, const char *delivery, struct queue_item *item);

#endif
