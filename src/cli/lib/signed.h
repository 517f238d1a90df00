#ifndef CLI_LIB_SIGNED_H
#define CLI_LIB_SIGNED_H

#include <stddef.h>

#include "cli/client.h"
#include "delivery/signature.h"

/* The headers that Fluid sends with a delivery (fluid-wire, "Headers and keys"). */
struct signed_headers {
	char timestamp[24];
	char signature[SIGNATURE_HEX_SIZE];
	struct client_header list[8]; /* for client_send() */
};

/**
 * Sign a body as of now. token: what AUTH_TOKEN and X-Fluid-Token say, as business events have them;
 * NULL: no such headers. The list points to token and shop, which have to stay.
 */
void signed_headers(struct signed_headers *h, const char *secret, const char *shop,
    const char *token, const void *body, size_t len);

#endif
