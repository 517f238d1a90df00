#ifndef WORKER_HOOKS_H
#define WORKER_HOOKS_H

#include "worker/target.h"

/*
 * Hooks, as targets: the hooks directory as it was last read. It is read again when it has changed.
 *
 * For an event, the most specific of order.created, order and any is a target, and each executable file in order.created.d,
 * order.d and any.d.
 */

struct hooks;

extern const struct target_kind hooks_kind;

/** queue: where it is noted which hooks run; -1: none is run. What was left running is ended. NULL with errno set. */
struct hooks *hooks_new(int queue);

void hooks_free(struct hooks *h);

void hooks_configure(struct hooks *h, const struct conf *conf, const char *conf_file);

/** Whether the directory can be seen now, or need not exist. Returns 0, or -1 with errno set. */
int hooks_look(struct hooks *h);

#endif
