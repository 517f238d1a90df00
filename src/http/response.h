#ifndef HTTP_RESPONSE_H
#define HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* What was answered. {0} is an empty one. Bodies and headers can hold credentials, so they are wiped. */
struct http_response {
	long status; /* 0: nothing was answered */
	struct buf head;
	struct buf body;
	uint32_t retry_after;    /* seconds, from Retry-After in either form; 0: not said */
	char *redirect;          /* the URL that a 3xx points to, or NULL */
	double ms;               /* from the name's look-up to the last byte */
	int64_t at;              /* when the head of the answer came, unix seconds */
	int64_t issued, expires; /* of the site's certificate, unix seconds; 0: unknown */
};

/**
 * Copy the value of a header, cut to `size` bytes with the NUL; if it occurs more than once, of the last one. The
 * case of the name does not count. Returns whether the answer has it.
 */
bool http_response_header(const struct http_response *r, const char *name, char *out, size_t size);

/** What its Date says, in unix seconds; -1: it has none that can be read. */
int64_t http_response_date(const struct http_response *r);

/** Empty it, so that it can be used again. */
void http_response_free(struct http_response *r);

#endif
