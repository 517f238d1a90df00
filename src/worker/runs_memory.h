#ifndef WORKER_RUNS_MEMORY_H
#define WORKER_RUNS_MEMORY_H

#include <stddef.h>

#include "worker/run.h"

/* Sets of what was dealt with, as digests of a delivery or key and a target. */

/* The beginning of a SHA-256, and what became of it in place of the last byte. */
enum { DIGEST_LEN = 15 };

struct digest_slot {
	unsigned char digest[DIGEST_LEN];
	unsigned char result; /* RUNS_NOT: free */
};

/* With open addressing; digests are random enough to be their own hash. Zeroed: empty. */
struct digest_set {
	struct digest_slot *slots;
	size_t n, cap; /* cap: 0 or a power of two */
};

/** The digest of a delivery or key at a target; all most specific hooks are one. */
void digest_of(unsigned char digest[DIGEST_LEN], const char *what, const char *target);

/** What the set says. */
enum runs_result digest_set_find(const struct digest_set *s,
    const unsigned char digest[DIGEST_LEN]);

/** The last result counts: what was given up can be done later. Returns 0, or -1 with errno ENOMEM. */
int digest_set_add(struct digest_set *s, const char *what, const char *target,
    enum runs_result result);

void digest_set_free(struct digest_set *s);

#endif
