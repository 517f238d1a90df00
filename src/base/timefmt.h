#ifndef BASE_TIMEFMT_H
#define BASE_TIMEFMT_H

#include <stdint.h>
#include <time.h>

/* RFC 3339 in UTC, as every file and answer of fluidhook writes it. */
enum { TIMEFMT_SECONDS_SIZE = 21, TIMEFMT_MICROS_SIZE = 28, TIMEFMT_DAY_SIZE = 11 };

/** 2026-11-23T08:30:50Z. Times outside the years 0 to 9999 are clamped to them. */
void timefmt_seconds(char out[TIMEFMT_SECONDS_SIZE], int64_t unix_seconds);

/** 2026-11-23T08:30:50.123456Z */
void timefmt_micros(char out[TIMEFMT_MICROS_SIZE], const struct timespec *t);

/** 2026-11-23, the UTC day. */
void timefmt_day(char out[TIMEFMT_DAY_SIZE], int64_t unix_seconds);

/**
 * Read an RFC 3339 time: any offset, any number of decimals.
 * Returns 0, or -1 (errno EINVAL) when it is not one; *out is then unchanged.
 */
int timefmt_parse(const char *s, struct timespec *out);

#endif
