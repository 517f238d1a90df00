#include "worker/confirm.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "store/lifecycle_fluid.h"
#include "worker/outcome.h"

/* Seconds for which an unsigned install waits for Fluid's answer (contract section 3). */
enum { CONFIRM_PATIENCE = 86400 };

static const char denied[] = "unsigned install denied by Fluid, its record is removed";

static struct lifecycle_answer
answer_of(const struct fluid_installation *f)
{
	return ((struct lifecycle_answer){
	    .droplet_installation_uuid = f->droplet_installation_uuid,
	    .droplet_uuid = f->droplet_uuid,
	    .fluid_company_id = f->fluid_company_id,
	    .fluid_company_id_number = f->fluid_company_id_number,
	    .fluid_shop = f->fluid_shop,
	    .active = f->active,
	});
}

bool
confirm_agrees(const struct installation *i, const struct fluid_installation *f)
{
	const struct lifecycle_answer a = answer_of(f);

	return (lifecycle_agrees(i, &a));
}

enum lifecycle_confirmation
confirm_compare(const struct installation *i, const struct fluid_installation *f)
{
	const struct lifecycle_answer a = answer_of(f);

	return (lifecycle_compare(i, &a));
}

int
confirm_complete(struct installation *i, const struct fluid_installation *f)
{
	const struct lifecycle_answer a = answer_of(f);

	return (lifecycle_add_unsaid(i, &a));
}

/* What was learnt from Fluid. */
struct answers {
	struct fluid_installation f; /* of the look-up, completed by whose token it is */
	enum lifecycle_confirmation result;
	struct fluid_error e; /* for LIFECYCLE_UNSAID and LIFECYCLE_DENIED: why */
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
		a->result = LIFECYCLE_DENIED;
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

	a->result = LIFECYCLE_DENIED;
	if (i->droplet_installation_uuid == NULL) {
		fluid_error_set(&a->e, FLUID_LOCAL, "no installation uuid to ask for");
		return;
	}
	if (token_installation(&token, i->authentication_token, i->record, &a->e))
		return;
	if (installations_get(s->api, &token, i->droplet_installation_uuid, &a->f, &a->e)) {
		a->result = is_denial(&a->e) ? LIFECYCLE_DENIED : LIFECYCLE_UNSAID;
	} else if (confirm_compare(i, &a->f) == LIFECYCLE_DENIED) {
		fluid_error_set(&a->e, FLUID_REFUSED,
		    "the installation is not active, or of another "
		    "droplet or company than the install said");
	} else {
		a->result = LIFECYCLE_UNSAID;
		if (ask_owner(s, &token, a) == 0 && a->result != LIFECYCLE_DENIED &&
		    (a->result = confirm_compare(i, &a->f)) != LIFECYCLE_CONFIRMED)
			fluid_error_set(&a->e, FLUID_REFUSED,
			    a->result == LIFECYCLE_DENIED ?
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
	if (a->result == LIFECYCLE_DENIED)
		return (outcome_remove(s, i, denied, a->e.text));
	if (a->result == LIFECYCLE_CONFIRMED) {
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
