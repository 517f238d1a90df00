#ifndef STORE_INSTALLATION_H
#define STORE_INSTALLATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/name.h"
#include "base/uuid.h"

/* An installation record: installations/<name>.json (contract section 4). */

enum installation_status {
	INSTALLATION_ACTIVE,
	INSTALLATION_PENDING,
	INSTALLATION_UNCONFIRMED,
	INSTALLATION_FAILED,
	INSTALLATION_UNINSTALLED,
	INSTALLATION_SUPERSEDED,
};

/* Longest credential taken from Fluid, in bytes: tokens are opaque, but bounded. */
enum { CREDENTIAL_MAX = 512 };

/* A record remembers the bodies of this many installs. */
enum { INSTALLS_REMEMBERED = 8 };

/* Strings are owned by the struct, and NULL where there is nothing. */
struct installation {
	char *record; /* the record's name, without ".json" */
	enum installation_status status;
	char *reason; /* why it failed */
	char *droplet_installation_uuid;
	char *droplet_uuid;
	char *fluid_company_id; /* its text; fluid_company_id_number tells the JSON type */
	bool fluid_company_id_number;
	char *fluid_shop;
	char *former_fluid_shop; /* before it last changed; its index entry is to be removed */
	char *former_fluid_company_id;
	char *name; /* the company's; name_len bytes, may contain NUL */
	size_t name_len;
	char *authentication_token;
	char *webhook_verification_token;
	char *exchange_token;
	char *exchange_token_expires_at;
	char *exchange_endpoint;
	char *exchange_tried_at;       /* when a try began whose outcome is not known */
	char *subscription_auth_token; /* the auth_token of its subscriptions: a key of its own */
	char *webhook_ids;             /* of the subscriptions made with its token, by blanks */
	/* "order.created: why; ..." of those that failed at the last try */
	char *subscription_errors;
	int64_t subscription_alerted_at; /* when that was last told to the hooks, unix seconds */
	int64_t installed_at;            /* unix seconds, 0 for never */
	struct timespec install_received_at;
	/* of the install that brought them, if an older one; else 0 */
	int64_t credentials_installed_at;
	int64_t uninstalled_at;      /* 0 unless the last event was an uninstall */
	int64_t last_uninstalled_at; /* of the newest uninstall, which an install does not clear */
	struct timespec updated_at;
	char *delivery;        /* of the delivery applied last */
	char *install_digests; /* SHA-256 of its last installs' bodies, newest first, by blanks */
};

const char *installation_status_name(enum installation_status status);

/** Returns 0, or -1 when there is no such status. */
int installation_status_parse(const char *name, enum installation_status *out);

/** Set a string field to a copy of value (NULL empties it), wiping what was there. 0, or -1: ENOMEM. */
int installation_set(char **field, const char *value);

/* Of a company's name this much is kept, so that no name makes a record too large to be read. */
enum { COMPANY_NAME_MAX = 1024 };

/** Set the company's name, cut to COMPANY_NAME_MAX bytes at a whole character. 0, or -1: errno ENOMEM. */
int installation_set_name(struct installation *i, const char *name, size_t len);

/** Whether an install with this body (SHA-256, hexadecimal) is one of the last that were noted. */
bool installation_knows_install(const struct installation *i, const char *sha256);

/** Note the body of an install, and forget the oldest beyond INSTALLS_REMEMBERED. 0, or -1: ENOMEM. */
int installation_note_install(struct installation *i, const char *sha256);

/** Delete the tokens, the key of its subscriptions, and whatever could still be exchanged for tokens. */
void installation_drop_credentials(struct installation *i);

/** Forget the exchange token and what belongs to it. */
void installation_drop_exchange(struct installation *i);

/* Far above any record: the largest thing in it is the company's name. */
enum { INSTALLATION_FILE_MAX = 8 << 20 };

/** A record of this name, which says nothing yet. NULL: ENOMEM. */
struct installation *installation_new(const char *record);

/** Read the text of a record called `record`. Returns it, or NULL with errno set: EBADMSG, ENOMEM. */
struct installation *installation_parse(const char *record, const char *text, size_t len);

/**
 * Read the record called `record` from the installations directory.
 * Returns it (the caller ends it with installation_free()), or NULL with errno set: ENOENT where
 * there is none, EBADMSG where the file is damaged.
 */
struct installation *installation_load(int dir, const char *record);

/** Its members for `--json`, into an object that the caller begins and ends. Of secrets only whether there is one. */
void installation_print(const struct installation *i, struct json_writer *w);

/** The same as it would be read from its file. NULL with errno set. */
struct installation *installation_copy(const struct installation *i);

/**
 * Write the record durably, replacing the one before. The caller holds state_lock().
 * Returns 0, or -1 with errno set and the old record in place; also where a credential is to be sealed and
 * there is no key.
 */
int installation_save(int dir, const struct installation *i);

/**
 * The record as JSON, as it is stored: with a seal key, credentials are sealed. Returns 0, or -1 with errno
 * set: ENOMEM, or why there is no key (store/seal.h).
 */
int installation_json(const struct installation *i, struct buf *out);

void installation_free(struct installation *i);

#endif
