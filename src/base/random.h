#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Random bytes of the kernel (getrandom(2)), good for keys. They cannot fail on a kernel that has the
 * call (3.17). Where it has not, no identifier, key or nonce can be made: the process is aborted, so
 * that no caller goes on with bytes that are not random.
 */

void random_bytes(void *out, size_t len);

/** A number from 0 to n - 1, each as likely as the other. n: at least 1. */
uint32_t random_below(uint32_t n);

/** Add 2 * len lower-case hexadecimal digits of fresh random bytes, at most 64 bytes: a secret, a name. */
void random_add_hex(struct buf *out, size_t len);

#endif
