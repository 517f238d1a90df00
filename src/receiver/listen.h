#ifndef RECEIVER_LISTEN_H
#define RECEIVER_LISTEN_H

#include <sys/types.h>

#include "base/buf.h"

/* The socket of --listen. */
struct listen {
	const char *address;	/* unix:PATH, or HOST:PORT ([v6]:PORT) */
	mode_t mode;		/* of a unix socket */
	const char *group;	/* of a unix socket; NULL: the process's */
};

/**
 * Make the socket and listen on it. A unix socket that nobody listens on any more (a crash left it) is
 * replaced; one that is in use, or anything else of that name, is left alone and an error.
 * Returns a descriptor, or -1 with one line added to `error`.
 */
int listen_open(const struct listen *l, struct buf *error);

/** Remove a unix socket's file. */
void listen_remove(const struct listen *l);

/** Whether a descriptor is a socket that listens. */
int listen_is_listening(int fd);

#endif
