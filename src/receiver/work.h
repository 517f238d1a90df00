#ifndef RECEIVER_WORK_H
#define RECEIVER_WORK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "receiver/backlog.h"
#include "receiver/connection.h"
#include "receiver/receiver.h"
#include "receiver/room.h"

/*
 * What the threads of a server do. A few fast ones take requests up to the line of the journal, and go on with
 * the next request instead of waiting. When there is none, one of them commits all lines, and answers all
 * these requests. Requests that have to wait for the disk otherwise, or are large, go to the slow threads.
 */

struct server {
	int listener;
	int epoll;
	int timer;            /* the room's */
	int quit_fd;          /* readable for ever once the threads shall end */
	atomic_bool stopping; /* accept no more */
	atomic_bool quit;
	atomic_uint silent; /* connections closed without a request, not yet logged */
	atomic_ullong max_body;
	struct room *room;
	struct backlog slow;     /* for the slow threads */
	unsigned n_slow_threads; /* 0: the other ones do that too */
	pthread_mutex_t mutex;   /* of receiver */
	struct receiver *receiver;
};

/* How events that are of no connection are known; room_take() knows the others by larger keys. */
enum { KEY_LISTENER, KEY_TIMER, KEY_QUIT, N_KEYS };

/** For pthread_create(), with the server. They end once `quit` is set, `quit_fd` readable and the backlog ended. */
void *work_fast(void *server);
void *work_slowly(void *server);

/** Close what has waited too long. */
void work_close_overdue(struct server *s);

/** Close the connection, and answer 503 to a request that has begun and waits for its rest. */
void work_give_up(struct server *s, struct connection *c, const char *reason);

/** Watch the listener: an event wakes one thread, which accepts what there is. */
int work_watch_listener(struct server *s, int operation);

#endif
