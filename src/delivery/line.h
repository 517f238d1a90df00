#ifndef DELIVERY_LINE_H
#define DELIVERY_LINE_H

#include <time.h>

#include "base/buf.h"
#include "delivery/authenticate.h"

/* The journal's line of a delivery that is accepted. */
struct accepted_line {
	const struct conf *conf;
	const struct fluid_headers *headers;
	const struct delivery_content *content;
	const struct evidence *evidence;
	const char *body;
	size_t body_len;
	struct timespec received_at;
	const char *delivery;             /* its UUID */
	const char *installation;         /* the name of its record; NULL: none is known */
	const struct installation *known; /* the record as it is before; or NULL */
	/* Of a request that was refused at first: its id, and when it was received. Else NULL. */
	const char *refused;
	const struct timespec *refused_at;
};

/** Append the line to `out`, without a newline. Returns 0, or -1 with errno ENOMEM. */
int line_write(const struct accepted_line *l, struct buf *out);

#endif
