#ifndef STORE_LOCK_H
#define STORE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Waiting for a file's lock (flock(2)) for a limited time. The kernel has no such wait, and another
 * program, for example a backup, can hold the lock for as long as it likes. So the lock is tried again
 * and again, with pauses that grow from a tenth of a millisecond to 10 ms.
 *
 * Many processes of our own can wait for each other, too. As long as one after the other has its turn, the
 * time does not run out: what they change shows that.
 */

/* The longest wait of a request for one lock (contract section 3: then the answer is 503). */
enum { LOCK_WAIT_MS = 2000 };

/* The longest wait for processes of our own, one after the other. */
enum { LOCK_QUEUE_MS = 30000 };

struct lock_wait {
	int64_t until, last; /* milliseconds of the monotonic clock; last: whatever is seen */
	int64_t seen;
	int ms;
	long pause; /* the next one, in nanoseconds */
};

void lock_wait_begin(struct lock_wait *w, int ms);

/** What every one of our processes changes that has the lock. The time begins again if it is another value. */
void lock_wait_saw(struct lock_wait *w, int64_t seen);

/** Pause, if time is left. Returns whether to try again. Hold no mutex that others need. */
bool lock_wait_pause(struct lock_wait *w);

/** Try to lock the open file for this process alone. Returns 0, or -1 with errno set: EWOULDBLOCK. */
int lock_try(int fd);

/** Lock it, waiting at most so long. Returns 0, or -1 with errno set: ETIMEDOUT. */
int lock_file(int fd, int ms);

#endif
