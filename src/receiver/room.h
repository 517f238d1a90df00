#ifndef RECEIVER_ROOM_H
#define RECEIVER_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "receiver/connection.h"

/*
 * All connections, most of which wait for the web server. A thread holds a connection while it works on
 * it; all others wait in an epoll set, with a limit to their time. The epoll set is edge-triggered, so
 * an event wakes one thread, once.
 */

enum {
	KEPT_MS = 120 * 1000,  /* longer than web servers keep one, so that they close it */
	LEAVING_MS = 2 * 1000, /* since the last bytes that were discarded */
	SILENT_MS = 2 * 1000,  /* without a byte, when the process stops */
};

struct room;

/**
 * A room for so many connections. epoll: the set they wait in, with room_key() in their events.
 * timer: a timerfd, which ticks while connections wait. Both are the caller's. NULL with errno set.
 */
struct room *room_new(unsigned places, int epoll, int timer);
void room_free(struct room *r);

/** A new connection, held by the caller. NULL: the room is full. The room takes fd over. */
struct connection *room_enter(struct room *r, int fd, int64_t now_ms);

/** The connection of an epoll event, held by the caller. NULL: another thread holds it, or it has left. */
struct connection *room_take(struct room *r, uint64_t key);

enum waiting {
	ROOM_WAITS,      /* the caller no longer holds it */
	ROOM_LOOK_AGAIN, /* there was an event meanwhile */
	ROOM_FAILED,     /* errno says why */
};

/** Let it wait until its next event. */
enum waiting room_wait(struct room *r, struct connection *c, int64_t now_ms);

/** It is over: close it. */
void room_leave(struct room *r, struct connection *c);

/**
 * A connection that has waited too long, held by the caller; NULL: none (any more). stopping: those that
 * nothing has arrived on count as overdue after SILENT_MS, and kept ones at once.
 */
struct connection *room_overdue(struct room *r, int64_t now_ms, bool stopping);

/** The connection to give up for a newer one, held by the caller. NULL: none waits. */
struct connection *room_oldest(struct room *r);

/**
 * While the requests that are kept in memory take more than SPOOLS_MAX: the oldest of them, held by the
 * caller. Else NULL.
 */
struct connection *room_over_memory(struct room *r);

/** Wait until no connection is left, for this long at most. Returns whether that is so. */
bool room_wait_empty(struct room *r, int ms);

#endif
