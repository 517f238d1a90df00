#include "delivery/signature.h"

#include <nettle/base16.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <string.h>

_Static_assert(SIGNATURE_LEN == SHA256_DIGEST_SIZE, "a signature is a SHA-256 digest");

void
signature_compute(unsigned char out[SIGNATURE_LEN], const char *key, const char *timestamp,
    const void *body, size_t len)
{
	struct hmac_sha256_ctx ctx;

	hmac_sha256_set_key(&ctx, strlen(key), (const uint8_t *)key);
	hmac_sha256_update(&ctx, strlen(timestamp), (const uint8_t *)timestamp);
	hmac_sha256_update(&ctx, 1, (const uint8_t *)".");
	if (len)
		hmac_sha256_update(&ctx, len, body);
	hmac_sha256_digest(&ctx, SIGNATURE_LEN, out);
	explicit_bzero(&ctx, sizeof(ctx));
}

void
signature_hex(char out[SIGNATURE_HEX_SIZE], const unsigned char signature[SIGNATURE_LEN])
{
	base16_encode_update(out, SIGNATURE_LEN, signature);
	out[SIGNATURE_HEX_SIZE - 1] = '\0';
}

int
signature_parse(unsigned char out[SIGNATURE_LEN], const char *hex)
{
	struct base16_decode_ctx ctx;
	size_t len = SIGNATURE_LEN;

	/* nettle passes over white space; a signature has none. */
	if (strlen(hex) != SIGNATURE_HEX_SIZE - 1 || strpbrk(hex, " \t\r\n\v\f"))
		return (-1);
	base16_decode_init(&ctx);
	if (!base16_decode_update(&ctx, &len, out, SIGNATURE_HEX_SIZE - 1, hex) ||
	    !base16_decode_final(&ctx) || len != SIGNATURE_LEN)
		return (-1);
	return (0);
}

bool
signature_equal(const unsigned char a[SIGNATURE_LEN], const unsigned char b[SIGNATURE_LEN])
{
	return (memeql_sec(a, b, SIGNATURE_LEN));
}

static void
digest(unsigned char out[SIGNATURE_LEN], const void *data, size_t len)
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	if (len)
		sha256_update(&ctx, len, data);
	sha256_digest(&ctx, SIGNATURE_LEN, out);
	explicit_bzero(&ctx, sizeof(ctx));
}

void
secret_digest(unsigned char out[SIGNATURE_LEN], const char *secret)
{
	digest(out, secret, strlen(secret));
}

bool
secret_equal(const char *a, const char *b)
{
	unsigned char da[SIGNATURE_LEN], db[SIGNATURE_LEN];

	secret_digest(da, a);
	secret_digest(db, b);
	return (memeql_sec(da, db, SIGNATURE_LEN));
}

void
sha256_hex(char out[SIGNATURE_HEX_SIZE], const void *data, size_t len)
{
	unsigned char d[SIGNATURE_LEN];

	digest(d, data, len);
	signature_hex(out, d);
}
