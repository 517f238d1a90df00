#include "receiver/take.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/timefmt.h"
#include "delivery/lifecycle_read.h"
#include "delivery/signature.h"
#include "store/durable.h"
#include "store/entry.h"
#include "store/glance.h"
#include "store/index.h"
#include "store/lifecycle.h"
#include "store/wait.h"

struct counting {
	const struct taking *t;
	unsigned n;
	const struct record *only;
	int error;
};

static int
count_active(void *user, const char *name)
{
	struct counting *c = user;
	const struct record *r = records_get(c->t->store->records, name);

	/* Also one that is missing: an index names it, so there was one. */
	if (r == NULL) {
		c->error = EAGAIN;
		if (wait_was_needed())
			return (1);
		log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", name, NULL);
		c->error = EIO;
		return (1);
	}
	if (r && r->installation->status == INSTALLATION_ACTIVE &&
	    search_droplet_owns(c->t->conf, c->t->evidence->droplet, r->installation) &&
	    ++c->n == 1)
		c->only = r;
	else
		records_release(c->t->store->records, r);
	return (c->n > 1);
}

/*
 * The installation of a business event under a droplet's secret that names none: the only active one of the
 * company that it names. *out is NULL if there is none, or several; the caller releases it. Returns 0, or -1
 * with errno set if that could not be found out.
 */
static int
find_only(const struct taking *t, const struct record **out)
{
	const char *company = delivery_text(t->body->delivery, COMPANY_FLUID_COMPANY_ID);
	struct counting c = { .t = t };
	bool complete;

	*out = NULL;
	if (company == NULL)
		return (0);
	/* Before and after: it can be lost, or made again, during the look-up. */
	complete = index_is_complete(t->store->state);
	if (records_each(t->store->records, t->store->state, t->store->state->companies, company,
		count_active, &c))
		c.error = errno;
	/* An index that was lost in part says nothing about installations that it does not have. */
	if (c.error == 0 && c.n == 0 && !(complete && index_is_complete(t->store->state)))
		c.error = EAGAIN;
	if (c.error == 0 && c.n == 1) {
		*out = c.only;
		return (0);
	}
	records_release(t->store->records, c.only);
	errno = c.error;
	return (c.error ? -1 : 0);
}

/*
 * The same. What was seen a moment ago counts if it names one; that there is none, or that there are several,
 * is found afresh.
 */
static int
attribute(const struct taking *t, const struct record **out)
{
	int result;

	glance_permit(t->line != NULL);
	result = find_only(t, out);
	if (glance_relied() && (result || *out == NULL)) {
		glance_permit(false);
		result = find_only(t, out);
	}
	return (result);
}

static const char *
or_null(const char *s)
{
	return (s && *s ? s : NULL);
}

/*
 * The shop for the journal: the record's. A body may say it only in an install or uninstall under a
 * droplet's secret, since a tenant signs with its own key whatever it likes.
 */
static const char *
shop_of(const struct taking *t, const struct installation *known)
{
	const struct delivery *d = t->body->delivery;
	const char *said = delivery_text(d, COMPANY_SHOP);

	if (t->evidence->key == KEY_DROPLET && delivery_is_lifecycle(d) && said)
		return (said);
	return (known ? known->fluid_shop : NULL);
}

/*
 * The droplet under whose authority the delivery is taken: the configured one's uuid, the record's, or
 * (for the one droplet that is configured without a uuid) what its install says. NULL if none is known.
 */
static const char *
droplet_of(const struct taking *t, const struct installation *known)
{
	const struct evidence *e = t->evidence;

	if (e->key == KEY_NONE)
		return (NULL);
	if (e->droplet && e->droplet->uuid)
		return (e->droplet->uuid);
	if (known && known->droplet_uuid)
		return (known->droplet_uuid);
	if (e->key == KEY_DROPLET && delivery_is_lifecycle(t->body->delivery))
		return (delivery_text(t->body->delivery, COMPANY_DROPLET_UUID));
	return (t->conf->n_droplets ? t->conf->droplets[0].uuid : NULL);
}

/* Write the delivery's line. known: the installation's record as it is before, or NULL. 0, or -1: ENOMEM. */
static int
write_line(const struct taking *t, const struct answer *a, const struct installation *known,
    struct buf *line)
{
	const struct delivery *d = t->body->delivery;
	const struct evidence *e = t->evidence;
	char received_at[TIMEFMT_MICROS_SIZE], signature[SIGNATURE_HEX_SIZE];
	char sha256[SIGNATURE_HEX_SIZE];
	unsigned char digest[SIGNATURE_LEN];
	struct entry entry = {
		.delivery = a->delivery,
		.received_at = received_at,
		.event = delivery_event(d),
		.installation = or_null(a->installation),
		.fluid_shop = shop_of(t, known),
		.id = delivery_text(d, FIELD_ID),
		.id_is_number = delivery_value(d, FIELD_ID).kind == JSON_NUMBER,
		.identifier = delivery_text(d, FIELD_IDENTIFIER),
		.verified_by = verified_by_name(e->by),
		.key = key_name(e->key),
		.timestamp = e->has_timestamp ? t->headers->timestamp.value : NULL,
		.fingerprint = or_null(e->fingerprint),
		.droplet = droplet_of(t, known),
		.sha256 = sha256,
		.body = t->body->bytes.data,
		.body_len = t->body->bytes.len,
	};

	timefmt_micros(received_at, &t->now);
	sha256_hex(sha256, t->body->bytes.data, t->body->bytes.len);
	if (e->by == VERIFIED_SIGNATURE &&
	    signature_parse(digest, t->headers->signature.value) == 0) {
		signature_hex(signature, digest);
		entry.signature = signature;
	}
	return (entry_write(&entry, line));
}

/* Append the delivery to the journal. Returns 0 when it is on stable storage, or -1 with errno set. */
static int
append(const struct taking *t, const struct answer *a, const struct installation *known)
{
	struct buf line = { 0 };
	int result = -1, saved;

	if (write_line(t, a, known, &line) == 0)
		result = journal_append(t->store->journal, line.data, line.len, &t->now);
	saved = errno;
	buf_wipe(&line);
	errno = saved;
	return (result);
}

/* The same for who cannot wait: the line is left for the batch. */
static enum taken
append_later(const struct taking *t, const struct answer *a, const struct installation *known)
{
	if (write_line(t, a, known, t->text))
		return (TAKEN_NOT);
	t->line->text = t->text->data;
	t->line->len = t->text->len;
	return (TAKEN_IN_BATCH);
}

/* When it was signed. A bare token proves a sender who may say so, but only near the time of receipt. */
static int64_t
time_of(const struct taking *t)
{
	const struct evidence *e = t->evidence;
	int64_t away = e->timestamp - t->now.tv_sec;

	if (e->by == VERIFIED_SIGNATURE)
		return (e->timestamp);
	if (e->by != VERIFIED_NONE && e->has_timestamp &&
	    llabs(away) <= (long long)t->conf->tolerance)
		return (e->timestamp);
	return (t->now.tv_sec);
}

/* What the delivery says for the record called a->installation. sha256 is where its text goes. */
static void
read_lifecycle(const struct taking *t, const struct answer *a, char sha256[SIGNATURE_HEX_SIZE],
    struct lifecycle_event *out)
{
	const struct conf_droplet *droplet = t->evidence->droplet;

	sha256_hex(sha256, t->body->bytes.data, t->body->bytes.len);
	lifecycle_read(t->body->delivery, out);
	out->trust = t->evidence->key == KEY_DROPLET ? TRUST_DROPLET :
	    t->evidence->key == KEY_INSTALLATION     ? TRUST_INSTALLATION :
						       TRUST_NONE;
	out->authority = droplet ? droplet->uuid : NULL;
	out->owns_unnamed = droplet == t->conf->droplets;
	out->record = a->installation;
	out->at = time_of(t);
	out->received_at = t->now;
	out->delivery = a->delivery;
	out->body_sha256 = sha256;
	if (out->droplet_uuid == NULL && droplet)
		out->droplet_uuid = droplet->uuid;
}

static enum taken
taken_as(enum installation_status status)
{
	return (status == INSTALLATION_PENDING || status == INSTALLATION_UNCONFIRMED ?
		TAKEN_PENDING :
		TAKEN);
}

/* Nothing is written to records of a directory that another one has replaced. If so, errno is set. */
static bool
is_in_place(const struct taking *t)
{
	if (state_in_place(t->store->state))
		return (true);
	errno = ESTALE;
	return (false);
}

static int
lock_records(const struct taking *t)
{
	return (is_in_place(t) ? state_lock(t->store->state) : -1);
}

/* What it means that lifecycle_apply() returned this, and the status. */
static enum taken
taken_of(int applied, enum installation_status status)
{
	switch (applied) {
	case 0:
		return (taken_as(status));
	case LIFECYCLE_FOREIGN:
		return (TAKEN_FOREIGN);
	default:
		return (TAKEN_NOT);
	}
}

/* Apply it to the record. The caller holds the lock of the records. */
static enum taken
apply_locked(const struct taking *t, const struct lifecycle_event *life)
{
	enum installation_status status = INSTALLATION_PENDING;
	int applied = lifecycle_apply(t->store->state, t->store->records, life, &status);

	return (taken_of(applied, status));
}

static enum taken
apply(const struct taking *t, const struct lifecycle_event *life)
{
	enum installation_status status = INSTALLATION_PENDING;
	int applied;

	if (lifecycle_is_settled(t->store->records, life, &status))
		return (taken_as(status));
	if (!is_in_place(t))
		return (TAKEN_NOT);
	applied = lifecycle_apply_shared(t->store->state, t->store->records, life, &status);
	return (taken_of(applied, status));
}

/*
 * Whether another droplet's install could still claim the record between our look at it and our change of
 * it. A record that names its droplet keeps it, and a single droplet has no rival.
 */
static bool
can_be_claimed(const struct taking *t)
{
	const struct evidence *e = t->evidence;

	return (t->conf->n_droplets > 1 && e->key == KEY_DROPLET &&
	    (e->record == NULL || e->record->installation->droplet_uuid == NULL));
}

/* Look, journal and apply without anybody in between, so that the journal has nothing that is refused. */
static enum taken
take_claimable(const struct taking *t, struct answer *a, const struct lifecycle_event *life)
{
	const struct evidence *e = t->evidence;
	enum taken taken = TAKEN_NOT;
	int foreign, saved;

	if (lock_records(t))
		return (TAKEN_NOT);
	foreign = lifecycle_is_foreign(t->store->state, life);
	if (foreign == LIFECYCLE_FOREIGN)
		taken = TAKEN_FOREIGN;
	else if (foreign == 0 && append(t, a, e->record ? e->record->installation : NULL) == 0)
		taken = apply_locked(t, life);
	saved = errno;
	state_unlock(t->store->state);
	errno = saved;
	return (taken);
}

static enum taken
take_lifecycle(const struct taking *t, struct answer *a)
{
	const struct record *r = t->evidence->record;
	char sha256[SIGNATURE_HEX_SIZE];
	enum installation_status status;
	struct lifecycle_event life;
	enum taken taken;

	if (delivery_record(t->body->delivery, a->installation))
		a->installation[0] = '\0';
	read_lifecycle(t, a, sha256, &life);
	if (t->line &&
	    (can_be_claimed(t) || !lifecycle_is_settled(t->store->records, &life, &status)))
		return (TAKEN_SLOW);
	if (t->line)
		return (append_later(t, a, r ? r->installation : NULL));
	if (can_be_claimed(t))
		taken = take_claimable(t, a, &life);
	else if (append(t, a, r ? r->installation : NULL))
		taken = TAKEN_NOT;
	else
		taken = apply(t, &life);
	if (taken == TAKEN_FOREIGN)
		a->installation[0] = a->delivery[0] = '\0';
	return (taken);
}

static enum taken
take_business(const struct taking *t, struct answer *a)
{
	const struct record *r = t->evidence->record, *found = NULL;
	enum taken taken = TAKEN_NOT;
	int saved;

	if (t->evidence->key == KEY_DROPLET &&
	    delivery_text(t->body->delivery, COMPANY_DRI) == NULL && attribute(t, &found))
		return (t->line && wait_was_needed() ? TAKEN_SLOW : TAKEN_NOT);
	if (found)
		r = found;
	if (r)
		snprintf(a->installation, sizeof(a->installation), "%s", r->installation->record);
	if (t->line)
		taken = append_later(t, a, r ? r->installation : NULL);
	else if (append(t, a, r ? r->installation : NULL) == 0)
		taken = TAKEN;
	saved = errno;
	records_release(t->store->records, found);
	errno = saved;
	return (taken);
}

enum taken
take_genuine(const struct taking *t, struct answer *a)
{
	/* Who may say it is known. What changes a record is decided by the files as they are. */
	glance_permit(false);
	uuid_v7(a->delivery, &t->now);
	return (
	    delivery_is_lifecycle(t->body->delivery) ? take_lifecycle(t, a) : take_business(t, a));
}

enum taken
take_committed(const struct taking *t, struct answer *a)
{
	char sha256[SIGNATURE_HEX_SIZE];
	enum installation_status status;
	struct lifecycle_event life;
	enum taken taken;

	if (!delivery_is_lifecycle(t->body->delivery))
		return (TAKEN);
	read_lifecycle(t, a, sha256, &life);
	if (t->line == NULL) {
		taken = apply(t, &life);
		if (taken == TAKEN_FOREIGN)
			a->installation[0] = a->delivery[0] = '\0';
		return (taken);
	}
	return (lifecycle_is_settled(t->store->records, &life, &status) ? taken_as(status) :
									  TAKEN_SLOW);
}

enum taken
take_applied(const struct taking *t, struct answer *a)
{
	const struct record *r = t->evidence->record;

	/* The record shows that it was applied, but whoever wrote that may have died before it was durable. */
	if (!records_is_settled(t->store->records, r)) {
		if (t->line)
			return (TAKEN_SLOW);
		if (sync_directory(t->store->state->installations))
			return (TAKEN_NOT);
	}
	snprintf(a->installation, sizeof(a->installation), "%s", r->installation->record);
	snprintf(a->delivery, sizeof(a->delivery), "%s",
	    r->installation->delivery ? r->installation->delivery : "");
	return (TAKEN);
}

/* The part of take_unsigned() that no other process may come between. */
static enum taken
take_unsigned_locked(const struct taking *t, struct answer *a, struct lifecycle_event *life)
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
		return (sync_directory(t->store->state->installations) ? TAKEN_NOT : TAKEN_PENDING);
	case UNSIGNED_NEW:
		break;
	}
	if (append(t, a, NULL))
		return (TAKEN_NOT);
	return (apply_locked(t, life));
}

enum taken
take_unsigned(const struct taking *t, struct answer *a)
{
	char sha256[SIGNATURE_HEX_SIZE];
	struct lifecycle_event life;
	enum taken taken;
	int saved;

	if (t->line)
		return (TAKEN_SLOW);
	if (delivery_record(t->body->delivery, a->installation))
		return (TAKEN_REFUSED);
	uuid_v7(a->delivery, &t->now);
	read_lifecycle(t, a, sha256, &life);
	if (lock_records(t))
		return (TAKEN_NOT);
	taken = take_unsigned_locked(t, a, &life);
	saved = errno;
	state_unlock(t->store->state);
	errno = saved;
	if (taken == TAKEN_REFUSED || taken == TAKEN_BUSY)
		a->installation[0] = a->delivery[0] = '\0';
	return (taken);
}
