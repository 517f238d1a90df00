#include "store/lifecycle_rules.h"

#include <stdio.h>
#include <string.h>

static bool
same(const char *a, const char *b)
{
	return (a && b && strcmp(a, b) == 0);
}

bool
lifecycle_same_droplet(const struct installation *a, const struct installation *b)
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

bool
lifecycle_is_over(const struct installation *i)
{
	return (i->status == INSTALLATION_UNINSTALLED || i->status == INSTALLATION_SUPERSEDED);
}

void
lifecycle_places_of(struct lifecycle_places *p, const char *shop, const char *company)
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
	if (lifecycle_is_verified(i) && !lifecycle_is_over(i))
		lifecycle_places_of(p, i->fluid_shop, i->fluid_company_id);
	else
		*p = (struct lifecycle_places){ "", "" };
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

bool
lifecycle_changes_nothing(const struct installation *i, const struct lifecycle_event *e)
{
	if (i->status == INSTALLATION_UNCONFIRMED)
		return (e->trust != TRUST_DROPLET);
	if (e->installed)
		return (!install_is_news(i, e) && !install_is_late(i, e));
	return (!uninstall_is_news(i, e) && !uninstall_is_late(i, e));
}

bool
lifecycle_is_later(const struct installation *a, const struct installation *b)
{
	if (a->installed_at != b->installed_at)
		return (a->installed_at > b->installed_at);
	return (compare_times(&a->install_received_at, &b->install_received_at) > 0);
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

static enum lifecycle_change
apply_install(struct installation *i, const struct lifecycle_event *e, bool is_new)
{
	bool is_news = is_new || install_is_news(i, e);

	if (is_new ? e->trust == TRUST_INSTALLATION : lifecycle_changes_nothing(i, e))
		return (LIFECYCLE_NONE);
	if (installation_note_install(i, e->body_sha256))
		return (LIFECYCLE_ERROR);
	if (!is_news && !is_newest_install(i, e))
		return (LIFECYCLE_NOTED);
	if (set_identity(i, e) || (e->name && installation_set_name(i, e->name, e->name_len)) ||
	    (is_news && set_credentials(i, e)))
		return (LIFECYCLE_ERROR);
	i->installed_at = e->at;
	i->install_received_at = e->received_at;
	/* Its uninstall came first: it only tells what was uninstalled. */
	if (!is_news)
		return (LIFECYCLE_NOTED);
	i->uninstalled_at = 0;
	return (LIFECYCLE_NEWS);
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

static enum lifecycle_change
end_credentials(struct installation *i)
{
	installation_set(&i->authentication_token, NULL);
	installation_set(&i->webhook_verification_token, NULL);
	installation_set(&i->subscription_auth_token, NULL);
	i->credentials_installed_at = 0;
	i->status = i->exchange_token ? INSTALLATION_PENDING : INSTALLATION_FAILED;
	return (installation_set(&i->reason, i->exchange_token ? NULL : "credentials_ended") ?
		LIFECYCLE_ERROR :
		LIFECYCLE_NOTED);
}

/* The same for an uninstall. One of an unknown installation is kept, so that its late install stays out. */
static enum lifecycle_change
apply_uninstall(struct installation *i, const struct lifecycle_event *e, bool is_new)
{
	bool is_news = is_new || uninstall_is_news(i, e);

	if (is_new ? e->trust != TRUST_DROPLET : lifecycle_changes_nothing(i, e))
		return (LIFECYCLE_NONE);
	if (is_new && set_identity(i, e))
		return (LIFECYCLE_ERROR);
	i->last_uninstalled_at = e->at;
	if (!is_news)
		return (ends_credentials(i, e) ? end_credentials(i) : LIFECYCLE_NOTED);
	i->status = INSTALLATION_UNINSTALLED;
	i->uninstalled_at = e->at;
	installation_drop_credentials(i);
	return (installation_set(&i->reason, NULL) ? LIFECYCLE_ERROR : LIFECYCLE_NEWS);
}

bool
lifecycle_is_beyond(const struct installation *i, const struct lifecycle_event *e)
{
	if (e->trust != TRUST_DROPLET || e->authority == NULL || !lifecycle_is_verified(i))
		return (false);
	return (i->droplet_uuid ? !same(i->droplet_uuid, e->authority) : !e->owns_unnamed);
}

enum lifecycle_change
lifecycle_change(struct installation *i, const struct lifecycle_event *e, bool is_new)
{
	enum lifecycle_change change = e->installed ? apply_install(i, e, is_new) :
						      apply_uninstall(i, e, is_new);

	if (change == LIFECYCLE_NEWS) {
		i->updated_at = e->received_at;
		if (installation_set(&i->delivery, e->delivery))
			return (LIFECYCLE_ERROR);
	}
	return (change);
}

int
lifecycle_end_superseded(struct installation *i, const struct installation *by)
{
	i->status = INSTALLATION_SUPERSEDED;
	i->updated_at = by->updated_at;
	installation_drop_credentials(i);
	return (installation_set(&i->reason, NULL) || installation_set(&i->delivery, by->delivery) ?
		-1 :
		0);
}
