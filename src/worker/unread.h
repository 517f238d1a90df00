#ifndef WORKER_UNREAD_H
#define WORKER_UNREAD_H

#include "worker/queue.h"

/* What no worker has read yet, for commands that report it or must not remove it. */

/**
 * A journal file with `lines` whole lines behind the worker's position, or one that cannot be read: error is then its
 * errno, for follow_problem(), and what is in it counts as unread.
 */
typedef void unread_file(void *user, const char *name, unsigned long lines, int error);

/**
 * Call each() for every journal file that is not read to its end, the oldest first. journal: the directory.
 * Returns 0, or -1 with errno set: EBADMSG if the position is damaged; a worker would then begin anew.
 */
int unread_each(int journal, struct queue *q, unread_file *each, void *user);

#endif
