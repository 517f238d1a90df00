#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One request, as the caller describes it. */

struct http_header {
	const char *name, *value;
};

/*
 * https only, or http to a loopback address; with plain_http, also http to any other host, but then without
 * a bearer. Redirects are not followed. TLS is at least 1.2, and the certificate is verified. A proxy is
 * used as the environment says (curl(1)), but never for a loopback address.
 */
struct http_request {
	const char *method; /* GET, HEAD, POST, PUT, PATCH or DELETE */
	const char *url;
	const char *bearer; /* for Authorization: Bearer; NULL: none */
	const struct http_header
	    *headers;     /* in the order sent; ended by one without a name; or NULL */
	const void *body; /* NULL: none */
	size_t body_len;
	uint32_t timeout_ms; /* for all of it */
	uint32_t connect_ms; /* for the connection, of timeout_ms; 0: HTTP_CONNECT_MS */
	size_t answer_max;   /* bytes of the answer's body; more is an error; 0: HTTP_ANSWER_MAX */
	bool plain_http;     /* see above */
	/*
	 * A second copy does no harm. Otherwise a request that is neither GET nor HEAD gets a connection of its own,
	 * because libcurl repeats a request by itself when a kept connection ends without an answer.
	 */
	bool repeatable;
	bool certificate; /* the response says when the site's certificate was issued and expires */
};

enum {
	HTTP_CONNECT_MS = 10 * 1000,
	HTTP_ANSWER_MAX = 4 << 20,
	HTTP_HEAD_MAX = 64 * 1024, /* bytes of an answer's headers */
};

/** Whether a method only reads. */
bool http_method_is_safe(const char *method);

#endif
