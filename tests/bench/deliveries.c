/* The names and keys of the installations are those that tests/bench/state.py writes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <nettle/hmac.h>

#include "deliveries.h"

enum { HEX_MAX = 2 * SHA256_DIGEST_SIZE + 1, FIRST_ID = 1000000000 };

static uint64_t
random64(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (x);
}

/* What an order.created begins with. Its length does not depend on the numbers. */
static size_t
event_head(char *body, uint64_t id, unsigned long installation)
{
	return ((size_t)sprintf(body,
	    "{\"id\":%llu,\"identifier\":\"evt_%llu\",\"name\":\"order_created\","
	    "\"timestamp\":\"2026-07-15T12:34:56Z\",\"payload\":{\"event_name\":\"order_created\","
	    "\"schema_version\":\"1\",\"schema_hash\":\"9f3c2a90b1c2d4e5\",\"company_id\":%lu,"
	    "\"resource\":\"order\",\"event\":\"created\",\"order\":{\"id\":55210,",
	    (unsigned long long)id, (unsigned long long)id, 10000000 + installation));
}

/* What follows in the body: as many items as fit, and a note that fills it up to its size. */
int
deliveries_prepare(struct deliveries *d)
{
	static const char item[] = "{\"sku\":\"BOX-1000\",\"title\":\"Monthly box\","
				   "\"quantity\":1,\"price\":\"12.99\",\"tax\":1.04}";
	static const char end[] = "\"}}}";
	char head[DELIVERY_HEAD_MAX];
	size_t room = d->size - event_head(head, FIRST_ID, 0), len;

	if ((d->tail = malloc(room + 1)) == NULL)
		return (-1);
	len = (size_t)sprintf(d->tail, "\"items\":[%s", item);
	while (len + 2 * sizeof(item) + 32 < room)
		len += (size_t)sprintf(d->tail + len, ",%s", item);
	len += (size_t)sprintf(d->tail + len, "],\"note\":\"");
	while (len + sizeof(end) - 1 < room)
		d->tail[len++] = 'x';
	memcpy(d->tail + len, end, sizeof(end));
	return (0);
}

static size_t
event_body(const struct deliveries *d, char *body, uint64_t id, unsigned long installation)
{
	size_t len = event_head(body, id, installation);

	memcpy(body + len, d->tail, d->size - len);
	return (d->size);
}

static size_t
install_body(const struct deliveries *d, char *body, uint64_t id)
{
	unsigned long long n = id, company = d->company ? d->company : id;

	return ((size_t)sprintf(body,
	    "{\"event_name\":\"droplet_installed\",\"company_id\":%llu,"
	    "\"resource_name\":\"Droplet\",\"resource\":\"droplet\",\"event\":\"installed\","
	    "\"company\":{\"authentication_token\":\"dit_%llun9F8NmwVzaKiCMDRAN4FB\","
	    "\"droplet_installation_uuid\":\"dri_%llu\",\"droplet_uuid\":\"drp_bench\","
	    "\"fluid_company_id\":%llu,\"fluid_shop\":\"shop-%llu.fluid.app\",\"name\":\"Bench\","
	    "\"webhook_verification_token\":\"wvt_%llu1vGG3sDMABi5jQ0z5OYnD4\"}}",
	    company, n, n, company, company, n));
}

static void
hmac_hex(char hex[HEX_MAX], const char *key, const char *prefix, const char *body, size_t len)
{
	struct hmac_sha256_ctx hmac;
	uint8_t digest[SHA256_DIGEST_SIZE];
	size_t i;

	hmac_sha256_set_key(&hmac, strlen(key), (const uint8_t *)key);
	hmac_sha256_update(&hmac, strlen(prefix), (const uint8_t *)prefix);
	hmac_sha256_update(&hmac, len, (const uint8_t *)body);
	hmac_sha256_digest(&hmac, sizeof(digest), digest);
	for (i = 0; i < sizeof(digest); i++) {
		hex[2 * i] = "0123456789abcdef"[digest[i] >> 4];
		hex[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
	}
	hex[2 * sizeof(digest)] = '\0';
}

size_t
deliveries_write(const struct deliveries *d, char *out, uint64_t id)
{
	static char body[DELIVERY_SIZE_MAX];
	unsigned long installation = (d->in_order ? id : random64()) % d->installations;
	char name[64], prefix[32], hex[HEX_MAX], shop[64] = "", mac[128] = "";
	const char *key = d->install ? d->secret : name;
	long now = (long)time(NULL);
	size_t len, head;

	if (d->install) {
		len = install_body(d, body, id);
	} else {
		len = event_body(d, body, id, installation);
		snprintf(name, sizeof(name), "wvt_bench_%08lu", installation);
		snprintf(shop, sizeof(shop), "X-Fluid-Shop: bench-%08lu.fluid.app\r\n",
		    installation);
	}
	if (d->plain_mac) {
		hmac_hex(hex, key, "", body, len);
		snprintf(mac, sizeof(mac), "X-Hub-Signature-256: sha256=%s\r\n", hex);
	}
	snprintf(prefix, sizeof(prefix), "%ld.", now);
	hmac_hex(hex, key, prefix, body, len);
	head = (size_t)snprintf(out, DELIVERY_HEAD_MAX,
	    "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n%s%s"
	    "X-Fluid-Timestamp: %ld\r\nX-Fluid-Signature: %s\r\nContent-Length: %zu\r\n\r\n",
	    d->path, shop, mac, now, hex, len);
	memcpy(out + head, body, len);
	return (head + len);
}
