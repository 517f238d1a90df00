#ifndef RECEIVER_BODY_H
#define RECEIVER_BODY_H

#include <stdint.h>

#include "base/buf.h"
#include "delivery/delivery.h"
#include "receiver/request.h"

/* A request's body: its bytes as they were received, and what they say, parsed while they arrived. */
struct body {
	struct buf bytes;
	struct delivery *delivery;
};

enum body_result {
	BODY_WHOLE,
	BODY_TRUNCATED, /* fewer bytes than Content-Length said, or it broke off */
	BODY_LATE,      /* it was not complete within the time for a request */
	BODY_EXCESS,    /* more bytes than Content-Length said, or that says no number */
	BODY_TOO_LARGE,
	BODY_UNAVAILABLE, /* out of memory */
};

/**
 * Read the body, at most `most` bytes. A length that is announced and too large, or is no number, is
 * refused before anything is read. The caller ends *b with body_free() in every case; b->delivery is
 * there (and finished) only when the result is BODY_WHOLE.
 */
enum body_result body_read(struct body *b, struct request *q, uint64_t most);

void body_free(struct body *b);

#endif
