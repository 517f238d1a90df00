#ifndef STORE_INSTALLATION_H
#define STORE_INSTALLATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/uuid.h"
#include "store/name.h"

/* An installation record: installations/<name>.json (contract section 4). */

enum installation_status {
	INSTALLATION_ACTIVE, INSTALLATION_PENDING, INSTALLATION_UNCONFIRMED, INSTALLATION_FAILED,
	INSTALLATION_UNINSTALLED, INSTALLATION_SUPERSEDED,
};

/* Longest credential taken from Fluid, in bytes: tokens are opaque, but bounded. */
enum { CREDENTIAL_MAX = 512 };

/* Strings are owned by the struct, and NULL where there is nothing. */
struct installation {
	char record[NAME_SIZE];		/* the record's name, without ".json" */
	enum installation_status status;
	char *reason;			/* why it failed */
	char *droplet_installation_uuid;
	char *droplet_uuid;
	char *fluid_company_id;		/* its text; fluid_company_id_number tells the JSON type */
	bool fluid_company_id_number;
	char *fluid_shop;
	char *name;			/* the company's; name_len bytes, may contain NUL */
	size_t name_len;
	char *authentication_token;
	char *webhook_verification_token;
	char *exchange_token;
	char *exchange_token_expires_at;
	char *exchange_endpoint;
	char *exchange_tried_at;	/* when a try began whose outcome is not known */
	char *webhook_ids;		/* of the subscriptions made with its token, by blanks */
	int64_t installed_at;		/* unix seconds, 0 for never */
	int64_t uninstalled_at;
	struct timespec updated_at;
	char *delivery;			/* of the delivery applied last */
	char *install_body_sha256;	/* of the install applied last, hexadecimal */
};

const char *installation_status_name(enum installation_status status);

/** Returns 0, or -1 when there is no such status. */
int installation_status_parse(const char *name, enum installation_status *out);

/** Set a string field to a copy of value (NULL empties it), wiping what was there. 0, or -1: ENOMEM. */
int installation_set(char **field, const char *value);

/** Set the company's name. Returns 0, or -1 with errno ENOMEM. */
int installation_set_name(struct installation *i, const char *name, size_t len);

/** Delete both tokens and whatever could still be exchanged for them. */
void installation_drop_credentials(struct installation *i);

/** Forget the exchange token and what belongs to it. */
void installation_drop_exchange(struct installation *i);

/**
 * Read the record called `record` from the installations folder.
 * Returns it (the caller ends it with installation_free()), or NULL with errno set: ENOENT where
 * there is none, EBADMSG where the file is damaged.
 */
struct installation *installation_load(int dir, const char *record);

/**
 * Write the record durably, replacing the one before. The caller holds state_lock().
 * Returns 0, or -1 with errno set and the old record in place.
 */
int installation_save(int dir, const struct installation *i);

/** The record as JSON, as it is stored. Returns 0, or -1 with errno ENOMEM. */
int installation_json(const struct installation *i, struct buf *out);

void installation_free(struct installation *i);

#endif
