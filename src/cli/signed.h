#ifndef CLI_SIGNED_H
#define CLI_SIGNED_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/client.h"
#include "delivery/signature.h"

/* The headers that Fluid sends with a delivery (fluid-wire, "Headers and keys"). */
struct signed_headers {
	char timestamp[24];
	char signature[SIGNATURE_HEX_SIZE];
	struct client_header list[8];	/* for client_send() */
};

/**
 * Sign a body as of now. tokens: with AUTH_TOKEN and X-Fluid-Token, as business events have them.
 * The list points to secret and shop, which have to stay.
 */
void signed_headers(struct signed_headers *h, const char *secret, const char *shop, bool tokens,
    const void *body, size_t len);

#endif
