#include "worker/confirm.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/log.h"
#include "worker/outcome.h"

/* Seconds for which an unsigned install waits for Fluid's answer (contract section 3). */
enum { CONFIRM_PATIENCE = 86400 };

static const char denied[] = "unsigned install denied by Fluid, its record is removed";

/* What is not said in the body cannot be contradicted; what Fluid does not say confirms nothing. */
static enum confirmation
compare(const char *body, const char *fluid)
{
	if (fluid == NULL)
		return (UNSAID);
	return (body == NULL || strcmp(body, fluid) == 0 ? CONFIRMED : DENIED);
}

/* A shop is the same with and without its domain, in any case. */
static enum confirmation
compare_shop(const char *body, const char *fluid)
{
	char a[NAME_SIZE], b[NAME_SIZE];

	if (body == NULL)
		return (CONFIRMED);
	if (fluid == NULL)
		return (UNSAID);
	if (name_of_shop(a, body, strlen(body)) || name_of_shop(b, fluid, strlen(fluid)))
		return (strcasecmp(body, fluid) == 0 ? CONFIRMED : DENIED);
	return (strcmp(a, b) == 0 ? CONFIRMED : DENIED);
}

enum confirmation
confirm_compare(const struct installation *i, const struct fluid_installation *f)
{
	const enum confirmation all[] = {
		compare(i->droplet_installation_uuid, f->droplet_installation_uuid),
		compare(i->droplet_uuid, f->droplet_uuid),
		compare(i->fluid_company_id, f->fluid_company_id),
		compare_shop(i->fluid_shop, f->fluid_shop),
	};
	enum confirmation result = CONFIRMED;

	if (!f->active)
		return (DENIED);
	for (size_t n = 0; n < sizeof(all) / sizeof(all[0]); n++) {
		if (all[n] == DENIED)
			return (DENIED);
		if (all[n] == UNSAID)
			result = UNSAID;
	}
	return (result);
}

int
confirm_complete(struct installation *i, const struct fluid_installation *f)
{
	/* A verified record without one goes by its company, also for its uninstall. */
	if ((i->status == INSTALLATION_UNCONFIRMED && i->droplet_installation_uuid == NULL &&
		installation_set(&i->droplet_installation_uuid, f->droplet_installation_uuid)) ||
	    (i->droplet_uuid == NULL && installation_set(&i->droplet_uuid, f->droplet_uuid)) ||
	    (i->fluid_shop == NULL && installation_set(&i->fluid_shop, f->fluid_shop)))
		return (-1);
	if (i->fluid_company_id == NULL) {
		if (installation_set(&i->fluid_company_id, f->fluid_company_id))
			return (-1);
		i->fluid_company_id_number = f->fluid_company_id_number;
	}
	return (0);
}

/* What was learnt from Fluid. */
struct answers {
	struct fluid_installation f; /* of the look-up, completed by whose token it is */
	enum confirmation result;
	struct fluid_error e; /* for UNSAID and DENIED: why */
};

/* Whether Fluid itself says that it knows no such installation, or no such token. */
static bool
is_denial(const struct fluid_error *e)
{
	/* An answer about another installation. */
	if (e->failure == FLUID_REFUSED && e->status >= 200 && e->status < 300)
		return (true);
	return (e->failure == FLUID_REFUSED && e->is_fluids &&
	    (e->status == 401 || e->status == 404 || e->status == 410));
}

/* Ask whose token it is, where the look-up has not said all of it. Returns 0, or -1 with the error set. */
static int
ask_owner(const struct resolving *s, const struct fluid_token *token, struct answers *a)
{
	struct fluid_installation owner;

	if (a->f.fluid_company_id && a->f.fluid_shop)
		return (0);
	if (installations_owner(s->api, token, &owner, &a->e))
		return (-1);
	if (a->f.fluid_company_id && owner.fluid_company_id &&
	    strcmp(a->f.fluid_company_id, owner.fluid_company_id) != 0) {
		fluid_error_set(&a->e, FLUID_REFUSED,
		    "the token is of another company than the installation");
		a->result = DENIED;
	}
	if (a->f.fluid_company_id == NULL) {
		a->f.fluid_company_id = owner.fluid_company_id;
		a->f.fluid_company_id_number = owner.fluid_company_id_number;
		owner.fluid_company_id = NULL;
	}
	if (a->f.fluid_shop == NULL) {
		a->f.fluid_shop = owner.fluid_shop;
		owner.fluid_shop = NULL;
	}
	fluid_installation_free(&owner);
	return (0);
}

static void
ask(const struct resolving *s, const struct installation *i, struct answers *a)
{
	struct fluid_token token = { 0 };

	a->result = DENIED;
	if (i->droplet_installation_uuid == NULL) {
		fluid_error_set(&a->e, FLUID_LOCAL, "no installation uuid to ask for");
		return;
	}
	if (token_installation(&token, i->authentication_token, i->record, &a->e))
		return;
	if (installations_get(s->api, &token, i->droplet_installation_uuid, &a->f, &a->e)) {
		a->result = is_denial(&a->e) ? DENIED : UNSAID;
	} else if (confirm_compare(i, &a->f) == DENIED) {
		fluid_error_set(&a->e, FLUID_REFUSED,
		    "the installation is not active, or of another "
		    "droplet or company than the install said");
	} else {
		a->result = UNSAID;
		if (ask_owner(s, &token, a) == 0 && a->result != DENIED &&
		    (a->result = confirm_compare(i, &a->f)) != CONFIRMED)
			fluid_error_set(&a->e, FLUID_REFUSED,
			    a->result == DENIED ?
				"the token is of another company or shop than the install said" :
				"Fluid does not say of which droplet, company and shop it is");
	}
	token_free(&token);
}

/* What Fluid said, for the record as it is now. The caller holds the lock. */
static enum resolved
on_answers(const struct resolving *s, struct installation *i, const struct installation *asked,
    const struct answers *a)
{
	if (i->status != INSTALLATION_UNCONFIRMED)
		return (RESOLVE_NOTHING);
	/* The answer is about the token that was sent, and about no other. */
	if (asked->authentication_token &&
	    (i->authentication_token == NULL ||
		strcmp(asked->authentication_token, i->authentication_token) != 0))
		return (RESOLVE_LATER);
	if (a->result == DENIED)
		return (outcome_remove(s, i, denied, a->e.text));
	if (a->result == CONFIRMED) {
		if (confirm_complete(i, &a->f) || outcome_note_active(s, i->record))
			return (RESOLVE_LATER);
		return (outcome_active(s, i));
	}
	if (time(NULL) - i->installed_at > CONFIRM_PATIENCE)
		return (outcome_remove(s, i,
		    "unsigned install not confirmed in a day, its record is "
		    "removed",
		    a->e.text));
	log_line(LOG_LEVEL_WARN, "confirmation to be tried again", "installation", i->record, "why",
	    a->e.text, NULL);
	return (RESOLVE_LATER);
}

enum resolved
confirm_record(const struct resolving *s, struct installation *asked)
{
	struct answers a = { .f = { 0 } };
	enum resolved resolved = RESOLVE_LATER;
	struct installation *i = NULL;

	ask(s, asked, &a);
	if (state_lock(s->state) == 0) {
		if ((resolved = outcome_load(s, asked->record, &i)) == RESOLVED)
			resolved = on_answers(s, i, asked, &a);
		state_unlock(s->state);
	}
	fluid_installation_free(&a.f);
	installation_free(asked);
	installation_free(i);
	return (resolved);
}
