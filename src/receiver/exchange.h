#ifndef RECEIVER_EXCHANGE_H
#define RECEIVER_EXCHANGE_H

#include "receiver/connection.h"
#include "receiver/receiver.h"

/* One request and its answer, by libfcgi. It never waits for the peer. */

enum exchanged {
	EXCHANGE_KEEP,		/* answered; the web server wants to keep the connection */
	EXCHANGE_CLOSE,		/* answered; the connection can be closed */
	EXCHANGE_LEAVE,		/* answered; more of the request may come, and must be discarded */
	EXCHANGE_FAILED,	/* not answered */
};

/** The request is in the socket (LOOK_IN_SOCKET). */
enum exchanged exchange_in_socket(struct receiver *r, struct connection *c);

/** The request is in the spool, whole (LOOK_IN_SPOOL) or not (LOOK_ENOUGH). */
enum exchanged exchange_in_spool(struct receiver *r, struct connection *c, bool whole);

#endif
