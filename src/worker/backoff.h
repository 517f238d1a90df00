#ifndef WORKER_BACKOFF_H
#define WORKER_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

/* How long to wait before Fluid is asked again. */

enum {
	BACKOFF_FIRST = 1,      /* seconds, doubling */
	BACKOFF_TOKEN_MAX = 10, /* while an exchange token lives (fluid-wire, "Exchange") */
};

/** Milliseconds of a clock that no correction of the time moves, and that counts while the machine sleeps. */
int64_t backoff_now(void);

/**
 * The wait after `tries` earlier tries (0: the first one failed), in milliseconds. most: the longest wait,
 * in seconds. With a deadline no wait is longer than BACKOFF_TOKEN_MAX, and there is one more try just
 * before it; left: seconds until then by the wall clock, which can be wrong by any amount.
 */
int64_t backoff_wait(unsigned tries, int64_t most, bool has_deadline, int64_t left);

#endif
