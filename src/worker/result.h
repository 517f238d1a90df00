#ifndef WORKER_RESULT_H
#define WORKER_RESULT_H

#include "worker/runner_parts.h"

/* What becomes of a delivery at a target, in the queue and in runs/: done, given up, or waiting. */

/** A slot's attempt has ended. */
void result_of(struct runner *r, struct slot *slot);

/** It waits until item->next. If that cannot be written, the position stays in front of it. */
void result_wait(struct runner *r, const struct queue_item *item);

/**
 * An item cannot be dealt with, and that is no failure of its target. It is looked at again so many seconds
 * later, and stays as it is but for `why`, which is logged and written once.
 */
void result_keep_waiting(struct runner *r, const struct queue_item *item, const char *why,
    int64_t seconds);

/** It waits no longer. */
void result_forget(struct runner *r, const char *delivery, const char *target);

/** Whether a write that failed can be tried again: the disk was full, and the reserve is given back. */
bool result_make_room(struct runner *r);

/** Write the runs of attempts that have ended. Sets r->unnoted if they cannot be written. */
void result_write_runs(struct runner *r);

/** Have them on stable storage. Returns 0, or -1 with r->unnoted set. */
int result_sync_runs(struct runner *r);

/** What could not be written: once more. lost: called with what still cannot; may be NULL. Sets r->unsaved and r->unnoted. */
void result_save_again(struct runner *r, void (*lost)(const struct queue_item *item));

#endif
