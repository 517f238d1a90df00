#ifndef WORKER_LANE_H
#define WORKER_LANE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "fluid/api.h"

/*
 * Calls of Fluid that run side by side: one lane for each kind, so that one kind never waits for another.
 * Threads are started as there is work, and end when there is none.
 */

enum { LANE_MAX = 32 };

/* One piece of work; a part of whatever the caller keeps of it, and its own while it is queued or runs. */
struct lane_item {
	struct lane_item *next;
};

struct lane;

/* One thread of a lane. */
struct lane_caller {
	struct lane *lane;
	pthread_t thread;
	enum { CALLER_NONE, CALLER_RUNS, CALLER_ENDED } state;
};

struct lane {
	unsigned max;           /* how many run at once, up to LANE_MAX */
	pthread_mutex_t *mutex; /* the caller's; protects this, and is not held during work */
	const struct fluid_api *api;
	const atomic_bool *stop; /* the items that still wait are left then */
	void (*work)(void *user, struct fluid_api *t, struct lane_item *item);
	void (*ended)(void *user); /* a thread has ended; called with the mutex held */
	void *user;
	struct lane_item *first, **last;
	unsigned queued, running;
	struct lane_caller callers[LANE_MAX];
};

/** Set a lane up: the members above `first` are the caller's to fill in. */
void lane_init(struct lane *l);

/** Add an item. The caller holds the mutex. */
void lane_add(struct lane *l, struct lane_item *item);

/**
 * Start threads as far as there is work for them, from one thread only. Signals are to be blocked. The caller
 * does not hold the mutex. Returns 0, or -1 with errno set when no thread runs at all.
 */
int lane_start(struct lane *l);

/** Wait until every thread has ended its work. `stop` is set, or there is no item left. */
void lane_join(struct lane *l);

#endif
