#ifndef STORE_STATE_H
#define STORE_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* The state directory (contract section 4), opened. */

struct state {
	char *path;
	dev_t dev;
	ino_t ino;
	int dir, installations, shops, companies, journal, queue;
	int pending, unconfirmed;	/* queue/pending, queue/unconfirmed: one empty file each */
	int lock_fd;
	pthread_mutex_t mutex;
};

/**
 * Open the state directory, making it (when its parent exists) and its folders as needed.
 * path: copied. Returns NULL with errno set.
 */
struct state *state_open(const char *path);

void state_close(struct state *s);

/** Whether this is still the directory that its path leads to: it may have been replaced or removed. */
bool state_in_place(const struct state *s);

/**
 * Be the only one, among all threads and processes, to change installation records.
 * Returns 0, or -1 with errno set and no lock held.
 */
int state_lock(struct state *s);
void state_unlock(struct state *s);

/** Whether at least min_free bytes and some inodes are free. Returns 0, or -1 with errno ENOSPC. */
int state_has_room(const struct state *s, uint64_t min_free);

/** Whether a delivery could be stored now: there is room, and the folders can be written. 0, or -1. */
int state_ready(const struct state *s, uint64_t min_free);

#endif
