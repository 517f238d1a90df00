#ifndef RECEIVER_BACKLOG_H
#define RECEIVER_BACKLOG_H

#include <pthread.h>
#include <stdbool.h>

#include "receiver/connection.h"

/* Connections whose requests have to wait for the disk, or are large. They wait for a thread that can wait. */
struct backlog {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct connections connections; /* the oldest first */
	bool ended;
};

void backlog_init(struct backlog *b);

/** The connection belongs to who takes it with backlog_next(). */
void backlog_add(struct backlog *b, struct connection *c);

/** The oldest one. wait: until there is one, or the backlog has ended. NULL: there is none. */
struct connection *backlog_next(struct backlog *b, bool wait);

/** Nobody waits for another one from now on. */
void backlog_end(struct backlog *b);

#endif
