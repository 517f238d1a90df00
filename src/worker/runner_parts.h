#ifndef WORKER_RUNNER_PARTS_H
#define WORKER_RUNNER_PARTS_H

#include "store/reserve.h"
#include "worker/lanes.h"
#include "worker/runner.h"
#include "worker/runs.h"

/* What the parts of the runner share: turn.c decides, launch.c starts an attempt, result.c notes what became of it. */

struct slot {
	struct target_attempt *attempt; /* NULL: free */
	struct handover *h;
	struct queue_item item; /* this delivery at this target, this attempt counted */
	int64_t began;          /* backoff_now() */
};

struct runner {
	const struct conf *conf;
	const struct state *state;
	struct queue *queue;
	struct runs *runs;
	struct follow *follow;
	const struct provision *provision;
	struct targets *targets;
	struct lanes *lanes;
	struct handover *oldest, *newest; /* lines that are on their way */
	struct target_list found;         /* for the line that is being read */
	struct buf line;
	int runs_dir, old_runs_dir;
	struct slot slots[RUNNER_SLOTS_MAX];
	unsigned n_running;
	bool stopping;
	bool retried_last;
	bool more_lines; /* there may be */
	bool more;       /* stopped although there is something to do */
	bool unread;     /* the journal could not be read */
	bool unsaved;    /* something waits in memory alone */
	bool unnoted;    /* so do attempts that were made */
	bool position_changed;
	bool position_unsaved;  /* it could not be saved */
	int64_t position_saved; /* backoff_now() */
	int64_t
	    sync_due; /* backoff_now(); runs are then to be on stable storage; 0: none is to be */
	int64_t rest_until;     /* backoff_now(); when a lane goes on; 0: none rests */
	struct reserve reserve; /* room for what attempts leave in the queue: queue/reserve */
	int64_t in_place_at;    /* backoff_now(); when the state directory was in its place */
	bool failed;            /* the worker itself, at any time: not all was done that was due */
	int start_errno;        /* why the last attempt could not be started; 0: it was */
	int64_t blocked_until;  /* backoff_now(); nothing is started before */
	/* backoff_now(); lines that were not found are not looked for before */
	int64_t search_after;
};

/** The worker itself has failed: start nothing for a moment. */
void runner_block(struct runner *r);

/** Whether nothing can be started for a moment. */
bool runner_is_blocked(const struct runner *r);

/** A free slot, or NULL. */
struct slot *runner_free_slot(struct runner *r);

/** A handover of nothing yet. NULL: ENOMEM. */
struct handover *handover_new(void);

/** Forget it; it is in no lane. */
void handover_free(struct handover *h);

/** It was taken and is done: its lane goes on, and the position behind it. */
void handover_end(struct runner *r, struct handover *h);

#endif
