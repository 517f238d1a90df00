#include "store/lifecycle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "store/durable.h"
#include "store/index.h"
#include "store/marker.h"

static bool
same(const char *a, const char *b)
{
	return (a && b && strcmp(a, b) == 0);
}

/* Records without a droplet are all of one: the first of the configuration (contract section 2). */
static bool
same_droplet(const struct installation *a, const struct installation *b)
{
	if (a->droplet_uuid == NULL && b->droplet_uuid == NULL)
		return (true);
	return (same(a->droplet_uuid, b->droplet_uuid));
}

bool
lifecycle_is_verified(const struct installation *i)
{
	static const char unconfirmed[] = "confirmation_";

	if (i->status == INSTALLATION_UNCONFIRMED)
		return (false);
	/* Version 0.1 kept unsigned installs that Fluid denied. */
	return (i->status != INSTALLATION_FAILED || i->reason == NULL ||
	    strncmp(i->reason, unconfirmed, sizeof(unconfirmed) - 1) != 0);
}

/* Ended is what an uninstall or a newer installation has ended; a failed one still can become active. */
static bool
is_over(const struct installation *i)
{
	return (i->status == INSTALLATION_UNINSTALLED || i->status == INSTALLATION_SUPERSEDED);
}

/* The names under which the indexes would have an installation of this shop and this company. */
static void
places_of(struct lifecycle_places *p, const char *shop, const char *company)
{
	*p = (struct lifecycle_places){ "", "" };
	if (shop && name_of_shop(p->shop, shop, strlen(shop)))
		p->shop[0] = '\0';
	if (company && name_is_safe(company, strlen(company)))
		snprintf(p->company, sizeof(p->company), "%s", company);
}

void
lifecycle_places(const struct installation *i, struct lifecycle_places *p)
{
	if (lifecycle_is_verified(i) && !is_over(i))
		places_of(p, i->fluid_shop, i->fluid_company_id);
	else
		*p = (struct lifecycle_places){ "", "" };
}

int
lifecycle_index(struct state *s, const struct installation *i)
{
	struct lifecycle_places p;

	lifecycle_places(i, &p);
	if (*p.shop && index_add(s->shops, p.shop, i->record))
		return (-1);
	return (*p.company ? index_add(s->companies, p.company, i->record) : 0);
}

/* Remove the record's entries at these places where it does not belong. */
static int
leave(struct state *s, const struct installation *i, const struct lifecycle_places *was)
{
	struct lifecycle_places is;

	lifecycle_places(i, &is);
	if (*was->shop && strcmp(was->shop, is.shop) != 0 &&
	    index_remove(s->shops, was->shop, i->record))
		return (-1);
	if (*was->company && strcmp(was->company, is.company) != 0 &&
	    index_remove(s->companies, was->company, i->record))
		return (-1);
	return (0);
}

/* Remove the record's entries where it was before its end, and where it was before it moved. */
static int
leave_former(struct state *s, const struct installation *i)
{
	struct lifecycle_places ended, moved;

	places_of(&ended, i->fluid_shop, i->fluid_company_id);
	places_of(&moved, i->former_fluid_shop, i->former_fluid_company_id);
	return (leave(s, i, &ended) || leave(s, i, &moved) ? -1 : 0);
}

int
lifecycle_save(struct state *s, const struct installation *i)
{
	int result;

	if (i->status == INSTALLATION_UNCONFIRMED && marker_set(s->unconfirmed, i->record))
		return (-1);
	if (i->exchange_token && i->status != INSTALLATION_UNCONFIRMED &&
	    marker_set(s->pending, i->record))
		return (-1);
	if (lifecycle_index(s, i))
		return (-1);
	result = installation_save(s->installations, i);
	/* Also after a failure: the new record may be there, and only its directory's commit have failed. */
	glance_forget();
	if (result || leave_former(s, i))
		return (-1);
	if (i->status != INSTALLATION_UNCONFIRMED)
		marker_clear(s->unconfirmed, i->record);
	if (i->exchange_token == NULL)
		marker_clear(s->pending, i->record);
	return (0);
}

/* Negative, 0 or positive as with strcmp(). */
static int
compare_times(const struct timespec *a, const struct timespec *b)
{
	if (a->tv_sec != b->tv_sec)
		return (a->tv_sec < b->tv_sec ? -1 : 1);
	return (a->tv_nsec < b->tv_nsec ? -1 : a->tv_nsec > b->tv_nsec);
}

/*
 * The order of events is that of their signing. Within a second an uninstall is the later one, and of two
 * installs the one received later. The status of the record plays no part: what is newest is the newest,
 * whether its exchange failed or another installation superseded it.
 */
static bool
is_newest_install(const struct installation *i, const struct lifecycle_event *e)
{
	if (e->at != i->installed_at)
		return (e->at > i->installed_at);
	return (compare_times(&e->received_at, &i->install_received_at) >= 0);
}

static bool
install_is_newer(const struct installation *i, const struct lifecycle_event *e)
{
	return (e->at > i->last_uninstalled_at && is_newest_install(i, e));
}

/*
 * Whether the record has to take this install over. The same bytes are the same install, however often
 * and whenever Fluid signs them anew.
 */
static bool
install_is_news(const struct installation *i, const struct lifecycle_event *e)
{
	return (e->trust == TRUST_DROPLET && install_is_newer(i, e) &&
	    !installation_knows_install(i, e->body_sha256));
}

/* An older install changes nothing, but its bytes are remembered: they can be sent once more. */
static bool
install_is_late(const struct installation *i, const struct lifecycle_event *e)
{
	return (e->trust == TRUST_DROPLET && !install_is_newer(i, e) &&
	    !installation_knows_install(i, e->body_sha256));
}

static bool
uninstall_is_news(const struct installation *i, const struct lifecycle_event *e)
{
	return (
	    e->trust != TRUST_NONE && e->at > i->last_uninstalled_at && e->at >= i->installed_at);
}

/* An older uninstall leaves a newer install alone, but its time is noted. */
static bool
uninstall_is_late(const struct installation *i, const struct lifecycle_event *e)
{
	return (
	    e->trust != TRUST_NONE && e->at > i->last_uninstalled_at && e->at < i->installed_at);
}

/* Whether the event says nothing new. Only a droplet's secret changes a record that waits unconfirmed. */
static bool
changes_nothing(const struct installation *i, const struct lifecycle_event *e)
{
	if (i->status == INSTALLATION_UNCONFIRMED)
		return (e->trust != TRUST_DROPLET);
	if (e->installed)
		return (!install_is_news(i, e) && !install_is_late(i, e));
	return (!uninstall_is_news(i, e) && !uninstall_is_late(i, e));
}

bool
lifecycle_is_settled(struct records *records, const struct lifecycle_event *e,
    enum installation_status *status)
{
	const struct record *r = records_get(records, e->record);
	bool settled;

	if (r == NULL)
		return (false);
	settled = records_is_settled(records, r) && changes_nothing(r->installation, e);
	*status = r->installation->status;
	records_release(records, r);
	return (settled);
}

static bool
differs(const char *was, const char *is)
{
	return (was && is && strcmp(was, is) != 0);
}

/* Who the installation is. Where it was indexed before is kept, for a crash before that is removed. */
static int
set_identity(struct installation *i, const struct lifecycle_event *e)
{
	if (differs(i->fluid_shop, e->fluid_shop) &&
	    installation_set(&i->former_fluid_shop, i->fluid_shop))
		return (-1);
	if (differs(i->fluid_company_id, e->fluid_company_id) &&
	    installation_set(&i->former_fluid_company_id, i->fluid_company_id))
		return (-1);
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
 * Take the credentials over. Permanent ones replace everything. If an exchange token (v2) comes for
 * an installation that has credentials, these stay, and the token is kept for the worker: the exchange
 * may fail, and then they would be missed.
 */
static int
set_credentials(struct installation *i, const struct lifecycle_event *e)
{
	bool works = i->status == INSTALLATION_ACTIVE && i->authentication_token;

	if (!same(i->exchange_token, e->exchange_token))
		installation_set(&i->exchange_tried_at, NULL);
	if (e->authentication_token) {
		if (installation_set(&i->authentication_token, e->authentication_token))
			return (-1);
		i->credentials_installed_at = 0;
		if ((e->webhook_verification_token || !works) &&
		    installation_set(&i->webhook_verification_token, e->webhook_verification_token))
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
		else if (i->credentials_installed_at == 0)
			i->credentials_installed_at = i->installed_at;
	}
	if (e->trust == TRUST_NONE)
		i->status = INSTALLATION_UNCONFIRMED;
	return (installation_set(&i->reason, NULL));
}

/* What became of the record: ERROR with errno set. NOTED: a change that is no news of the installation. */
enum change { ERROR = -1, NONE, NEWS, NOTED };

static enum change
apply_install(struct installation *i, const struct lifecycle_event *e, bool is_new)
{
	bool is_news = is_new || install_is_news(i, e);

	if (is_new ? e->trust == TRUST_INSTALLATION : changes_nothing(i, e))
		return (NONE);
	if (installation_note_install(i, e->body_sha256))
		return (ERROR);
	if (!is_news && !is_newest_install(i, e))
		return (NOTED);
	if (set_identity(i, e) || (e->name && installation_set_name(i, e->name, e->name_len)) ||
	    (is_news && set_credentials(i, e)))
		return (ERROR);
	i->installed_at = e->at;
	i->install_received_at = e->received_at;
	/* Its uninstall came first: it only tells what was uninstalled. */
	if (!is_news)
		return (NOTED);
	i->uninstalled_at = 0;
	return (NEWS);
}

/*
 * The credentials that an installation has are those of an older install while it waits for the exchange
 * of a newer one, or when that failed. An uninstall between the two has ended them.
 */
static bool
ends_credentials(const struct installation *i, const struct lifecycle_event *e)
{
	return (i->status == INSTALLATION_ACTIVE && i->credentials_installed_at &&
	    e->at >= i->credentials_installed_at);
}

static enum change
end_credentials(struct installation *i)
{
	installation_set(&i->authentication_token, NULL);
	installation_set(&i->webhook_verification_token, NULL);
	installation_set(&i->subscription_auth_token, NULL);
	i->credentials_installed_at = 0;
	i->status = i->exchange_token ? INSTALLATION_PENDING : INSTALLATION_FAILED;
	return (installation_set(&i->reason, i->exchange_token ? NULL : "credentials_ended") ?
		ERROR :
		NOTED);
}

/* The same for an uninstall. One of an unknown installation is kept, so that its late install stays out. */
static enum change
apply_uninstall(struct installation *i, const struct lifecycle_event *e, bool is_new)
{
	bool is_news = is_new || uninstall_is_news(i, e);

	if (is_new ? e->trust != TRUST_DROPLET : changes_nothing(i, e))
		return (NONE);
	if (is_new && set_identity(i, e))
		return (ERROR);
	i->last_uninstalled_at = e->at;
	if (!is_news)
		return (ends_credentials(i, e) ? end_credentials(i) : NOTED);
	i->status = INSTALLATION_UNINSTALLED;
	i->uninstalled_at = e->at;
	installation_drop_credentials(i);
	return (installation_set(&i->reason, NULL) ? ERROR : NEWS);
}

/* The other installations of the same droplet for the same company that `mine` ends, being active. */
struct rivals {
	struct state *state;
	const struct installation *mine;
	struct installation **older;
	size_t n;
	bool outdone; /* a newer one is active */
	bool failed;  /* with errno set */
};

/* Whether the installation a was installed after b. */
static bool
is_installed_after(const struct installation *a, const struct installation *b)
{
	if (a->installed_at != b->installed_at)
		return (a->installed_at > b->installed_at);
	return (compare_times(&a->install_received_at, &b->install_received_at) > 0);
}

/* Takes `other` over. Returns 0, or -1: ENOMEM. */
static int
add_older(struct rivals *r, struct installation *other)
{
	struct installation **more = reallocarray(r->older, r->n + 1, sizeof(*more));

	if (more == NULL) {
		installation_free(other);
		return (-1);
	}
	r->older = more;
	r->older[r->n++] = other;
	return (0);
}

static int
look_at_rival(void *user, const char *record)
{
	struct rivals *r = user;
	const char *company = r->mine->fluid_company_id;
	struct installation *other;
	struct lifecycle_places p = { "", "" };

	if (strcmp(record, r->mine->record) == 0)
		return (0);
	if ((other = installation_load(r->state->installations, record)) == NULL &&
	    errno != ENOENT) {
		log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", record, NULL);
		r->failed = true;
		return (1);
	}
	if (other)
		lifecycle_places(other, &p);
	if (strcmp(p.company, company) != 0) {
		/* What a crash left: no record belongs here. */
		r->failed = index_remove(r->state->companies, company, record) != 0;
	} else if (same_droplet(other, r->mine)) {
		if (!is_installed_after(other, r->mine)) {
			r->failed = add_older(r, other) != 0;
			return (r->failed);
		}
		if (other->status == INSTALLATION_ACTIVE)
			r->outdone = true;
	}
	installation_free(other);
	return (r->failed || r->outdone);
}

/* Read them all, before anything is changed. Returns 0, or -1 with errno set. */
static int
find_rivals(struct rivals *r)
{
	const struct installation *i = r->mine;

	if (i->status != INSTALLATION_ACTIVE || i->fluid_company_id == NULL ||
	    !name_is_safe(i->fluid_company_id, strlen(i->fluid_company_id)))
		return (0);
	/* Rivals may be missing in an index that was lost in part. It is built again soon. */
	if (!index_is_complete(r->state)) {
		errno = EAGAIN;
		return (-1);
	}
	if (index_each(r->state->companies, i->fluid_company_id, 0, look_at_rival, r))
		return (-1);
	return (r->failed ? -1 : 0);
}

static void
free_rivals(struct rivals *r)
{
	int saved = errno;

	for (size_t n = 0; n < r->n; n++)
		installation_free(r->older[n]);
	free(r->older);
	errno = saved;
}

static int
end_rivals(struct rivals *r)
{
	for (size_t n = 0; n < r->n && !r->outdone; n++) {
		struct installation *i = r->older[n];

		i->status = INSTALLATION_SUPERSEDED;
		i->updated_at = r->mine->updated_at;
		installation_drop_credentials(i);
		if (installation_set(&i->reason, NULL) ||
		    installation_set(&i->delivery, r->mine->delivery) ||
		    lifecycle_save(r->state, i))
			return (-1);
	}
	return (0);
}

/* Save `i`, and what it supersedes. changed: there is something to save in `i` itself. */
static int
save_superseding(struct state *s, struct installation *i, bool changed)
{
	struct rivals r = { .state = s, .mine = i };
	int result = -1;

	if (find_rivals(&r))
		goto out;
	if (r.outdone) {
		i->status = INSTALLATION_SUPERSEDED;
		installation_drop_credentials(i);
		changed = true;
	}
	if (changed && lifecycle_save(s, i))
		goto out;
	result = end_rivals(&r);
out:
	free_rivals(&r);
	return (result);
}

int
lifecycle_supersede(struct state *s, struct installation *i)
{
	return (save_superseding(s, i, false));
}

/* What an unverified record says of its droplet means nothing. */
static bool
is_foreign(const struct installation *i, const struct lifecycle_event *e)
{
	if (e->trust != TRUST_DROPLET || e->authority == NULL || !lifecycle_is_verified(i))
		return (false);
	return (i->droplet_uuid ? !same(i->droplet_uuid, e->authority) : !e->owns_unnamed);
}

int
lifecycle_is_foreign(struct state *s, const struct lifecycle_event *e)
{
	struct installation *i = installation_load(s->installations, e->record);
	bool foreign;

	if (i == NULL)
		return (errno == ENOENT ? 0 : -1);
	foreign = is_foreign(i, e);
	installation_free(i);
	return (foreign ? LIFECYCLE_FOREIGN : 0);
}

int
lifecycle_apply(struct state *s, struct records *records, const struct lifecycle_event *e,
    enum installation_status *status)
{
	struct installation *i = installation_load(s->installations, e->record);
	bool is_new;
	enum change change;
	int result = -1;

	if (i == NULL && errno != ENOENT)
		return (-1);
	if (i && is_foreign(i, e)) {
		installation_free(i);
		return (LIFECYCLE_FOREIGN);
	}
	/* An unverified record gives way to what Fluid says, as if it had not been there. */
	if (i && !lifecycle_is_verified(i) &&
	    (e->trust == TRUST_DROPLET || i->status == INSTALLATION_FAILED)) {
		installation_free(i);
		i = NULL;
	}
	is_new = i == NULL;
	if (is_new) {
		if ((i = installation_new(e->record)) == NULL)
			return (-1);
		i->status = INSTALLATION_PENDING;
	} else if (leave_former(s, i)) {
		/* First, so that where it was before the last move need not be remembered any longer. */
		goto out;
	}
	change = e->installed ? apply_install(i, e, is_new) : apply_uninstall(i, e, is_new);
	if (change == ERROR)
		goto out;
	if (change == NEWS) {
		i->updated_at = e->received_at;
		if (installation_set(&i->delivery, e->delivery))
			goto out;
	}
	/* Nothing to change, but it may not be durable: the process that wrote it may have died. */
	if (change == NONE && !is_new &&
	    (lifecycle_index(s, i) || sync_directory(s->installations)))
		goto out;
	/* Also when nothing changed: a crash may have come before this was done. */
	if (save_superseding(s, i, change != NONE))
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

	/* A record that cannot be read may well wait. */
	if (i ? i->status == INSTALLATION_UNCONFIRMED : errno != ENOENT)
		c->waiting++;
	else
		marker_clear(c->state->unconfirmed, record);
	installation_free(i);
	return (c->waiting >= UNCONFIRMED_MAX);
}

int
lifecycle_unsigned(struct state *s, const struct lifecycle_event *e, enum unsigned_verdict *verdict,
    char delivery[UUID_SIZE])
{
	struct counting c = { .state = s };
	struct installation *i = installation_load(s->installations, e->record);

	if (i == NULL && errno != ENOENT)
		return (-1);
	if (i && lifecycle_is_verified(i)) {
		*verdict = UNSIGNED_KNOWN;
	} else if (i && i->status == INSTALLATION_UNCONFIRMED) {
		*verdict = installation_knows_install(i, e->body_sha256) ? UNSIGNED_AGAIN :
									   UNSIGNED_BUSY;
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
