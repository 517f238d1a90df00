#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "fluid/error.h"

/*
 * Requests to the user's own site, as Fluid makes them: https, or http to a loopback address; the
 * certificate is verified with the system's authorities, or with those that $SSL_CERT_FILE names; redirects are not followed. For one thread.
 */

/* Answers larger than this are an error, in bytes: a receiver's are one short line. */
enum { CLIENT_ANSWER_MAX = 256 * 1024 };

/* Seconds that Fluid waits for a connection, for the answer of a business and of a lifecycle event. */
enum { CLIENT_CONNECT = 5, CLIENT_BUSINESS = 15, CLIENT_LIFECYCLE = 30 };

struct client_header {
	const char *name, *value;
};

struct client_request {
	const char *method; /* GET or POST */
	const char *url;
	const struct client_header *headers; /* in the order sent; ended by one without a name */
	const void *body;                    /* NULL for none */
	size_t body_len;
	unsigned timeout; /* seconds for all of it */
};

/* Where it failed; all before the answer are reasons to look at another part of the way. */
enum client_failure {
	CLIENT_OK,
	CLIENT_ADDRESS, /* not an address, or one that may not be called */
	CLIENT_PROXY,   /* the one that the environment names, as far as it can be told */
	CLIENT_RESOLVE,
	CLIENT_CONNECTING,
	CLIENT_TLS,
	CLIENT_TIMEOUT,
	CLIENT_ANSWER, /* broken off, not HTTP, too large */
};

/* {0} is none; client_answer_free() ends it. */
struct client_answer {
	enum client_failure failure;
	char error[FLUID_ERROR_SIZE]; /* what failed, as one line */
	long status;
	struct buf body;
	char *server, *date;     /* headers, or NULL */
	char *redirect;          /* where a 3xx points to, or NULL */
	double ms;               /* from the name's look-up to the last byte */
	int64_t issued, expires; /* of the site's certificate, unix seconds; 0 where unknown */
	int64_t at;              /* when the answer's head came, unix seconds */
};

/** Make a request. Returns 0 for any whole answer, whatever its status, or -1 with the failure set. */
int client_send(const struct client_request *r, struct client_answer *a);

void client_answer_free(struct client_answer *a);

/** The variable that names the proxy in use for https; NULL: there is none. */
const char *client_proxy(void);

/** Whether a URL may be called. Returns 0, or -1 after saying what is wrong. */
int client_check_url(const char *url);

#endif
