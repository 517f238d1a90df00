#include "cli/lib/signed.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

void
signed_headers(struct signed_headers *h, const char *secret, const char *shop, const char *token,
    const void *body, size_t len)
{
	unsigned char mac[SIGNATURE_LEN];
	struct http_header *to = h->list;

	snprintf(h->timestamp, sizeof(h->timestamp), "%" PRId64, (int64_t)time(NULL));
	signature_compute(mac, secret, h->timestamp, body, len);
	signature_hex(h->signature, mac);
	*to++ = (struct http_header){ "Content-Type", "application/json" };
	*to++ = (struct http_header){ "X-Fluid-Shop", shop };
	*to++ = (struct http_header){ "X-Fluid-Timestamp", h->timestamp };
	*to++ = (struct http_header){ "X-Fluid-Signature", h->signature };
	if (token) {
		*to++ = (struct http_header){ "AUTH_TOKEN", token };
		*to++ = (struct http_header){ "X-Fluid-Token", token };
	}
	*to = (struct http_header){ NULL, NULL };
}
