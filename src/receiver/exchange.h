#ifndef RECEIVER_EXCHANGE_H
#define RECEIVER_EXCHANGE_H

#include "receiver/connection.h"
#include "receiver/handle.h"
#include "receiver/receiver.h"

/* One request and its answer, by libfcgi. It never waits for the peer. */

struct exchange;

/**
 * Read the request of a connection, which is in the socket or the spool as `look` says. What exchange_handling()
 * gives can be handled then. NULL: the connection has to be closed.
 */
struct exchange *exchange_new(struct receiver *r, struct connection *c, enum look look);

struct handling *exchange_handling(struct exchange *x);
struct connection *exchange_connection(struct handling *h);

/**
 * A POST or PUT was read and understood, and waits for its commit. Give back the memory that libfcgi has for the
 * request, so that a batch of requests does not need as much of it for each. What is left of the request is its id.
 * The answer is written as one record, without libfcgi.
 */
void exchange_release(struct handling *h);

enum exchanged {
	EXCHANGE_KEEP,   /* answered; the web server wants to keep the connection */
	EXCHANGE_CLOSE,  /* answered; the connection can be closed */
	EXCHANGE_LEAVE,  /* answered; more of the request may come, and must be discarded */
	EXCHANGE_FAILED, /* not answered */
};

/** Send the answer, once it was handled, and end the exchange. */
enum exchanged exchange_end(struct exchange *x);

#endif
