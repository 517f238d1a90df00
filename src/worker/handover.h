#ifndef WORKER_HANDOVER_H
#define WORKER_HANDOVER_H

#include "worker/job.h"
#include "worker/targets.h"

/* One delivery on its way to its targets, or to one of them again. */
struct handover {
	struct handover *next; /* in its lane */
	struct owner_lane *lane;
	struct job *job;   /* as the journal has it; NULL: it is read again when its turn comes */
	bool is_retry;     /* it is an item of the queue */
	bool has_targets;  /* `targets` is known */
	unsigned patience; /* how often it was looked at before its record followed its line */
	char delivery[UUID_SIZE];
	struct follow_place place;
	char target[TARGET_SIZE]; /* of a retry; "": all */
	struct target_list targets;
	size_t at; /* the next one of these */
	/* Lines of the journal that are on their way, in the order read: the position stays in front of them. */
	struct handover *older, *newer;
};

#endif
