#ifndef STORE_RECEIVERS_H
#define STORE_RECEIVERS_H

#include <stdbool.h>
#include <sys/un.h>

/*
 * Notes of the receivers that serve: queue/receivers/ has a file for each, with the address of its
 * socket, which the process keeps locked. A note without the lock is one of a process that was killed.
 */

enum { RECEIVERS_NAME_SIZE = 48, RECEIVERS_ADDRESS_SIZE = sizeof(struct sockaddr_un) + 16 };

struct receiver_note {
	int dir; /* of the notes; open while there is a note */
	int fd;  /* -1: there is no note */
	char name[RECEIVERS_NAME_SIZE];
};

/**
 * Note that this process serves the listening socket. Notes of killed processes for the same address go.
 * top: the state directory. Returns 0, or -1 with errno set and no note made.
 */
int receivers_enter(struct receiver_note *n, int top, int listener);

/** Take the note back. Does nothing where there is none. */
void receivers_leave(struct receiver_note *n);

/**
 * Call each(user, name, address, alive) for every note in the state directory `top`. address is
 * "unix:/path", "unix:@name" or "HOST:PORT". Returns 0, or -1 with errno set.
 */
int receivers_each(int top,
    void (*each)(void *user, const char *name, const char *address, bool alive), void *user);

#endif
