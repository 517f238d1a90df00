#ifndef WORKER_LAUNCH_H
#define WORKER_LAUNCH_H

#include "worker/runner_parts.h"

/* Starting hooks. */

/**
 * Look for an event's hook. Writes its path, of HOOK_PATH_SIZE bytes. Returns 1, 0 if there is none, or -1 if the
 * directory cannot be seen: then nothing is started for a moment.
 */
int launch_find(struct runner *r, const char *event, char *path);

/** Whether the hook was there, and the directory went away before it could be executed. */
bool launch_lost_directory(struct runner *r, const struct slot *slot);

/**
 * Run the job's hook in a slot, which takes the job over. Returns 1 when it runs. The job is still the
 * caller's when there is no hook for it, 0, and when it could not be started now, -1: nothing else is then
 * started for a moment.
 */
int launch_start(struct runner *r, struct slot *slot, struct job *job, bool is_retry);

#endif
