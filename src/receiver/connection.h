#ifndef RECEIVER_CONNECTION_H
#define RECEIVER_CONNECTION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/buf.h"
#include "receiver/arrival.h"

/*
 * One connection of the web server, and the request that arrives on it. The socket does not block.
 *
 * A request that is in the socket's buffer as a whole is only looked at, and libfcgi reads it from
 * there. One that arrives in parts, or is large, is taken out of the socket and kept in `spool`; it
 * needs no thread until it is complete.
 */

enum {
	PEEK_SIZE = 32 * 1024, /* a request up to this size is read from the socket by libfcgi */
};

enum connection_state {
	CONNECTION_WAITING, /* for a request to be complete */
	CONNECTION_KEPT,    /* between two requests */
	CONNECTION_LEAVING, /* answered; what still comes is discarded, until the peer closes */
};

enum look {
	LOOK_PART,      /* wait for more */
	LOOK_IN_SOCKET, /* complete, and nothing behind it */
	LOOK_IN_SPOOL,  /* complete */
	LOOK_ENOUGH,    /* in the spool: not complete, but longer than any that is accepted */
	LOOK_ENDED,     /* the peer has closed before it was complete */
	LOOK_BROKEN,
	LOOK_NO_MEMORY,
};

struct exchange;

struct connection {
	int fd;
	enum connection_state state;
	int64_t accepted_ms; /* when this request's time began */
	struct arrival arrival;
	struct buf spool;

	/* While its request is handled: what serve.c has to remember. */
	struct exchange *exchange;
	enum look look;
	STAILQ_ENTRY(connection) slow;
};

STAILQ_HEAD(connections, connection);

/**
 * See how far the request has arrived. peek: PEEK_SIZE bytes of the caller's, to look into the socket
 * with. max_body: of the configuration.
 */
enum look connection_look(struct connection *c, char *peek, uint64_t max_body);

/** Discard what has arrived. Returns whether more can come. */
bool connection_discard(struct connection *c);

/** Forget the request that was handled, and keep what is in the spool behind it. */
void connection_next(struct connection *c, int64_t now_ms);

/**
 * Answer the request without libfcgi, as far as its first record has arrived. text: the answer
 * in CGI form. Returns whether it was sent.
 */
bool connection_answer(struct connection *c, const char *text, size_t len);

/** Send all of this without waiting. Returns 0, or -1 with errno set. */
int connection_send(const struct connection *c, const char *data, size_t len);

/** Close it, and free what it holds. */
void connection_close(struct connection *c);

#endif
