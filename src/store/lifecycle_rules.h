#ifndef STORE_LIFECYCLE_RULES_H
#define STORE_LIFECYCLE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "store/installation.h"

/*
 * What installs, uninstalls and Fluid's answers make of an installation record. Nothing here reads or writes
 * a file: store/lifecycle.h and the worker do.
 */

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

/** Whether a verified delivery, or Fluid, made this record. */
bool lifecycle_is_verified(const struct installation *i);

/** Whether an uninstall or a newer installation has ended it. A failed one still can become active. */
bool lifecycle_is_over(const struct installation *i);

/** Records without a droplet are all of one: the first of the configuration (contract section 2). */
bool lifecycle_same_droplet(const struct installation *a, const struct installation *b);

/** Whether the installation a was installed after b. */
bool lifecycle_is_later(const struct installation *a, const struct installation *b);

/**
 * Whether a verified record is beyond the authority of the event's key. What an unverified record says of its
 * droplet means nothing.
 */
bool lifecycle_is_beyond(const struct installation *i, const struct lifecycle_event *e);

/** Whether the event says nothing new. Only a droplet's secret changes a record that waits unconfirmed. */
bool lifecycle_changes_nothing(const struct installation *i, const struct lifecycle_event *e);

enum lifecycle_change {
	LIFECYCLE_ERROR = -1, /* ENOMEM; the record is not to be saved */
	LIFECYCLE_NONE,
	LIFECYCLE_NEWS,
	LIFECYCLE_NOTED, /* it has changed, but that is no news of the installation */
};

/** Change a record by an event. is_new: nothing was known of the installation. */
enum lifecycle_change lifecycle_change(struct installation *i, const struct lifecycle_event *e,
    bool is_new);

/** A newer installation, which is active, has ended this one. Returns 0, or -1: ENOMEM. */
int lifecycle_end_superseded(struct installation *i, const struct installation *by);

/* Where the indexes have a record: the names of its directories in shops/ and companies/, "" for none. */
struct lifecycle_places {
	char shop[NAME_SIZE];
	char company[NAME_SIZE];
};

/**
 * Where a record belongs, and the only place that decides it: every verified record that is not over,
 * in the directories of its shop and its company (contract section 4).
 */
void lifecycle_places(const struct installation *i, struct lifecycle_places *p);

/** The same for an installation that is not over, of this shop and this company (NULL: none is known). */
void lifecycle_places_of(struct lifecycle_places *p, const char *shop, const char *company);

#endif
