#ifndef STORE_LIFECYCLE_H
#define STORE_LIFECYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "store/installation.h"
#include "store/records.h"
#include "store/state.h"

/* Installs and uninstalls applied to installation records: idempotent, and in the order signed. */

/* At most this many records wait for confirmation at once (contract section 3). */
enum { UNCONFIRMED_MAX = 100 };

/* Who says so, which decides what may change. */
enum lifecycle_trust {
	TRUST_DROPLET,      /* Fluid, for the droplet: everything */
	TRUST_INSTALLATION, /* the installation itself: its own uninstall */
	TRUST_NONE,         /* unverified: an unconfirmed record */
};

/* What an install or uninstall says. The strings belong to the caller; NULL where nothing is said. */
struct lifecycle_event {
	bool installed; /* else uninstalled */
	enum lifecycle_trust trust;
	/*
	 * TRUST_DROPLET: the droplet whose secret it was; NULL has authority over every record. owns_unnamed:
	 * also over records that name no droplet.
	 */
	const char *authority;
	bool owns_unnamed;
	const char *record; /* the record's name */
	const char *droplet_installation_uuid;
	const char *droplet_uuid;
	const char *fluid_company_id;
	bool fluid_company_id_number;
	const char *fluid_shop;
	const char *name; /* name_len bytes */
	size_t name_len;
	const char *authentication_token;
	const char *webhook_verification_token;
	const char *exchange_token;
	const char *exchange_token_expires_at;
	const char *exchange_endpoint;
	int64_t at; /* when it was signed, unix seconds */
	struct timespec received_at;
	const char *delivery;
	const char *body_sha256; /* hexadecimal; the same bytes are the same delivery */
};

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

/** Where the indexes have a record: the names of its directories in shops/ and companies/, "" for none. */
struct lifecycle_places {
	char shop[NAME_SIZE];
	char company[NAME_SIZE];
};

/**
 * Where a record belongs, and the only place that decides it: every verified record that is not over,
 * in the directories of its shop and its company (contract section 4).
 */
void lifecycle_places(const struct installation *i, struct lifecycle_places *p);

/** Whether a verified delivery, or Fluid, made this record. */
bool lifecycle_is_verified(const struct installation *i);

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
