#include "base/uuid.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

void
uuid_v7(char out[UUID_SIZE], const struct timespec *now)
{
	uint64_t ms = (uint64_t)now->tv_sec * 1000 + (uint64_t)(now->tv_nsec / 1000000);
	unsigned char r[10];

	/* Fails only where the kernel has no getrandom(), or before it was ever seeded: no way on. */
	while (getrandom(r, sizeof(r), 0) != (ssize_t)sizeof(r))
		if (errno != EINTR)
			abort();
	r[0] = (unsigned char)(0x70 | (r[0] & 0x0f));
	r[2] = (unsigned char)(0x80 | (r[2] & 0x3f));
	snprintf(out, UUID_SIZE, "%08x-%04x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
	    (unsigned)(ms >> 16 & 0xffffffff), (unsigned)(ms & 0xffff), r[0], r[1], r[2], r[3],
	    r[4], r[5], r[6], r[7], r[8], r[9]);
}
