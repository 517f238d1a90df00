#ifndef STORE_LIFECYCLE_H
#define STORE_LIFECYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "store/lifecycle_rules.h"
#include "store/records.h"
#include "store/state.h"

/* Installs and uninstalls applied to installation records: idempotent, and in the order signed. */

/* At most this many records wait for confirmation at once (contract section 3). */
enum { UNCONFIRMED_MAX = 100 };

/* The record belongs to a droplet over which the event's key has no authority. */
enum { LIFECYCLE_FOREIGN = 1 };

/**
 * Whether the record, as it is now, is beyond the authority of the event's key. The caller holds
 * state_lock(). Returns 0, LIFECYCLE_FOREIGN, or -1 with errno set.
 */
int lifecycle_is_foreign(struct state *s, const struct lifecycle_event *e);

/**
 * Apply it to the record. The caller holds state_lock(). records may be NULL (nothing is cached).
 * *status is what the record says then. An event that is older than what the record knows, or that
 * was applied before, changes nothing.
 * Returns 0 with everything on stable storage; LIFECYCLE_FOREIGN with nothing changed; or -1 with errno
 * set, and applying it again then completes what was begun.
 */
int lifecycle_apply(struct state *s, struct records *records, const struct lifecycle_event *e,
    enum installation_status *status);

/**
 * The same for a caller that does not hold state_lock(): events of several threads that come at about the same
 * time are applied one after the other, and brought to stable storage together.
 */
int lifecycle_apply_shared(struct state *s, struct records *records,
    const struct lifecycle_event *e, enum installation_status *status);

enum lifecycle_imported { LIFECYCLE_UNCHANGED, LIFECYCLE_ADDED, LIFECYCLE_UPDATED };

/**
 * Apply what another program knows of an installation: its install and, unless `ended` is NULL, its uninstall, both
 * of TRUST_DROPLET. A crash leaves the record with both or with neither. The same order decides as of deliveries.
 * A record that is active with the same credentials is left as it is. The caller holds state_lock().
 * Returns as lifecycle_apply().
 */
int lifecycle_import(struct state *s, const struct lifecycle_event *install,
    const struct lifecycle_event *ended, enum lifecycle_imported *done);

/**
 * Whether the event changes nothing and all it says is known to be done, so that it need not be
 * applied. *status is then what the record says. Needs no lock.
 */
bool lifecycle_is_settled(struct records *records, const struct lifecycle_event *e,
    enum installation_status *status);

enum unsigned_verdict {
	UNSIGNED_NEW,   /* store it */
	UNSIGNED_AGAIN, /* the very same one waits already; `delivery` is its id */
	UNSIGNED_BUSY,  /* another one waits under this name, or too many wait at all */
	UNSIGNED_KNOWN, /* the installation is known: an unsigned word about it counts nothing */
};

/**
 * Whether an unsigned install (trust TRUST_NONE) can be taken. The caller holds state_lock() and keeps
 * it until the install is applied. Returns 0, or -1 with errno set.
 */
int lifecycle_unsigned(struct state *s, const struct lifecycle_event *e,
    enum unsigned_verdict *verdict, char delivery[UUID_SIZE]);

/**
 * Save a record. Its index entries and markers are there before the record says so, and entries that it
 * has left are removed after. The caller holds state_lock(). Returns 0, or -1 with errno set.
 */
int lifecycle_save(struct state *s, const struct installation *i);

/** Make the index entries of a record, where it belongs in any. Returns 0, or -1 with errno set. */
int lifecycle_index(struct state *s, const struct installation *i);

/**
 * Make other installations of the same droplet for the same company `superseded` where `i`, which is
 * active, is newer; or make `i` itself so where another active one is newer. Saves what it changes.
 * Where one of them cannot be read, nothing is changed.
 * The caller holds state_lock(). For the worker as well, when an exchange has made `i` active.
 * Returns 0, or -1 with errno set.
 */
int lifecycle_supersede(struct state *s, struct installation *i);

#endif
