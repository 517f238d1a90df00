#ifndef HTTP_AUTHORITIES_H
#define HTTP_AUTHORITIES_H

#include "base/buf.h"
#include "http/error.h"

/* Which certificate authorities are trusted: the system's, or those in a file instead. {0}: the system's. */
struct http_authorities {
	char *file;
	struct buf pem;
};

/**
 * Read a file of certificates in PEM. The file is read once, here, while the process may still read it. NULL: the
 * system's are to be trusted. Returns 0, or -1 with the error set.
 */
int http_authorities_read(struct http_authorities *a, const char *file, struct http_error *e);

/** The file that $SSL_CERT_FILE names, as for curl(1) and OpenSSL's own programs; NULL: none. */
const char *http_authorities_env(void);

void http_authorities_free(struct http_authorities *a);

#endif
