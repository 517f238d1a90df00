#ifndef RECEIVER_REQUEST_H
#define RECEIVER_REQUEST_H

#include <stddef.h>
#include <sys/types.h>

#include "delivery/authenticate.h"

/* One request, whether it came by CGI or FastCGI. */
struct request {
	const char *method;
	const char *content_type;	/* NULL or "" where there is none */
	const char *content_length;
	const char *request_id;		/* the web server's, for the log; or NULL */
	struct fluid_headers headers;
	char *const *params;		/* "NAME=value", ended by NULL */

	/**
	 * Read the next bytes of the body. Returns how many, 0 at its end, -1 when it broke off.
	 * `source` is the reader's own.
	 */
	ssize_t (*read)(void *source, char *out, size_t size);
	void *source;
};

/** Take what matters from the parameters (CGI: the environment). They must outlive the request. */
void request_from_params(struct request *q, char *const *params);

#endif
