#include "delivery/line.h"

#include <errno.h>
#include <string.h>

#include "base/timefmt.h"
#include "delivery/signature.h"
#include "store/entry.h"

/* What a line has beside its body, with room to spare: most lines need one allocation. */
enum { LINE_OVERHEAD = 1024 };

/*
 * The shop: the record's. A body may say it only in an install or uninstall under a droplet's secret, since a
 * tenant signs with its own key whatever it likes.
 */
static const char *
shop_of(const struct accepted_line *l)
{
	const struct delivery_content *c = l->content;

	if (l->evidence->key == KEY_DROPLET && c->is_lifecycle && c->shop)
		return (c->shop);
	return (l->known ? l->known->fluid_shop : NULL);
}

/*
 * The droplet under whose authority the delivery is accepted: the configured one's uuid, the record's, or
 * (for the one droplet that is configured without a uuid) what its install says. NULL if none is known.
 */
static const char *
droplet_of(const struct accepted_line *l)
{
	const struct evidence *e = l->evidence;

	if (e->key == KEY_NONE)
		return (NULL);
	if (e->droplet && e->droplet->uuid)
		return (e->droplet->uuid);
	if (l->known && l->known->droplet_uuid)
		return (l->known->droplet_uuid);
	if (e->key == KEY_DROPLET && l->content->is_lifecycle)
		return (l->content->droplet);
	return (l->conf->n_droplets ? l->conf->droplets[0].uuid : NULL);
}

/* The signature that was verified, in lower case. NULL: there was none. */
static const char *
signature_of(const struct accepted_line *l, char out[SIGNATURE_HEX_SIZE])
{
	if (l->evidence->by != VERIFIED_SIGNATURE)
		return (NULL);
	for (size_t i = 0; i < SIGNATURE_HEX_SIZE; i++) {
		char c = l->headers->signature.value[i];

		out[i] = c >= 'A' && c <= 'F' ? (char)(c + ('a' - 'A')) : c;
	}
	return (out);
}

int
line_write(const struct accepted_line *l, struct buf *out)
{
	const struct delivery_content *c = l->content;
	const struct evidence *e = l->evidence;
	char received_at[TIMEFMT_MICROS_SIZE], refused_at[TIMEFMT_MICROS_SIZE];
	char signature[SIGNATURE_HEX_SIZE], sha256[SIGNATURE_HEX_SIZE];
	const struct entry entry = {
		.delivery = l->delivery,
		.received_at = received_at,
		.event = c->event,
		.installation = l->installation,
		.fluid_shop = shop_of(l),
		.id = c->id,
		.id_is_number = c->id_is_number,
		.identifier = c->identifier,
		.verified_by = verified_by_name(e->by),
		.key = key_name(e->key),
		.timestamp = e->has_timestamp ? l->headers->timestamp.value : NULL,
		.signature = signature_of(l, signature),
		.fingerprint = *e->fingerprint ? e->fingerprint : NULL,
		.droplet = droplet_of(l),
		.sha256 = sha256,
		.refused = l->refused,
		.refused_at = l->refused ? refused_at : NULL,
		.body = l->body,
		.body_len = l->body_len,
	};

	timefmt_micros(received_at, &l->received_at);
	if (l->refused)
		timefmt_micros(refused_at, l->refused_at);
	sha256_hex(sha256, l->body, l->body_len);
	buf_reserve(out, l->body_len + l->body_len / 4 + LINE_OVERHEAD);
	return (entry_write(&entry, out));
}
