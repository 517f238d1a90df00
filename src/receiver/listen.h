#ifndef RECEIVER_LISTEN_H
#define RECEIVER_LISTEN_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"

/* The socket of --listen. */
struct listen {
	const char *address; /* unix:PATH, or HOST:PORT ([v6]:PORT) */
	mode_t mode;         /* of a unix socket */
	const char *group;   /* of a unix socket; NULL: the process's */
};

/* A socket that listens. */
struct listening {
	int fd;
	char *path; /* of a unix socket, absolute; else NULL */
	dev_t dev;  /* which file that is: another process can put its own in this place */
	ino_t ino;
};

/**
 * Make the socket and listen on it. A unix socket that nobody listens on any more (a crash left it) is
 * replaced; one that is in use, or anything else of that name, is left alone and an error.
 * Returns 0, with *out for listen_close(); or -1 with one line added to `error`.
 */
int listen_open(const struct listen *l, struct listening *out, struct buf *error);

/** Whether the file of a unix socket is missing. Another file in its place is not ours to replace. */
bool listen_is_lost(const struct listening *s);

/** Close it. remove: remove the file of a unix socket as well, if it still is the same one. */
void listen_close(struct listening *s, bool remove);

/** Whether a descriptor is a socket that listens. */
bool listen_is_listening(int fd);

#endif
