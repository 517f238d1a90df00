#ifndef WORKER_TURN_H
#define WORKER_TURN_H

#include "worker/runner_parts.h"

/* Deciding what is to be done for a delivery whose turn it is: start an attempt, let it wait, or skip it. */

/** It was taken out of its lane, and there is a free slot. */
void turn_take(struct runner *r, struct handover *h);

/** It has been handed to all of its targets, as far as that is possible now. */
void turn_over(struct runner *r, struct handover *h);

/** The worker itself failed to deal with a delivery: nothing is started for a moment. delivery: NULL, not known. */
void turn_failed(struct runner *r, const char *delivery);

/**
 * Whether anything at all is to be done for a delivery of this event, now or later. Returns 1 or 0, or -1 if the
 * targets cannot be seen now.
 */
int turn_is_wanted(struct runner *r, const char *event);

#endif
