#include "receiver/take.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/timefmt.h"
#include "delivery/signature.h"
#include "store/entry.h"
#include "store/index.h"
#include "store/lifecycle.h"

/* Whether this installation is one of the droplet's. */
static bool
is_of_droplet(const struct conf *c, const struct conf_droplet *droplet, const struct installation *i)
{
	if (droplet->uuid)
		return (i->droplet_uuid && strcmp(i->droplet_uuid, droplet->uuid) == 0);
	return (c->n_droplets == 1);
}

struct counting {
	const struct taking *t;
	unsigned n;
	char name[NAME_SIZE];
};

static int
count_active(void *user, const char *name)
{
	struct counting *c = user;
	const struct record *r = records_get(c->t->store->records, name);

	if (r && r->installation->status == INSTALLATION_ACTIVE &&
	    is_of_droplet(c->t->conf, c->t->evidence->droplet, r->installation)) {
		c->n++;
		snprintf(c->name, sizeof(c->name), "%s", name);
	}
	records_release(c->t->store->records, r);
	return (c->n > 1);
}

/*
 * Which installation a droplet-signed business event belongs to: the one that the signed body names,
 * else the only active one of the company it names. `out` stays empty where that leaves a doubt.
 */
static void
attribute(const struct taking *t, char out[NAME_SIZE])
{
	const struct delivery *d = t->body->delivery;
	const char *dri = delivery_text(d, COMPANY_DRI);
	const char *company = delivery_text(d, COMPANY_FLUID_COMPANY_ID);
	struct counting c = { .t = t };
	const struct record *r;

	out[0] = '\0';
	if (dri) {
		if (!name_is_safe(dri, strlen(dri)) ||
		    (r = records_get(t->store->records, dri)) == NULL)
			return;
		if (r->installation->status != INSTALLATION_UNCONFIRMED &&
		    is_of_droplet(t->conf, t->evidence->droplet, r->installation))
			snprintf(out, NAME_SIZE, "%s", dri);
		records_release(t->store->records, r);
	} else if (company && name_is_safe(company, strlen(company)) &&
	    index_each(t->store->state->companies, company, 0, count_active, &c) == 0 && c.n == 1) {
		snprintf(out, NAME_SIZE, "%s", c.name);
	}
}

static const char *
or_null(const char *s)
{
	return (s && *s ? s : NULL);
}

/* The shop that the journal notes: the record's, whose installation this is; else what the body says. */
static char *
shop_of(const struct taking *t, const char *installation)
{
	const struct record *r = NULL;
	const char *shop = delivery_text(t->body->delivery, COMPANY_SHOP);
	char *copy;

	if (installation && !delivery_is_lifecycle(t->body->delivery) &&
	    (r = records_get(t->store->records, installation)) != NULL &&
	    r->installation->fluid_shop)
		shop = r->installation->fluid_shop;
	copy = shop ? strdup(shop) : NULL;
	records_release(t->store->records, r);
	return (copy);
}

/*
 * The droplet under whose authority the delivery is taken: the configured one's uuid, the record's, or
 * (for the one droplet that is configured without a uuid) what its install says. NULL where none is known.
 */
static char *
droplet_of(const struct taking *t, const char *installation)
{
	const struct evidence *e = t->evidence;
	const struct record *r = NULL;
	const char *uuid = e->droplet ? e->droplet->uuid : NULL;
	char *copy;

	if (uuid == NULL && e->key != KEY_NONE && installation &&
	    (r = records_get(t->store->records, installation)) != NULL)
		uuid = r->installation->droplet_uuid;
	if (uuid == NULL && e->key == KEY_DROPLET && delivery_is_lifecycle(t->body->delivery))
		uuid = delivery_text(t->body->delivery, COMPANY_DROPLET_UUID);
	copy = uuid ? strdup(uuid) : NULL;
	records_release(t->store->records, r);
	return (copy);
}

/* Append the delivery to the journal. Returns 0 when it is on stable storage, or -1 with errno set. */
static int
append(const struct taking *t, const struct answer *a)
{
	const struct delivery *d = t->body->delivery;
	const struct evidence *e = t->evidence;
	char received_at[TIMEFMT_MICROS_SIZE], signature[SIGNATURE_HEX_SIZE];
	char sha256[SIGNATURE_HEX_SIZE];
	unsigned char digest[SIGNATURE_LEN];
	char *shop = shop_of(t, or_null(a->installation));
	char *droplet = droplet_of(t, or_null(a->installation));
	struct buf line = { 0 };
	struct entry entry = {
		.delivery = a->delivery,
		.received_at = received_at,
		.event = delivery_event(d),
		.installation = or_null(a->installation),
		.fluid_shop = shop,
		.id = delivery_text(d, FIELD_ID),
		.id_is_number = delivery_value(d, FIELD_ID).kind == JSON_NUMBER,
		.identifier = delivery_text(d, FIELD_IDENTIFIER),
		.verified_by = verified_by_name(e->by),
		.key = key_name(e->key),
		.timestamp = e->has_timestamp ? t->headers->timestamp.value : NULL,
		.fingerprint = or_null(e->fingerprint),
		.droplet = droplet,
		.sha256 = sha256,
		.body = t->body->bytes.data,
		.body_len = t->body->bytes.len,
	};
	int result = -1, saved;

	timefmt_micros(received_at, &t->now);
	sha256_hex(sha256, t->body->bytes.data, t->body->bytes.len);
	if (e->by == VERIFIED_SIGNATURE && signature_parse(digest, t->headers->signature.value) == 0) {
		signature_hex(signature, digest);
		entry.signature = signature;
	}
	if (entry_write(&entry, &line) == 0)
		result = journal_append(t->store->journal, line.data, line.len, &t->now);
	saved = errno;
	free(shop);
	free(droplet);
	buf_wipe(&line);
	errno = saved;
	return (result);
}

/* When it was signed. A bare token proves a sender who may say so, but only near the time of receipt. */
static int64_t
time_of(const struct taking *t)
{
	const struct evidence *e = t->evidence;
	int64_t away = e->timestamp - t->now.tv_sec;

	if (e->by == VERIFIED_SIGNATURE)
		return (e->timestamp);
	if (e->by != VERIFIED_NONE && e->has_timestamp && llabs(away) <= (long long)t->conf->tolerance)
		return (e->timestamp);
	return (t->now.tv_sec);
}

/* What the delivery says for the record called a->installation. sha256 is where its text goes. */
static void
read_lifecycle(const struct taking *t, const struct answer *a, char sha256[SIGNATURE_HEX_SIZE],
    struct lifecycle *out)
{
	const struct delivery *d = t->body->delivery;
	const struct conf_droplet *droplet = t->evidence->droplet;
	struct delivery_value name = delivery_value(d, COMPANY_NAME);
	bool is_string = name.present && name.kind == JSON_STRING;

	sha256_hex(sha256, t->body->bytes.data, t->body->bytes.len);
	*out = (struct lifecycle){
		.installed = strcmp(delivery_event(d), "droplet.installed") == 0,
		.trust = t->evidence->key == KEY_DROPLET ? TRUST_DROPLET :
		    t->evidence->key == KEY_INSTALLATION ? TRUST_INSTALLATION : TRUST_NONE,
		.record = a->installation,
		.droplet_installation_uuid = delivery_text(d, COMPANY_DRI),
		.droplet_uuid = delivery_text(d, COMPANY_DROPLET_UUID),
		.fluid_company_id = delivery_text(d, COMPANY_FLUID_COMPANY_ID),
		.fluid_company_id_number =
		    delivery_value(d, COMPANY_FLUID_COMPANY_ID).kind == JSON_NUMBER,
		.fluid_shop = delivery_text(d, COMPANY_SHOP),
		.name = is_string ? name.text : NULL,
		.name_len = is_string ? name.len : 0,
		.authentication_token = delivery_text(d, COMPANY_AUTHENTICATION_TOKEN),
		.webhook_verification_token = delivery_text(d, COMPANY_VERIFICATION_TOKEN),
		.exchange_token = delivery_text(d, CREDENTIALS_TOKEN),
		.exchange_token_expires_at = delivery_text(d, CREDENTIALS_EXPIRES_AT),
		.exchange_endpoint = delivery_text(d, CREDENTIALS_ENDPOINT),
		.at = time_of(t),
		.received_at = t->now,
		.delivery = a->delivery,
		.body_sha256 = sha256,
	};
	if (out->droplet_uuid == NULL && droplet)
		out->droplet_uuid = droplet->uuid;
}

static enum taken
taken_as(enum installation_status status)
{
	return (status == INSTALLATION_PENDING || status == INSTALLATION_UNCONFIRMED ?
	    TAKEN_PENDING : TAKEN);
}

/* Apply it to the record. The caller holds the lock of the records. */
static enum taken
apply_locked(const struct taking *t, const struct lifecycle *life)
{
	enum installation_status status;

	if (lifecycle_apply(t->store->state, t->store->records, life, &status))
		return (TAKEN_NOT);
	return (taken_as(status));
}

static enum taken
apply(const struct taking *t, const struct answer *a)
{
	char sha256[SIGNATURE_HEX_SIZE];
	enum installation_status status;
	struct lifecycle life;
	enum taken taken;
	int saved;

	read_lifecycle(t, a, sha256, &life);
	if (lifecycle_is_settled(t->store->records, &life, &status))
		return (taken_as(status));
	if (state_lock(t->store->state))
		return (TAKEN_NOT);
	taken = apply_locked(t, &life);
	saved = errno;
	state_unlock(t->store->state);
	errno = saved;
	return (taken);
}

enum taken
take_genuine(const struct taking *t, struct answer *a)
{
	const struct delivery *d = t->body->delivery;

	if (delivery_is_lifecycle(d)) {
		if (delivery_record(d, a->installation))
			a->installation[0] = '\0';
	} else if (t->evidence->key == KEY_INSTALLATION) {
		snprintf(a->installation, sizeof(a->installation), "%s",
		    t->evidence->record->installation->record);
	} else {
		attribute(t, a->installation);
	}
	uuid_v7(a->delivery, &t->now);
	if (append(t, a))
		return (TAKEN_NOT);
	return (delivery_is_lifecycle(d) ? apply(t, a) : TAKEN);
}

/* The part of take_unsigned() that no other process may come between. */
static enum taken
take_unsigned_locked(const struct taking *t, struct answer *a, struct lifecycle *life)
{
	enum unsigned_verdict verdict;
	char waiting[UUID_SIZE];

	if (lifecycle_unsigned(t->store->state, life, &verdict, waiting))
		return (TAKEN_NOT);
	switch (verdict) {
	case UNSIGNED_KNOWN:
		return (TAKEN_REFUSED);
	case UNSIGNED_BUSY:
		return (TAKEN_BUSY);
	case UNSIGNED_AGAIN:
		/* Nothing is written, so that repeating it cannot fill the disk. */
		snprintf(a->delivery, sizeof(a->delivery), "%s", waiting);
		return (fsync(t->store->state->installations) ? TAKEN_NOT : TAKEN_PENDING);
	case UNSIGNED_NEW:
		break;
	}
	if (append(t, a))
		return (TAKEN_NOT);
	return (apply_locked(t, life));
}

enum taken
take_unsigned(const struct taking *t, struct answer *a)
{
	char sha256[SIGNATURE_HEX_SIZE];
	struct lifecycle life;
	enum taken taken;
	int saved;

	if (delivery_record(t->body->delivery, a->installation))
		return (TAKEN_REFUSED);
	uuid_v7(a->delivery, &t->now);
	read_lifecycle(t, a, sha256, &life);
	if (state_lock(t->store->state))
		return (TAKEN_NOT);
	taken = take_unsigned_locked(t, a, &life);
	saved = errno;
	state_unlock(t->store->state);
	errno = saved;
	if (taken == TAKEN_REFUSED || taken == TAKEN_BUSY)
		a->installation[0] = a->delivery[0] = '\0';
	return (taken);
}
