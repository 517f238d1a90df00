#ifndef WORKER_RESULT_H
#define WORKER_RESULT_H

#include "worker/runner_parts.h"

/* What becomes of a delivery at its hook, in the queue and in the notes: done, given up, or waiting. */

/** Its hook did its work. */
void result_done(struct runner *r, const struct queue_item *item);

/** Its hook did not do its work: a retry later, or a dead letter. for_good: no retry can help. */
void result_failed(struct runner *r, struct queue_item *item, bool for_good);

/** It waits until item->next. If that cannot be written, the position stays in front of it. */
void result_wait(struct runner *r, struct queue_item *item);

/**
 * An item cannot be dealt with, and that is no failure of its hook. It is looked at again so many seconds
 * later, and stays as it is but for `why`, which is logged and written once.
 */
void result_keep_waiting(struct runner *r, const struct queue_item *item, const char *why,
    int64_t seconds);

/** It waits no longer. */
void result_forget(struct runner *r, const struct queue_item *item);

/** Whether a write that failed can be tried again: the disk was full, and the reserve is given back. */
bool result_make_room(struct runner *r);

/** What could not be written to the queue: once more. log_lost: say what still cannot. Sets r->unsaved. */
void result_save_again(struct runner *r, bool log_lost);

/** Write the notes of the hooks that have ended. Sets r->unnoted if they cannot be written. */
void result_write_notes(struct runner *r);

/** Have them on stable storage. Returns 0, or -1 with r->unnoted set. */
int result_sync_notes(struct runner *r);

/** What could not be noted: once more. Sets r->unnoted. */
void result_note_again(struct runner *r);

#endif
