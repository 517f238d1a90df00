#ifndef RECEIVER_REQUEST_H
#define RECEIVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "delivery/authenticate.h"

/* What a Content-Length can say beside a number of bytes. */
#define LENGTH_UNKNOWN UINT64_MAX       /* nothing: the body ends where its stream ends */
#define LENGTH_INVALID (UINT64_MAX - 1) /* something that is no number */
#define LENGTH_MAX (UINT64_MAX - 2)     /* this, or more than fits */

/* Within this time a request must be complete (contract, section 1). */
enum { REQUEST_MS = 30 * 1000 };

/* One request, whether it came by CGI or FastCGI. */
struct request {
	const char *method;
	const char *content_type;     /* NULL or "" where there is none */
	const char *content_encoding; /* likewise */
	uint64_t length;              /* of the body, by Content-Length; or LENGTH_* */
	const char *request_id;       /* the web server's, for the log; or NULL */
	struct fluid_headers headers;
	char *const *params; /* "NAME=value", ended by NULL */
	bool one_of_many;    /* what was seen for the one before may count (store/glance.h) */

	/**
	 * Read the next bytes of the body. Returns how many, 0 at its end, -1 when it broke off
	 * (errno ETIMEDOUT: it did not arrive in time). `source` is the reader's own.
	 */
	ssize_t (*read)(void *source, char *out, size_t size);
	void *source;
};

/** Take what matters from the parameters (CGI: the environment). They must outlive the request. */
void request_from_params(struct request *q, char *const *params);

/**
 * What a Content-Length says. Web servers pass "" where a chunked body has none; NULL is the same.
 * A number that does not fit is LENGTH_MAX: too large, and never "unknown".
 */
uint64_t request_length(const char *text);

/** Milliseconds of a clock that does not jump. */
int64_t request_now_ms(void);

#endif
