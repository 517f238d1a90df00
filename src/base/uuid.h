#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <time.h>

enum { UUID_SIZE = 37 };

/** A new UUID version 7 (RFC 9562): the given time in milliseconds, then 74 random bits. */
void uuid_v7(char out[UUID_SIZE], const struct timespec *now);

#endif
