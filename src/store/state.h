#ifndef STORE_STATE_H
#define STORE_STATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "store/glance.h"
#include "store/layout.h"
#include "store/seal.h"

/* The state directory (contract section 4), opened. */

/* Enough for a message that contains a path of the configuration. */
enum { STATE_WHY_SIZE = 4096 + 256 };

/* Which file or directory a name stood for when it was opened. */
struct state_place {
	dev_t dev;
	ino_t ino;
};

/* What was seen of it lately. */
struct state_seen {
	struct glance in_place, room, marks;
	/* Under state_lock(): what shops/ and companies/ looked like when they were synced (store/changes). */
	struct stat shops_synced, companies_synced;
};

struct lifecycle_waiting;

/* Threads whose events wait to be applied together (lifecycle_apply_shared()). */
struct state_queue {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct lifecycle_waiting *first, **last;
	unsigned n; /* how many */
	bool led;   /* some thread applies the events of others */
};

struct state {
	char *path;
	int dir, lock_fd;
	/* The directories. queue/pending and queue/unconfirmed have an empty file for each record that waits. */
	int installations, shops, companies, journal, queue, pending, unconfirmed;
	struct state_place top, places[LAYOUT_N];
	struct stat version;        /* of the file VERSION: what it says was read then */
	char seal_id[SEAL_ID_SIZE]; /* of the key that credentials are sealed under; "": in clear */
	struct state_seen *seen;
	pthread_mutex_t mutex;
	pthread_cond_t freed;
	bool held; /* by a thread of this process */
	struct state_queue queue_of_events;
};

/**
 * Open a state directory. It has to be complete (store/layout.h); nothing is made. The exception is a
 * directory from before 0.2, which has data and no VERSION: what is missing in it is made, VERSION last.
 *
 * path: copied. why: receives a message that names what is wrong, and the hint: "state_dir /srv/fh: no
 * VERSION file; run ...". Returns NULL with errno set and *why filled.
 */
struct state *state_open(const char *path, char why[STATE_WHY_SIZE]);

void state_close(struct state *s);

/**
 * Whether a path leads to a state directory, or one from before 0.2. Changes nothing.
 * Returns 0, or -1 with errno set and *why filled.
 */
int state_is_marked(const char *path, char why[STATE_WHY_SIZE]);

/** The same, and whether it is complete, so that state_open() would open it. */
int state_is_complete(const char *path, char why[STATE_WHY_SIZE]);

/**
 * Make a path a state directory, if it is none yet: make the directories that are missing and then VERSION.
 * made(): called for each that was made; may be NULL. The path itself has to be a directory already.
 * Returns 0, or -1 with errno set and *why filled.
 */
int state_init(const char *path, void (*made)(void *user, const char *name), void *user,
    char why[STATE_WHY_SIZE]);

/**
 * Make the directories that are missing in a state directory that has its VERSION. Else as state_init().
 */
int state_restore(const char *path, void (*made)(void *user, const char *name), void *user,
    char why[STATE_WHY_SIZE]);

/**
 * Whether the path still leads to this state directory, and the names in it to what was opened: they can
 * have been moved, removed or replaced. If not, close it and call state_open(), which says what is wrong.
 * Costs a few calls of stat(2), or none (store/glance.h).
 */
bool state_in_place(const struct state *s);

/**
 * Be the only one, among all threads and processes, to change installation records. Waits as long as
 * threads of this process change them, as long as other processes of fluidhook have their turns (30 s at
 * most), and at most LOCK_WAIT_MS while another program has the lock.
 * Returns 0, or -1 with errno set (ETIMEDOUT, logged with the file's name) and no lock held.
 */
int state_lock(struct state *s);
void state_unlock(struct state *s);

/** Whoever has the lock for long does this now and then, so that other processes of fluidhook go on waiting. */
void state_lock_renew(const struct state *s);

/** The file whose lock it is, in the state directory. */
extern const char state_lock_file[];

/** Whether at least min_free bytes and some inodes are free (store/glance.h). Returns 0, or -1 with errno. */
int state_has_room(const struct state *s, uint64_t min_free);

/**
 * Whether a delivery could be stored now: there is room, and the directories can be written. Never waits
 * for a lock. Returns 0, or -1 with errno set.
 */
int state_ready(const struct state *s, uint64_t min_free);

#endif
