#include "base/uuid.h"

#include <errno.h>
#include <stdint.h>
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
	static const char digits[] = "0123456789abcdef";
	unsigned char bytes[6 + RANDOM_SIZE];

	for (int i = 0; i < 6; i++)
		bytes[i] = (unsigned char)(ms >> (40 - 8 * i));
	take_random(bytes + 6);
	bytes[6] = (unsigned char)(0x70 | (bytes[6] & 0x0f));
	bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3f));
	for (unsigned i = 0; i < sizeof(bytes); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	*out = '\0';
}
