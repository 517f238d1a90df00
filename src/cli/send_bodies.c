#include "cli/send_bodies.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/json.h"
#include "base/timefmt.h"

/* Fluid's ids are a prefix and letters and digits; the time an exchange token lives, in seconds. */
enum { ID_LETTERS = 32, ID_SIZE = 4 + ID_LETTERS + 1, EXCHANGE_LIVES = 600 };

static const char company_name[] = "Example Inc (fluidhook send)";

static void
fill_random(void *out, size_t len)
{
	/* Fails only where the kernel has no getrandom(), or before it was ever seeded: no way on. */
	while (getrandom(out, len, 0) != (ssize_t)len)
		if (errno != EINTR)
			abort();
}

/* A fresh id: the prefix has four characters. */
static void
fresh_id(char out[ID_SIZE], const char *prefix)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz012345";
	unsigned char random[ID_LETTERS];

	fill_random(random, sizeof(random));
	memcpy(out, prefix, 4);
	for (size_t i = 0; i < ID_LETTERS; i++)
		out[4 + i] = letters[random[i] % 32];
	out[ID_SIZE - 1] = '\0';
}

/* A fresh number of nine digits. */
static long long
fresh_number(void)
{
	uint32_t random;

	fill_random(&random, sizeof(random));
	return (100000000 + random % 900000000);
}

static void
text(struct json_writer *w, const char *key, const char *value)
{
	json_key(w, key);
	json_string(w, value);
}

static void
number(struct json_writer *w, const char *key, long long value)
{
	json_key(w, key);
	json_int(w, value);
}

static void
id(struct json_writer *w, const char *key, const char *prefix)
{
	char fresh[ID_SIZE];

	fresh_id(fresh, prefix);
	text(w, key, fresh);
}

static void
droplet_uuid(struct json_writer *w, const struct send_body *b)
{
	if (b->droplet_uuid)
		text(w, "droplet_uuid", b->droplet_uuid);
	else
		id(w, "droplet_uuid", "drp_");
}

/* What stands before the company in a lifecycle delivery, and its company's first members. */
static void
lifecycle_head(struct json_writer *w, const char *name, const char *event)
{
	json_object(w);
	text(w, "event_name", name);
	number(w, "company_id", fresh_number());
	text(w, "resource_name", "Droplet");
	text(w, "resource", "droplet");
	text(w, "event", event);
	json_key(w, "company");
	json_object(w);
}

static void
credentials_v2(struct json_writer *w)
{
	char expires[TIMEFMT_SECONDS_SIZE];

	timefmt_seconds(expires, time(NULL) + EXCHANGE_LIVES);
	json_key(w, "credentials");
	json_object(w);
	id(w, "exchange_token", "dex_");
	text(w, "exchange_token_expires_at", expires);
	text(w, "exchange_endpoint", "/api/droplet_installations/exchange");
	json_object_end(w);
}

static void
write_installed(struct json_writer *w, const struct send_body *b)
{
	lifecycle_head(w, "droplet_installed", "installed");
	if (!b->v2)
		id(w, "authentication_token", "dit_");
	id(w, "droplet_installation_uuid", "dri_");
	droplet_uuid(w, b);
	number(w, "fluid_company_id", fresh_number());
	text(w, "fluid_shop", b->shop);
	text(w, "name", company_name);
	if (b->v2)
		credentials_v2(w);
	else
		id(w, "webhook_verification_token", "wvt_");
	json_object_end(w);
	if (b->v2)
		text(w, "contract_version", "v2");
	json_object_end(w);
}

static void
write_uninstalled(struct json_writer *w, const struct send_body *b)
{
	lifecycle_head(w, "droplet_uninstalled", "uninstalled");
	id(w, "droplet_installation_uuid", "dri_");
	droplet_uuid(w, b);
	number(w, "fluid_company_id", fresh_number());
	text(w, "fluid_shop", b->shop);
	json_object_end(w);
	json_object_end(w);
}

static void
write_order(struct json_writer *w, const struct send_body *b)
{
	char now[TIMEFMT_SECONDS_SIZE];

	(void)b;
	timefmt_seconds(now, time(NULL));
	json_object(w);
	number(w, "id", fresh_number());
	id(w, "identifier", "evt_");
	text(w, "name", "order_created");
	json_key(w, "payload");
	json_object(w);
	text(w, "event_name", "order_created");
	text(w, "schema_version", "1");
	number(w, "company_id", fresh_number());
	text(w, "resource_name", "Order");
	text(w, "resource", "order");
	text(w, "event", "created");
	json_key(w, "order");
	json_object(w);
	number(w, "id", fresh_number());
	text(w, "status", "placed");
	text(w, "total", "129.99");
	json_object_end(w);
	json_object_end(w);
	text(w, "timestamp", now);
	json_object_end(w);
}

static const struct {
	const char *event;
	void (*write)(struct json_writer *w, const struct send_body *b);
} bodies[] = {
	{ "droplet.installed", write_installed },
	{ "droplet.uninstalled", write_uninstalled },
	{ "order.created", write_order },
};

enum { N_BODIES = sizeof(bodies) / sizeof(bodies[0]) };

bool
send_event_is_known(const char *event)
{
	for (size_t i = 0; i < N_BODIES; i++)
		if (strcmp(bodies[i].event, event) == 0)
			return (true);
	return (false);
}

bool
send_event_is_lifecycle(const char *event)
{
	return (strncmp(event, "droplet.", 8) == 0);
}

int
send_body(struct buf *out, const struct send_body *b)
{
	struct json_writer *w = json_writer_new(out, false);

	if (w == NULL)
		return (-1);
	for (size_t i = 0; i < N_BODIES; i++)
		if (strcmp(bodies[i].event, b->event) == 0)
			bodies[i].write(w, b);
	return (json_writer_end(w));
}
