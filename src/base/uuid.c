#include "base/uuid.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { RANDOM_SIZE = 10 };

/* Random bytes are fetched in blocks. A process that forks and goes on in both would use a block twice. */
static void
take_random(unsigned char out[RANDOM_SIZE])
{
	static _Thread_local unsigned char block[25 * RANDOM_SIZE];
	static _Thread_local size_t left;

	if (left == 0) {
		/* Fails only where the kernel has no getrandom(), or before it was ever seeded: no way on. */
		while (getrandom(block, sizeof(block), 0) != (ssize_t)sizeof(block))
			if (errno != EINTR)
				abort();
		left = sizeof(block);
	}
	left -= RANDOM_SIZE;
	memcpy(out, block + left, RANDOM_SIZE);
}

void
uuid_v7(char out[UUID_SIZE], const struct timespec *now)
{
	uint64_t ms = (uint64_t)now->tv_sec * 1000 + (uint64_t)(now->tv_nsec / 1000000);
	unsigned char r[RANDOM_SIZE];

	take_random(r);
	r[0] = (unsigned char)(0x70 | (r[0] & 0x0f));
	r[2] = (unsigned char)(0x80 | (r[2] & 0x3f));
	snprintf(out, UUID_SIZE, "%08x-%04x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
	    (unsigned)(ms >> 16 & 0xffffffff), (unsigned)(ms & 0xffff), r[0], r[1], r[2], r[3],
	    r[4], r[5], r[6], r[7], r[8], r[9]);
}
