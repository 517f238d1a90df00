#ifndef CLI_LIB_SIGNED_H
#define CLI_LIB_SIGNED_H

#include <stddef.h>

#include "delivery/signature.h"
#include "http/request.h"

/* How long Fluid waits for a connection, and for the answer to a business and a lifecycle event, in milliseconds. */
enum { SIGNED_CONNECT_MS = 5000, SIGNED_BUSINESS_MS = 15000, SIGNED_LIFECYCLE_MS = 30000 };

/* A receiver's answer is one short line. */
enum { SIGNED_ANSWER_MAX = 256 * 1024 };

/* The headers that Fluid sends with a delivery (fluid-wire, "Headers and keys"). */
struct signed_headers {
	char timestamp[24];
	char signature[SIGNATURE_HEX_SIZE];
	struct http_header list[8]; /* of an http_request */
};

/**
 * Sign a body as of now. token: what AUTH_TOKEN and X-Fluid-Token say, as business events have them;
 * NULL: no such headers. The list points to token and shop, which have to stay.
 */
void signed_headers(struct signed_headers *h, const char *secret, const char *shop,
    const char *token, const void *body, size_t len);

#endif
