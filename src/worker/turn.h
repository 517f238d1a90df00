#ifndef WORKER_TURN_H
#define WORKER_TURN_H

#include "worker/runner_parts.h"

/* Deciding what is to be done for a delivery whose turn it is: start its hook, let it wait, or skip it. */

/** runner_line() for a line that was read into *job. slot: a free one. */
bool turn_line(struct runner *r, struct job *job, struct slot *slot);

/** A line of the journal cannot be dealt with now, because of an error of the worker's own. Returns false. */
bool turn_failed(struct runner *r, const struct job *job);

/** An item's time has come, and there is room. */
void turn_item(struct runner *r, const struct queue_item *item);

#endif
