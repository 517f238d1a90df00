#ifndef WORKER_TARGETS_H
#define WORKER_TARGETS_H

#include "worker/target.h"

/* All targets, of every kind (worker/target.h). */

struct targets;

/**
 * All targets. queue: the queue directory, in which it is noted which hooks run. What a worker that was killed left
 * running is ended first. NULL with errno set.
 */
struct targets *targets_new(int queue);

void targets_free(struct targets *t);

/** The configuration counts from now on. Both outlive t. conf_file: absolute, for hooks. */
void targets_configure(struct targets *t, const struct conf *conf, const char *conf_file);

/* Names of targets. Zeroed: none. */
struct target_list {
	char (*names)[TARGET_SIZE];
	size_t n, cap;
};

void target_list_free(struct target_list *l);

/**
 * Those that want an event, in the order in which they get it. `l` is emptied first. Returns 0, or -1 if that is not
 * known of every kind now: which is logged when it begins and when it ends. `l` then has those of the other kinds.
 */
int targets_match(struct targets *t, const char *event, struct target_list *l);

/**
 * Whether a target is still there for an event. The name of a most specific hook becomes that of the one that is it now.
 * Returns 1, 0 if there is none any more, or -1 as targets_match().
 */
int targets_find(struct targets *t, const char *event, char name[TARGET_SIZE]);

/** Hand a delivery to a target. NULL with errno set, as above. */
struct target_attempt *targets_start(struct targets *t, const char *name,
    const struct target_call *call);

#endif
