#ifndef WORKER_RUNNER_PARTS_H
#define WORKER_RUNNER_PARTS_H

#include "store/reserve.h"
#include "worker/hooks.h"
#include "worker/job.h"
#include "worker/runner.h"
#include "worker/waiting.h"

/* What the parts of the runner share: turn.c decides, launch.c starts a hook, result.c notes what became of it. */

struct slot {
	struct hook *hook; /* NULL: free */
	struct job job;
	bool is_retry; /* its item is in queue/waiting */
};

struct runner {
	const struct conf *conf;
	const char *conf_file;
	const struct state *state;
	struct queue *queue;
	const struct provision *provision;
	struct hooks *hooks;
	struct hook_signals signals;
	struct running *running; /* which hooks run, on disk */
	struct waiting *waiting; /* what is in queue/waiting, and the keys of the dead */
	struct slot slots[RUNNER_SLOTS_MAX];
	bool retried_last;
	bool unsaved; /* something waits in memory alone */
	bool unnoted; /* so do notes of what became of hooks */
	int64_t
	    sync_due; /* backoff_now(); notes are then to be on stable storage; 0: none is to be */
	struct reserve reserve; /* room for such notes: queue/reserve */
	int64_t in_place_at;    /* backoff_now(); when the state directory was in its place */
	bool hooks_unavailable; /* when they were last looked for */
	bool failed;            /* the worker itself, at any time: not all was done that was due */
	int start_errno;        /* why the last hook could not be started; 0: it was */
	int64_t blocked_until;  /* backoff_now(); nothing is started before */
	/* backoff_now(); lines that were not found are not looked for before */
	int64_t search_after;
};

/* The longest path of a hook, with its NUL. */
enum { HOOK_PATH_SIZE = 4096 };

/** The worker itself has failed: start nothing for a moment. */
void runner_block(struct runner *r);

/** A slot in which a hook can run, or NULL. */
struct slot *runner_free_slot(struct runner *r);

#endif
