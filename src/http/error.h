#ifndef HTTP_ERROR_H
#define HTTP_ERROR_H

#include <stdbool.h>

/* Why a request has no whole answer. An answer with any status is no error here. */

enum { HTTP_ERROR_SIZE = 512 };

enum http_failure {
	HTTP_OK,
	HTTP_LOCAL,   /* memory, a file, or a request that is malformed; nothing was sent */
	HTTP_ADDRESS, /* not a URL, or one that this request must not be sent to */
	HTTP_PROXY,   /* the proxy that the environment names, as far as it can be told */
	HTTP_RESOLVE,
	HTTP_CONNECT,
	HTTP_TLS,
	HTTP_TIMEOUT, /* connected, but no whole answer in time */
	HTTP_BROKEN,  /* the connection ended, or what came is not HTTP */
	HTTP_TOO_LARGE,
};

struct http_error {
	enum http_failure failure;
	bool sent;           /* at least a part was sent: the request may have been carried out */
	bool timed_out;      /* the next attempt would take as long */
	bool untrusted;      /* HTTP_TLS: the certificate was not accepted */
	bool no_authorities; /* HTTP_TLS: the system's certificate authorities cannot be read */
	char text
	    [HTTP_ERROR_SIZE]; /* one line without the URL: "could not connect: Connection refused" */
};

/** Set the error. Returns -1. */
int http_error_set(struct http_error *e, enum http_failure failure, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
