#include "store/lifecycle_fluid.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/timefmt.h"
#include "store/durable.h"
#include "store/glance.h"
#include "store/lifecycle.h"
#include "store/marker.h"

/* Seconds that an exchange token lives if no expiry was said (fluid-wire, "Exchange"). */
enum { TOKEN_LIFE = 600 };

bool
lifecycle_waits_for_exchange(const struct installation *i)
{
	return (i->exchange_token &&
	    (i->status == INSTALLATION_PENDING || i->status == INSTALLATION_ACTIVE ||
		(i->status == INSTALLATION_UNCONFIRMED && i->authentication_token == NULL)));
}

int64_t
lifecycle_exchange_expires(const struct installation *i)
{
	struct timespec t;

	if (i->exchange_token_expires_at && timefmt_parse(i->exchange_token_expires_at, &t) == 0)
		return (t.tv_sec);
	return (i->installed_at + TOKEN_LIFE);
}

bool
lifecycle_has_newer_credentials(const struct installation *i, const struct installation *asked)
{
	return (i->status == INSTALLATION_ACTIVE &&
	    (i->exchange_token == NULL || i->credentials_installed_at > asked->installed_at));
}

static bool
same_or_unsaid(const char *a, const char *b)
{
	return (a == NULL || b == NULL || strcmp(a, b) == 0);
}

bool
lifecycle_agrees(const struct installation *i, const struct lifecycle_answer *a)
{
	return (a->active &&
	    same_or_unsaid(i->droplet_installation_uuid, a->droplet_installation_uuid) &&
	    same_or_unsaid(i->droplet_uuid, a->droplet_uuid) &&
	    same_or_unsaid(i->fluid_company_id, a->fluid_company_id));
}

/* What the body does not say cannot be contradicted; what Fluid does not say confirms nothing. */
static enum lifecycle_confirmation
compare(const char *body, const char *fluid)
{
	if (fluid == NULL)
		return (LIFECYCLE_UNSAID);
	return (body == NULL || strcmp(body, fluid) == 0 ? LIFECYCLE_CONFIRMED : LIFECYCLE_DENIED);
}

/* A shop is the same with and without its domain, in any case. */
static enum lifecycle_confirmation
compare_shop(const char *body, const char *fluid)
{
	char a[NAME_SIZE], b[NAME_SIZE];
	bool is_same;

	if (body == NULL)
		return (LIFECYCLE_CONFIRMED);
	if (fluid == NULL)
		return (LIFECYCLE_UNSAID);
	if (name_of_shop(a, body, strlen(body)) || name_of_shop(b, fluid, strlen(fluid)))
		is_same = strcasecmp(body, fluid) == 0;
	else
		is_same = strcmp(a, b) == 0;
	return (is_same ? LIFECYCLE_CONFIRMED : LIFECYCLE_DENIED);
}

enum lifecycle_confirmation
lifecycle_compare(const struct installation *i, const struct lifecycle_answer *a)
{
	const enum lifecycle_confirmation all[] = {
		compare(i->droplet_installation_uuid, a->droplet_installation_uuid),
		compare(i->droplet_uuid, a->droplet_uuid),
		compare(i->fluid_company_id, a->fluid_company_id),
		compare_shop(i->fluid_shop, a->fluid_shop),
	};
	enum lifecycle_confirmation result = LIFECYCLE_CONFIRMED;

	if (!a->active)
		return (LIFECYCLE_DENIED);
	for (size_t n = 0; n < sizeof(all) / sizeof(all[0]); n++) {
		if (all[n] == LIFECYCLE_DENIED)
			return (LIFECYCLE_DENIED);
		if (all[n] == LIFECYCLE_UNSAID)
			result = LIFECYCLE_UNSAID;
	}
	return (result);
}

int
lifecycle_add_unsaid(struct installation *i, const struct lifecycle_answer *a)
{
	/* A verified record without one goes by its company, also for its uninstall. */
	if ((i->status == INSTALLATION_UNCONFIRMED && i->droplet_installation_uuid == NULL &&
		installation_set(&i->droplet_installation_uuid, a->droplet_installation_uuid)) ||
	    (i->droplet_uuid == NULL && installation_set(&i->droplet_uuid, a->droplet_uuid)) ||
	    (i->fluid_shop == NULL && installation_set(&i->fluid_shop, a->fluid_shop)))
		return (-1);
	if (i->fluid_company_id == NULL) {
		if (installation_set(&i->fluid_company_id, a->fluid_company_id))
			return (-1);
		i->fluid_company_id_number = a->fluid_company_id_number;
	}
	return (0);
}

int
lifecycle_set_credentials(struct installation *i, const char *token, const char *key)
{
	if (installation_set(&i->authentication_token, token))
		return (-1);
	return (key ? installation_set(&i->webhook_verification_token, key) : 0);
}

void
lifecycle_activate(struct installation *i)
{
	i->status = INSTALLATION_ACTIVE;
	installation_set(&i->reason, NULL);
}

int
lifecycle_fail(struct installation *i, const char *reason)
{
	if (i->status == INSTALLATION_ACTIVE) {
		installation_drop_exchange(i);
		return (0);
	}
	i->status = INSTALLATION_FAILED;
	installation_drop_credentials(i);
	return (installation_set(&i->reason, reason));
}

int
lifecycle_complete(struct state *s, struct installation *i)
{
	if (lifecycle_index(s, i) || lifecycle_supersede(s, i))
		return (-1);
	marker_clear(s->unconfirmed, i->record);
	if (i->exchange_token == NULL)
		marker_clear(s->pending, i->record);
	return (0);
}

int
lifecycle_remove(struct state *s, const struct installation *i)
{
	char file[NAME_SIZE + 8];

	snprintf(file, sizeof(file), "%s.json", i->record);
	if (unlinkat(s->installations, file, 0) && errno != ENOENT)
		return (-1);
	glance_forget();
	if (sync_directory(s->installations))
		return (-1);
	marker_clear(s->unconfirmed, i->record);
	return (0);
}
