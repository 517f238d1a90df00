#include "receiver/intake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/timefmt.h"
#include "delivery/lifecycle_read.h"
#include "delivery/line.h"
#include "delivery/signature.h"
#include "store/durable.h"
#include "store/entry.h"
#include "store/glance.h"
#include "store/index.h"
#include "store/lifecycle.h"
#include "store/wait.h"

/* Nothing is written to records of a directory that another one has replaced. If so, errno is set. */
static bool
is_in_place(const struct intake *in)
{
	if (state_in_place(in->store->state))
		return (true);
	errno = ESTALE;
	return (false);
}

static int
lock_records(const struct intake *in)
{
	return (is_in_place(in) ? state_lock(in->store->state) : -1);
}

struct counting {
	const struct intake *in;
	unsigned n;
	const struct record *only;
	bool locked; /* nobody changes a record now */
	int error;
};

static int
count_active(void *user, const char *name)
{
	struct counting *c = user;
	const struct record *r = records_get(c->in->store->records, name);

	if (r == NULL) {
		c->error = EAGAIN;
		if (wait_was_needed())
			return (1);
		/* A record that is being made has its index entry first. */
		c->error = ENOENT;
		if (errno == ENOENT && !c->locked)
			return (1);
		/* Also one that is missing: an index names it, so there was one. */
		log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", name, NULL);
		c->error = EIO;
		return (1);
	}
	if (r->installation->status == INSTALLATION_ACTIVE &&
	    search_droplet_owns(c->in->authority.conf, c->in->evidence.droplet, r->installation) &&
	    ++c->n == 1)
		c->only = r;
	else
		records_release(c->in->store->records, r);
	return (c->n > 1);
}

/*
 * The installation of a business event under a droplet's secret that names none: the only active one of the
 * company that it names. *out is NULL if there is none, or several; the caller releases it. Returns 0, or -1
 * with errno set if that could not be found out: ENOENT if a record is missing that may just be made.
 */
static int
find_only(const struct intake *in, bool locked, const struct record **out)
{
	const char *company = in->content->company;
	struct counting c = { .in = in, .locked = locked };
	bool complete;

	*out = NULL;
	if (company == NULL)
		return (0);
	/* Before and after: it can be lost, or made again, during the look-up. */
	complete = index_is_complete(in->store->state);
	if (records_each(in->store->records, in->store->state, in->store->state->companies, company,
		count_active, &c))
		c.error = errno;
	/* An index that was lost in part says nothing about installations that it does not have. */
	if (c.error == 0 && c.n == 0 && !(complete && index_is_complete(in->store->state)))
		c.error = EAGAIN;
	if (c.error == 0 && c.n == 1) {
		*out = c.only;
		return (0);
	}
	records_release(in->store->records, c.only);
	errno = c.error;
	return (c.error ? -1 : 0);
}

/*
 * The same. What was seen a moment ago counts if it names one; that there is none, or that there are several,
 * is found afresh.
 */
static int
attribute(const struct intake *in, const struct record **out)
{
	int result, saved;

	glance_permit(!in->may_wait);
	result = find_only(in, false, out);
	if (glance_relied() && (result || *out == NULL)) {
		glance_permit(false);
		result = find_only(in, false, out);
	}
	if (result == 0 || errno != ENOENT)
		return (result);
	if (!in->may_wait) {
		wait_note_needed();
		return (-1);
	}
	if (lock_records(in))
		return (-1);
	result = find_only(in, true, out);
	saved = errno;
	state_unlock(in->store->state);
	errno = saved;
	return (result);
}

/* Write the delivery's line. known: the installation's record as it is before, or NULL. 0, or -1: ENOMEM. */
static int
write_line(struct intake *in, const struct installation *known)
{
	const struct accepted_line line = {
		.conf = in->authority.conf,
		.headers = in->headers,
		.content = in->content,
		.evidence = &in->evidence,
		.body = in->body.bytes.data,
		.body_len = in->body.bytes.len,
		.received_at = in->now,
		.delivery = in->delivery,
		.installation = *in->installation ? in->installation : NULL,
		.known = known,
	};

	return (line_write(&line, &in->text));
}

/* Append the delivery to the journal. Returns 0 when it is on stable storage, or -1 with errno set. */
static int
append(struct intake *in, const struct installation *known)
{
	if (write_line(in, known))
		return (-1);
	return (journal_append(in->store->journal, in->text.data, in->text.len, &in->now));
}

/* The same for who cannot wait: the line is left for the batch. */
static enum accepted
append_later(struct intake *in, const struct installation *known)
{
	if (write_line(in, known))
		return (ACCEPTED_NOT_STORED);
	in->line.text = in->text.data;
	in->line.len = in->text.len;
	return (ACCEPTED_IN_BATCH);
}

/* When it was signed. A bare token proves a sender who may say so, but only near the time of receipt. */
static int64_t
time_of(const struct intake *in)
{
	const struct evidence *e = &in->evidence;
	int64_t away = e->timestamp - in->now.tv_sec;

	if (e->by == VERIFIED_SIGNATURE)
		return (e->timestamp);
	if (e->by != VERIFIED_NONE && e->has_timestamp &&
	    llabs(away) <= (long long)in->authority.conf->tolerance)
		return (e->timestamp);
	return (in->now.tv_sec);
}

/* What the delivery says for the record called in->installation. sha256 is where its text goes. */
static void
read_lifecycle(struct intake *in, char sha256[SIGNATURE_HEX_SIZE], struct lifecycle_event *out)
{
	const struct conf_droplet *droplet = in->evidence.droplet;

	sha256_hex(sha256, in->body.bytes.data, in->body.bytes.len);
	lifecycle_read(in->body.delivery, out);
	out->trust = in->evidence.key == KEY_DROPLET ? TRUST_DROPLET :
	    in->evidence.key == KEY_INSTALLATION     ? TRUST_INSTALLATION :
						       TRUST_NONE;
	out->authority = droplet ? droplet->uuid : NULL;
	out->owns_unnamed = droplet == in->authority.conf->droplets;
	out->record = in->installation;
	out->at = time_of(in);
	out->received_at = in->now;
	out->delivery = in->delivery;
	out->body_sha256 = sha256;
	if (out->droplet_uuid == NULL && droplet)
		out->droplet_uuid = droplet->uuid;
}

/* The delivery is about the record that the body names. */
static void
name_record(struct intake *in)
{
	const char *name = in->content->record ? in->content->record : "";

	memccpy(in->installation, name, '\0', sizeof(in->installation));
}

static enum accepted
accepted_as(enum installation_status status)
{
	return (status == INSTALLATION_PENDING || status == INSTALLATION_UNCONFIRMED ?
		ACCEPTED_PENDING :
		ACCEPTED);
}

/* What it means that lifecycle_apply() returned this, and the status. */
static enum accepted
applied_as(int applied, enum installation_status status)
{
	switch (applied) {
	case 0:
		return (accepted_as(status));
	case LIFECYCLE_FOREIGN:
		return (ACCEPTED_FOREIGN);
	default:
		return (ACCEPTED_NOT_STORED);
	}
}

/* Apply it to the record. The caller holds the lock of the records. */
static enum accepted
apply_locked(const struct intake *in, const struct lifecycle_event *life)
{
	enum installation_status status = INSTALLATION_PENDING;
	int applied = lifecycle_apply(in->store->state, in->store->records, life, &status);

	return (applied_as(applied, status));
}

static enum accepted
apply(const struct intake *in, const struct lifecycle_event *life)
{
	enum installation_status status = INSTALLATION_PENDING;
	int applied;

	if (lifecycle_is_settled(in->store->records, life, &status))
		return (accepted_as(status));
	if (!is_in_place(in))
		return (ACCEPTED_NOT_STORED);
	applied = lifecycle_apply_shared(in->store->state, in->store->records, life, &status);
	return (applied_as(applied, status));
}

/*
 * Whether another droplet's install could still claim the record between our look at it and our change of
 * it. A record that names its droplet keeps it, and a single droplet has no rival.
 */
static bool
can_be_claimed(const struct intake *in)
{
	const struct evidence *e = &in->evidence;

	return (in->authority.conf->n_droplets > 1 && e->key == KEY_DROPLET &&
	    (e->record == NULL || e->record->installation->droplet_uuid == NULL));
}

/* Look, journal and apply without anybody in between, so that the journal has nothing that is refused. */
static enum accepted
accept_claimable(struct intake *in, const struct lifecycle_event *life)
{
	const struct evidence *e = &in->evidence;
	enum accepted accepted = ACCEPTED_NOT_STORED;
	int foreign, saved;

	if (lock_records(in))
		return (ACCEPTED_NOT_STORED);
	foreign = lifecycle_is_foreign(in->store->state, life);
	if (foreign == LIFECYCLE_FOREIGN)
		accepted = ACCEPTED_FOREIGN;
	else if (foreign == 0 && append(in, e->record ? e->record->installation : NULL) == 0)
		accepted = apply_locked(in, life);
	saved = errno;
	state_unlock(in->store->state);
	errno = saved;
	return (accepted);
}

static enum accepted
accept_lifecycle(struct intake *in)
{
	const struct record *r = in->evidence.record;
	char sha256[SIGNATURE_HEX_SIZE];
	enum installation_status status;
	struct lifecycle_event life;
	enum accepted accepted;

	name_record(in);
	read_lifecycle(in, sha256, &life);
	if (!in->may_wait &&
	    (can_be_claimed(in) || !lifecycle_is_settled(in->store->records, &life, &status)))
		return (ACCEPTED_SLOW);
	if (!in->may_wait)
		return (append_later(in, r ? r->installation : NULL));
	if (can_be_claimed(in))
		accepted = accept_claimable(in, &life);
	else if (append(in, r ? r->installation : NULL))
		accepted = ACCEPTED_NOT_STORED;
	else
		accepted = apply(in, &life);
	if (accepted == ACCEPTED_FOREIGN)
		in->installation[0] = in->delivery[0] = '\0';
	return (accepted);
}

static enum accepted
accept_business(struct intake *in)
{
	const struct record *r = in->evidence.record, *found = NULL;
	enum accepted accepted = ACCEPTED_NOT_STORED;
	int saved;

	if (in->evidence.key == KEY_DROPLET && in->content->installation == NULL &&
	    attribute(in, &found))
		return (!in->may_wait && wait_was_needed() ? ACCEPTED_SLOW : ACCEPTED_NOT_STORED);
	if (found)
		r = found;
	if (r)
		snprintf(in->installation, sizeof(in->installation), "%s", r->installation->record);
	if (!in->may_wait)
		accepted = append_later(in, r ? r->installation : NULL);
	else if (append(in, r ? r->installation : NULL) == 0)
		accepted = ACCEPTED;
	saved = errno;
	records_release(in->store->records, found);
	errno = saved;
	return (accepted);
}

enum accepted
intake_verified(struct intake *in)
{
	/* Who may say it is known. What changes a record is decided by the files as they are. */
	glance_permit(false);
	uuid_v7(in->delivery, &in->now);
	return (in->content->is_lifecycle ? accept_lifecycle(in) : accept_business(in));
}

enum accepted
intake_committed(struct intake *in)
{
	char sha256[SIGNATURE_HEX_SIZE];
	enum installation_status status;
	struct lifecycle_event life;
	enum accepted accepted;

	if (!in->content->is_lifecycle)
		return (ACCEPTED);
	read_lifecycle(in, sha256, &life);
	if (in->may_wait) {
		accepted = apply(in, &life);
		if (accepted == ACCEPTED_FOREIGN)
			in->installation[0] = in->delivery[0] = '\0';
		return (accepted);
	}
	return (lifecycle_is_settled(in->store->records, &life, &status) ? accepted_as(status) :
									   ACCEPTED_SLOW);
}

enum accepted
intake_applied(struct intake *in)
{
	const struct record *r = in->evidence.record;

	/* The record shows that it was applied, but whoever wrote that may have died before it was durable. */
	if (!records_is_settled(in->store->records, r)) {
		if (!in->may_wait)
			return (ACCEPTED_SLOW);
		if (sync_directory(in->store->state->installations))
			return (ACCEPTED_NOT_STORED);
	}
	snprintf(in->installation, sizeof(in->installation), "%s", r->installation->record);
	snprintf(in->delivery, sizeof(in->delivery), "%s",
	    r->installation->delivery ? r->installation->delivery : "");
	return (ACCEPTED);
}

/* The part of intake_unsigned() that no other process may come between. */
static enum accepted
store_unsigned(struct intake *in, struct lifecycle_event *life)
{
	enum unsigned_verdict verdict;
	char waiting[UUID_SIZE];

	if (lifecycle_unsigned(in->store->state, life, &verdict, waiting))
		return (ACCEPTED_NOT_STORED);
	switch (verdict) {
	case UNSIGNED_KNOWN:
		return (ACCEPTED_REFUSED);
	case UNSIGNED_BUSY:
		return (ACCEPTED_BUSY);
	case UNSIGNED_AGAIN:
		/* Nothing is written, so that repeating it cannot fill the disk. */
		snprintf(in->delivery, sizeof(in->delivery), "%s", waiting);
		return (sync_directory(in->store->state->installations) ? ACCEPTED_NOT_STORED :
									  ACCEPTED_PENDING);
	case UNSIGNED_NEW:
		break;
	}
	if (append(in, NULL))
		return (ACCEPTED_NOT_STORED);
	return (apply_locked(in, life));
}

enum accepted
intake_unsigned(struct intake *in)
{
	char sha256[SIGNATURE_HEX_SIZE];
	struct lifecycle_event life;
	enum accepted accepted;
	int saved;

	if (!in->may_wait)
		return (ACCEPTED_SLOW);
	if (in->content->record == NULL)
		return (ACCEPTED_REFUSED);
	uuid_v7(in->delivery, &in->now);
	name_record(in);
	read_lifecycle(in, sha256, &life);
	if (lock_records(in))
		return (ACCEPTED_NOT_STORED);
	accepted = store_unsigned(in, &life);
	saved = errno;
	state_unlock(in->store->state);
	errno = saved;
	if (accepted == ACCEPTED_REFUSED || accepted == ACCEPTED_BUSY)
		in->installation[0] = in->delivery[0] = '\0';
	return (accepted);
}
