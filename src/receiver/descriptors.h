#ifndef RECEIVER_DESCRIPTORS_H
#define RECEIVER_DESCRIPTORS_H

#include "base/buf.h"

/* How many threads and connections a server can have with the descriptors that it may open. */
struct descriptors {
	unsigned threads; /* in: as many are wanted; out: as many fit */
	unsigned connections;
};

/**
 * Raise the soft limit (RLIMIT_NOFILE) to the hard one, and fit *d to it. Fewer threads than wanted are
 * logged. Returns 0, or -1 with a line added to `error` where not even one thread fits.
 */
int descriptors_fit(struct descriptors *d, struct buf *error);

#endif
