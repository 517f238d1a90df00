#ifndef DELIVERY_SIGNATURE_H
#define DELIVERY_SIGNATURE_H

#include <stdbool.h>
#include <stddef.h>

/* Fluid's signature: lower-case hex HMAC-SHA256 over timestamp "." raw body (fluid-wire, "Headers"). */

enum { SIGNATURE_LEN = 32, SIGNATURE_HEX_SIZE = 65 };

/** Compute it as bytes. timestamp is the header's text as it was sent. */
void signature_compute(unsigned char out[SIGNATURE_LEN], const char *key, const char *timestamp,
    const void *body, size_t len);

void signature_hex(char out[SIGNATURE_HEX_SIZE], const unsigned char signature[SIGNATURE_LEN]);

/** Read a header's value: exactly 64 hexadecimal digits. Returns 0, or -1. */
int signature_parse(unsigned char out[SIGNATURE_LEN], const char *hex);

/** Whether two signatures are equal, in constant time. */
bool signature_equal(const unsigned char a[SIGNATURE_LEN], const unsigned char b[SIGNATURE_LEN]);

/** Whether two secrets are equal, in a time that tells nothing of where or whether they differ. */
bool secret_equal(const char *a, const char *b);

/** What to compare instead of a secret: digests have one length, whatever the secrets have. */
void secret_digest(unsigned char out[SIGNATURE_LEN], const char *secret);

/** SHA-256 of some bytes, hexadecimal. */
void sha256_hex(char out[SIGNATURE_HEX_SIZE], const void *data, size_t len);

#endif
