#include "base/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { HEX_BYTES_MAX = 64 };

void
random_bytes(void *out, size_t len)
{
	unsigned char *p = out;
	ssize_t n;

	/* More than 256 bytes can be interrupted, and can come in parts. */
	for (; len; p += n, len -= (size_t)n) {
		while ((n = getrandom(p, len, 0)) == -1)
			if (errno != EINTR)
				abort();
	}
}

uint32_t
random_below(uint32_t n)
{
	/* What is left above the last whole multiple of n would make small numbers likelier. */
	const uint32_t excess = (uint32_t)(-n) % n;
	uint32_t x;

	do {
		random_bytes(&x, sizeof(x));
	} while (x < excess);
	return (x % n);
}

void
random_add_hex(struct buf *out, size_t len)
{
	unsigned char bytes[HEX_BYTES_MAX];

	if (len > sizeof(bytes))
		abort();
	random_bytes(bytes, len);
	buf_add_hex(out, bytes, len);
	explicit_bzero(bytes, sizeof(bytes));
}
