#include "store/lifecycle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "store/index.h"
#include "store/marker.h"

static bool
same(const char *a, const char *b)
{
	return (a && b && strcmp(a, b) == 0);
}

/* Where the indexes have a record, by the names of their folders; "" for nowhere. */
struct places {
	char shop[NAME_SIZE];
	char company[NAME_SIZE];
};

static void
places_of(struct places *p, const struct installation *i)
{
	*p = (struct places){ "", "" };
	if (i->fluid_shop && name_of_shop(p->shop, i->fluid_shop, strlen(i->fluid_shop)))
		p->shop[0] = '\0';
	if (i->fluid_company_id && name_is_safe(i->fluid_company_id, strlen(i->fluid_company_id)))
		snprintf(p->company, sizeof(p->company), "%s", i->fluid_company_id);
}

int
lifecycle_index(struct state *s, const struct installation *i)
{
	struct places p;

	places_of(&p, i);
	if (*p.shop && index_add(s->shops, p.shop, i->record))
		return (-1);
	return (*p.company ? index_add(s->companies, p.company, i->record) : 0);
}

int
lifecycle_save(struct state *s, const struct installation *i)
{
	if (i->status == INSTALLATION_UNCONFIRMED) {
		if (marker_set(s->unconfirmed, i->record))
			return (-1);
	} else if (i->status != INSTALLATION_FAILED) {
		/* A failed one that is not in them is one that nobody vouched for: it must not crowd them. */
		if (lifecycle_index(s, i))
			return (-1);
	}
	if (i->exchange_token && i->status != INSTALLATION_UNCONFIRMED &&
	    marker_set(s->pending, i->record))
		return (-1);
	if (installation_save(s->installations, i))
		return (-1);
	if (i->status != INSTALLATION_UNCONFIRMED)
		marker_clear(s->unconfirmed, i->record);
	if (i->exchange_token == NULL)
		marker_clear(s->pending, i->record);
	return (0);
}

/* The record's state before this event decides whether an install still has anything to say. */
static bool
install_is_news(const struct installation *i, const struct lifecycle *e)
{
	bool repeated = same(i->install_body_sha256, e->body_sha256);

	switch (i->status) {
	case INSTALLATION_UNCONFIRMED:
		/* What nobody vouched for gives way to what somebody does. */
		return (e->trust == TRUST_DROPLET);
	case INSTALLATION_FAILED:
		/* A spent exchange token does not get better; permanent credentials do help. */
		return (e->trust != TRUST_INSTALLATION && (!repeated || e->authentication_token));
	case INSTALLATION_UNINSTALLED:
		return (e->trust == TRUST_DROPLET && !repeated && e->at > i->uninstalled_at &&
		    e->at >= i->installed_at);
	case INSTALLATION_ACTIVE:
		return (e->trust != TRUST_NONE && !repeated && e->at >= i->installed_at);
	case INSTALLATION_PENDING:
	case INSTALLATION_SUPERSEDED:
		return (e->trust == TRUST_DROPLET && !repeated && e->at >= i->installed_at);
	}
	return (false);
}

/*
 * An install that comes only after its uninstall changes nothing, but its bytes are kept in mind: when
 * they are sent once more, signed anew, it is still the same old install.
 */
static bool
install_is_late(const struct installation *i, const struct lifecycle *e)
{
	return (i->status == INSTALLATION_UNINSTALLED && i->install_body_sha256 == NULL &&
	    e->trust == TRUST_DROPLET);
}

static bool
uninstall_is_news(const struct installation *i, const struct lifecycle *e)
{
	/* An unconfirmed record's time of install is nobody's word. */
	return (e->trust != TRUST_NONE && e->at > i->uninstalled_at &&
	    (e->at >= i->installed_at || i->status == INSTALLATION_UNCONFIRMED));
}

bool
lifecycle_is_settled(struct records *records, const struct lifecycle *e,
    enum installation_status *status)
{
	const struct record *r = records_get(records, e->record);
	bool settled;

	if (r == NULL)
		return (false);
	settled = records_is_settled(records, r) && !(e->installed ?
	    install_is_news(r->installation, e) || install_is_late(r->installation, e) :
	    uninstall_is_news(r->installation, e));
	*status = r->installation->status;
	records_release(records, r);
	return (settled);
}

/* Who the installation is: set from Fluid's word, or from nobody's where nothing is known yet. */
static int
set_identity(struct installation *i, const struct lifecycle *e)
{
	if ((e->droplet_installation_uuid &&
	    installation_set(&i->droplet_installation_uuid, e->droplet_installation_uuid)) ||
	    (e->droplet_uuid && installation_set(&i->droplet_uuid, e->droplet_uuid)) ||
	    (e->fluid_shop && installation_set(&i->fluid_shop, e->fluid_shop)))
		return (-1);
	if (e->fluid_company_id) {
		if (installation_set(&i->fluid_company_id, e->fluid_company_id))
			return (-1);
		i->fluid_company_id_number = e->fluid_company_id_number;
	}
	return (0);
}

/*
 * Take the credentials over. Permanent ones replace everything. An exchange token (v2) leaves an
 * installation that works as it is, with the token kept for the worker: credentials at hand are not
 * given up for such as may never come.
 */
static int
set_credentials(struct installation *i, const struct lifecycle *e)
{
	bool works = i->status == INSTALLATION_ACTIVE && i->authentication_token;

	if (!same(i->exchange_token, e->exchange_token))
		installation_set(&i->exchange_tried_at, NULL);
	if (e->authentication_token) {
		if (installation_set(&i->authentication_token, e->authentication_token))
			return (-1);
		if ((e->webhook_verification_token || !works) &&
		    installation_set(&i->webhook_verification_token,
		    e->webhook_verification_token))
			return (-1);
		installation_drop_exchange(i);
		i->status = INSTALLATION_ACTIVE;
	} else {
		if (installation_set(&i->exchange_token, e->exchange_token) ||
		    installation_set(&i->exchange_token_expires_at, e->exchange_token_expires_at) ||
		    installation_set(&i->exchange_endpoint, e->exchange_endpoint))
			return (-1);
		if (!works)
			i->status = INSTALLATION_PENDING;
	}
	if (e->trust == TRUST_NONE)
		i->status = INSTALLATION_UNCONFIRMED;
	return (installation_set(&i->reason, NULL));
}

/* What became of the record: ERROR with errno set. NOTED: a change that is no news of the installation. */
enum change { ERROR = -1, NONE, NEWS, NOTED };

static enum change
apply_install(struct installation *i, const struct lifecycle *e, bool is_new)
{
	if (!is_new && !install_is_news(i, e) && install_is_late(i, e))
		return (installation_set(&i->install_body_sha256, e->body_sha256) ? ERROR : NOTED);
	if (is_new ? e->trust == TRUST_INSTALLATION : !install_is_news(i, e))
		return (NONE);
	if (e->trust != TRUST_INSTALLATION && set_identity(i, e))
		return (ERROR);
	if (set_credentials(i, e) || (e->name && installation_set_name(i, e->name, e->name_len)) ||
	    installation_set(&i->install_body_sha256, e->body_sha256))
		return (ERROR);
	i->installed_at = e->at;
	i->uninstalled_at = 0;
	return (NEWS);
}

/* The same for an uninstall. One of an unknown installation is kept, so that its late install stays out. */
static enum change
apply_uninstall(struct installation *i, const struct lifecycle *e, bool is_new)
{
	if (is_new ? e->trust != TRUST_DROPLET : !uninstall_is_news(i, e))
		return (NONE);
	if (is_new && set_identity(i, e))
		return (ERROR);
	i->status = INSTALLATION_UNINSTALLED;
	i->uninstalled_at = e->at;
	installation_drop_credentials(i);
	return (installation_set(&i->reason, NULL) ? ERROR : NEWS);
}

struct supersede {
	struct state *state;
	struct installation *mine;
	int error;
};

static int
supersede_record(struct state *s, struct installation *i, const struct installation *by)
{
	i->status = INSTALLATION_SUPERSEDED;
	installation_drop_credentials(i);
	if (by != i) {
		i->updated_at = by->updated_at;
		if (installation_set(&i->delivery, by->delivery))
			return (-1);
	}
	return (lifecycle_save(s, i));
}

static int
supersede_one(void *user, const char *record)
{
	struct supersede *u = user;
	struct installation *other;

	if (strcmp(record, u->mine->record) == 0)
		return (0);
	if ((other = installation_load(u->state->installations, record)) == NULL) {
		if (errno != ENOENT)
			log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", record, NULL);
		return (0);
	}
	if (same(other->droplet_uuid, u->mine->droplet_uuid) &&
	    (other->status == INSTALLATION_ACTIVE || other->status == INSTALLATION_PENDING)) {
		if (other->installed_at <= u->mine->installed_at)
			u->error = supersede_record(u->state, other, u->mine);
		else if (other->status == INSTALLATION_ACTIVE)
			u->error = supersede_record(u->state, u->mine, u->mine);
	}
	installation_free(other);
	return (u->error || u->mine->status != INSTALLATION_ACTIVE);
}

int
lifecycle_supersede(struct state *s, struct installation *i)
{
	struct supersede u = { .state = s, .mine = i };

	if (i->status != INSTALLATION_ACTIVE || i->droplet_uuid == NULL ||
	    i->fluid_company_id == NULL)
		return (0);
	if (index_each(s->companies, i->fluid_company_id, 0, supersede_one, &u))
		return (-1);
	return (u.error);
}

/* A shop or company that is not the record's any more: its old index entry goes. */
static int
leave_places(struct state *s, const struct places *was, const struct installation *i)
{
	struct places is;

	places_of(&is, i);
	if (*was->shop && strcmp(was->shop, is.shop) != 0 &&
	    index_remove(s->shops, was->shop, i->record))
		return (-1);
	if (*was->company && strcmp(was->company, is.company) != 0 &&
	    index_remove(s->companies, was->company, i->record))
		return (-1);
	return (0);
}

int
lifecycle_apply(struct state *s, struct records *records, const struct lifecycle *e,
    enum installation_status *status)
{
	struct installation *i = installation_load(s->installations, e->record);
	struct places was = { "", "" };
	bool is_new;
	enum change change;
	int result = -1;

	if (i == NULL && errno != ENOENT)
		return (-1);
	/* What nobody vouched for gives way, all of it, to what Fluid says: as if it had not been there. */
	if (i && i->status == INSTALLATION_UNCONFIRMED && e->trust == TRUST_DROPLET) {
		installation_free(i);
		i = NULL;
	}
	is_new = i == NULL;
	if (is_new) {
		if ((i = calloc(1, sizeof(*i))) == NULL)
			return (-1);
		i->status = INSTALLATION_PENDING;
		snprintf(i->record, sizeof(i->record), "%s", e->record);
	} else {
		places_of(&was, i);
	}
	change = e->installed ? apply_install(i, e, is_new) : apply_uninstall(i, e, is_new);
	if (change == ERROR)
		goto out;
	if (change == NEWS) {
		i->updated_at = e->received_at;
		if (installation_set(&i->delivery, e->delivery))
			goto out;
	}
	/* What was there before is not so for certain: whoever wrote it may have died. */
	if (change == NONE ? fsync(s->installations) :
	    lifecycle_save(s, i) || leave_places(s, &was, i))
		goto out;
	/* Also when nothing changed: a crash may have come between the record and this. */
	if (lifecycle_supersede(s, i))
		goto out;
	if (records)
		records_settle(records, e->record);
	*status = i->status;
	result = 0;
out:
	installation_free(i);
	return (result);
}

struct counting {
	struct state *state;
	unsigned waiting;
};

static int
count_waiting(void *user, const char *record)
{
	struct counting *c = user;
	struct installation *i = installation_load(c->state->installations, record);

	if (i && i->status == INSTALLATION_UNCONFIRMED)
		c->waiting++;
	else
		marker_clear(c->state->unconfirmed, record);
	installation_free(i);
	return (c->waiting >= UNCONFIRMED_MAX);
}

int
lifecycle_unsigned(struct state *s, const struct lifecycle *e, enum unsigned_verdict *verdict,
    char delivery[UUID_SIZE])
{
	struct counting c = { .state = s };
	struct installation *i = installation_load(s->installations, e->record);

	if (i == NULL && errno != ENOENT)
		return (-1);
	if (i && i->status != INSTALLATION_UNCONFIRMED && i->status != INSTALLATION_FAILED) {
		*verdict = UNSIGNED_KNOWN;
	} else if (i && i->status == INSTALLATION_UNCONFIRMED) {
		*verdict = same(i->install_body_sha256, e->body_sha256) ? UNSIGNED_AGAIN : UNSIGNED_BUSY;
		snprintf(delivery, UUID_SIZE, "%s", i->delivery ? i->delivery : "");
	} else {
		if (index_each(s->queue, "unconfirmed", 0, count_waiting, &c)) {
			installation_free(i);
			return (-1);
		}
		*verdict = c.waiting >= UNCONFIRMED_MAX ? UNSIGNED_BUSY : UNSIGNED_NEW;
	}
	installation_free(i);
	return (0);
}
