#ifndef WORKER_MARKERS_H
#define WORKER_MARKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/name.h"
#include "worker/lane.h"

/* The markers of records that wait for Fluid, as they were seen, in memory. The caller's mutex protects them. */

/* The directories of queue/ with a marker for each record that waits. */
enum markers_directory { PENDING, UNCONFIRMED, SUBSCRIBE, N_DIRECTORIES };

/* A marker that was seen, as long as it is there. Times are those of backoff_now(). */
struct marked {
	struct lane_item item;    /* first: what the lane knows */
	struct marked *following; /* in its bucket */
	enum markers_directory directory;
	char record[NAME_SIZE];
	bool busy;    /* it is the lane's */
	int64_t next; /* not before */
	unsigned tries;
	uint64_t pass; /* the last one that saw the marker */
};

enum { MARKERS_BUCKETS = 1024 };

/* Zeroed: none. */
struct markers {
	struct marked *buckets[MARKERS_BUCKETS];
	uint64_t pass; /* counts the readings of the directories */
};

/** Where a marker's entry is; what is there is NULL when it has none. */
struct marked **markers_find(struct markers *m, enum markers_directory directory,
    const char *record);

/**
 * Forget what this pass did not see; unless the directories could not all be read (complete). Returns when the
 * next one is due, 0 for none.
 */
int64_t markers_sweep(struct markers *m, bool complete);

void markers_free(struct markers *m);

#endif
