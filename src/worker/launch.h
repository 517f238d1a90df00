#ifndef WORKER_LAUNCH_H
#define WORKER_LAUNCH_H

#include "worker/runner_parts.h"

/* Starting attempts. */

enum launch_result {
	LAUNCH_STARTED, /* the slot has the handover */
	LAUNCH_FAILED,  /* the worker or the machine failed: nothing is started for a moment */
	LAUNCH_LATER,   /* the installation's record cannot be read; others can be started */
};

/** Begin to hand a delivery, whose job is there, to a target, in a free slot. */
enum launch_result launch_start(struct runner *r, struct slot *slot, struct handover *h,
    const char *target);

#endif
