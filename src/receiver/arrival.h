#ifndef RECEIVER_ARRIVAL_H
#define RECEIVER_ARRIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * How much of a FastCGI request has arrived: a look at the records' headers (FastCGI specification,
 * section 3.3). libfcgi reads the request; it blocks until it has all of it, so it gets only requests
 * that are complete.
 */

enum {
	FCGI_HEADER_SIZE = 8,
	PARAMS_MAX = 256 * 1024, /* parameters of one request, in bytes */
};

struct arrival {
	enum { ARRIVAL_BEGIN, ARRIVAL_PARAMS, ARRIVAL_STDIN } stage;
	uint16_t id; /* of the request; 0: its first record has not arrived */
	bool aside;  /* there were records that are not of this request */
	size_t at;   /* of the next header, from the request's first byte; at the end: its size */
	size_t params, body; /* bytes of content so far */
};

enum arrived {
	ARRIVED_PART,
	ARRIVED_WHOLE,
	ARRIVED_BROKEN, /* no FastCGI request, or one that was aborted */
};

/**
 * Continue with what is there by now. data: the request from its first byte on, len bytes, more than
 * at the call before or the same. The caller sets *a to {0} for a new request.
 */
enum arrived arrival_scan(struct arrival *a, const char *data, size_t len);

#endif
