#ifndef WORKER_UNREAD_H
#define WORKER_UNREAD_H

#include "worker/follow.h"
#include "worker/queue.h"

/* What no worker has read yet, for commands that report it or must not remove it. */

/* A journal file that is not read to its end. */
struct unread {
	const char *name;
	unsigned long lines; /* whole lines that no worker has read */
	/* lines that the worker that runs has read: their targets have them, or their turn is still to come */
	unsigned long under_way;
	/* when the first of them was received, unix seconds; INT64_MAX: not known */
	int64_t oldest;
	int error; /* errno, for follow_problem(), if the file cannot be read: all in it counts as unread */
};

typedef void unread_file(void *user, const struct unread *file);

/**
 * Call each() for every journal file that is not read to its end, or of which something is under way, in the journal's order. journal: the directory.
 * Returns 0, or -1 with errno set: EBADMSG if the position is damaged; a worker would then begin anew.
 */
int unread_each(int journal, struct queue *q, unread_file *each, void *user);

#endif
