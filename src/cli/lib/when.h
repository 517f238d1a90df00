#ifndef CLI_LIB_WHEN_H
#define CLI_LIB_WHEN_H

#include <stdint.h>

/**
 * A point in time as people write it: 90m, 2h, 3d, 1w (ago), 2026-11-23 (UTC), or an RFC 3339 time.
 * now, *out: unix seconds. Returns 0, or -1 when it is none of these.
 */
int when_parse(const char *text, int64_t now, int64_t *out);

/** A span of time: 90s, 90m, 2h, 3d, 1w, in seconds. Returns 0, or -1. */
int when_parse_span(const char *text, int64_t *out);

#endif
