#ifndef STORE_LIFECYCLE_FLUID_H
#define STORE_LIFECYCLE_FLUID_H

#include <stdbool.h>
#include <stdint.h>

#include "store/installation.h"
#include "store/state.h"

/*
 * What Fluid's answers about an installation make of its record. The worker asks Fluid, and knows what the record
 * was when it asked.
 */

/* What Fluid says about an installation. The strings belong to the caller; NULL if Fluid does not say it. */
struct lifecycle_answer {
	const char *droplet_installation_uuid;
	const char *droplet_uuid;
	const char *fluid_company_id;
	bool fluid_company_id_number;
	const char *fluid_shop;
	bool active;
};

/** Whether there is a token that is to be exchanged. */
bool lifecycle_waits_for_exchange(const struct installation *i);

/** When the exchange token expires, unix seconds. */
int64_t lifecycle_exchange_expires(const struct installation *i);

/**
 * Whether an install that came after the one of the record `asked`, which was to be exchanged, has brought the
 * credentials at hand.
 */
bool lifecycle_has_newer_credentials(const struct installation *i,
    const struct installation *asked);

/** Whether what Fluid says about a verified installation is about this record. */
bool lifecycle_agrees(const struct installation *i, const struct lifecycle_answer *a);

enum lifecycle_confirmation {
	LIFECYCLE_CONFIRMED, /* Fluid names this droplet, this installation and this owner */
	LIFECYCLE_DENIED,    /* Fluid says otherwise */
	LIFECYCLE_UNSAID,    /* Fluid has not said all of it yet */
};

/** Compare an unconfirmed record with what Fluid says (contract section 3, the last row of evidence). */
enum lifecycle_confirmation lifecycle_compare(const struct installation *i,
    const struct lifecycle_answer *a);

/** Add what the install left unsaid and Fluid says. Returns 0, or -1: ENOMEM. */
int lifecycle_add_unsaid(struct installation *i, const struct lifecycle_answer *a);

/**
 * Set the credentials that came from an exchange. key may be NULL: then the one at hand goes on.
 * Returns 0, or -1: ENOMEM.
 */
int lifecycle_set_credentials(struct installation *i, const char *token, const char *key);

/** The record has its credentials: it is active. */
void lifecycle_activate(struct installation *i);

/**
 * What the record waits for will never come. If it works with the credentials it has, it goes on with them, and only
 * forgets the exchange; any other has failed, for this reason. Returns 0, or -1: ENOMEM.
 */
int lifecycle_fail(struct installation *i, const char *reason);

/**
 * What belongs to a record that became active and is saved: its places in the indexes, no marker without need, and
 * no older installation beside it; if a newer one is active, *i is superseded. The caller holds state_lock().
 * Returns 0, or -1 with errno set.
 */
int lifecycle_complete(struct state *s, struct installation *i);

/** Remove the record of an unsigned install. The caller holds state_lock(). Returns 0, or -1 with errno set. */
int lifecycle_remove(struct state *s, const struct installation *i);

#endif
