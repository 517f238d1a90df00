#ifndef DELIVERY_DELIVERY_H
#define DELIVERY_DELIVERY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"
#include "base/name.h"
#include "delivery/event.h"

/*
 * What a delivery says, parsed as its bytes arrive. Nothing of it is believed: who may say so is
 * for authenticate() to find out.
 */

/* What is read out of a body. The first group stands in the body or its `payload`. */
enum delivery_field {
	FIELD_ID,
	FIELD_IDENTIFIER,
	FIELD_NAME,
	FIELD_EVENT_NAME,
	FIELD_EVENT_IDENTIFIER,
	FIELD_RESOURCE,
	FIELD_EVENT,
	FIELD_COMPANY_ID,
	FIELD_PAYLOAD,
	FIELD_COMPANY,
	/* in `company` */
	COMPANY_DRI,
	COMPANY_DROPLET_UUID,
	COMPANY_FLUID_COMPANY_ID,
	COMPANY_SHOP,
	COMPANY_NAME,
	COMPANY_AUTHENTICATION_TOKEN,
	COMPANY_VERIFICATION_TOKEN,
	COMPANY_CREDENTIALS,
	/* in `company.credentials` */
	CREDENTIALS_TOKEN,
	CREDENTIALS_EXPIRES_AT,
	CREDENTIALS_ENDPOINT,
	N_DELIVERY_FIELDS
};

/* Longer texts count as absent: a record has to stay small enough to be read, whatever a body says. */
enum { DELIVERY_TEXT_MAX = 1024 };

/* A value as it was delivered. */
struct delivery_value {
	bool present; /* the key is there, whatever its value */
	enum json_kind kind;
	const char *text; /* of a string or number, NUL-terminated; else NULL */
	size_t len;
};

enum delivery_kind {
	DELIVERY_UNNAMED, /* nothing says which event it is */
	DELIVERY_BUSINESS,
	DELIVERY_INSTALLED,
	DELIVERY_UNINSTALLED,
	DELIVERY_PROBE,
	DELIVERY_RESERVED, /* of the resource `fluidhook`, and not the probe */
};

/**
 * What the body says, determined once, when it has ended. A text is NULL where the body has none that can be
 * used (delivery_text()). Where the body is not well-formed, it is what was read before the flaw.
 */
struct delivery_content {
	bool well_formed;
	enum delivery_kind kind;
	bool is_lifecycle; /* an install or uninstall */
	const char *event; /* NULL: DELIVERY_UNNAMED */
	const char *id;    /* of the event; id_is_number tells its JSON type */
	bool id_is_number;
	const char *identifier;

	const char
	    *record; /* the name of the record that the body names; NULL: none, or no safe name */
	const char *incomplete; /* what a lifecycle event lacks for its record; NULL: nothing */
	const char *installation, *droplet, *shop;
	const char *company; /* fluid_company_id */
	bool company_is_number;
	/* `company_id` of the body's payload and of the body; not always the tenant's */
	const char *payload_company_id, *body_company_id;
	const char *name; /* name_len bytes of any value: what fits goes into the record */
	size_t name_len;

	const char *authentication_token, *verification_token;
	const char *exchange_token, *exchange_expires_at, *exchange_endpoint;
};

struct delivery;

/** NULL: ENOMEM. The caller ends it with delivery_free(). */
struct delivery *delivery_new(void);

/** The next bytes of the body. What is wrong with them delivery_finish() tells. */
void delivery_feed(struct delivery *d, const char *data, size_t len);

/**
 * The body has ended. Returns 0, or -1 where it is not one JSON object as the contract wants it
 * (section 3, "malformed"), or a field that decides something is there twice: with errno EBADMSG,
 * or ENOMEM where memory ran out. What was read before the flaw can still be asked for.
 */
int delivery_finish(struct delivery *d);

/** After delivery_finish(), and until delivery_free(). */
const struct delivery_content *delivery_content(const struct delivery *d);

/** What delivery_finish() returned 0 for. */
bool delivery_is_well_formed(const struct delivery *d);

/** Wipes what it holds, tokens among it. */
void delivery_free(struct delivery *d);

/**
 * A value, out of the object that speaks for the delivery: the body, or its `payload` where that is
 * one that says something (fluid-wire, "Deliveries"). FIELD_ID, FIELD_IDENTIFIER: out of the body.
 * Valid until delivery_free().
 */
struct delivery_value delivery_value(const struct delivery *d, enum delivery_field field);

/** Whether the `payload` speaks, so that `id` and `identifier` outside it are the event's own. */
bool delivery_is_enveloped(const struct delivery *d);

/** `company_id` of the body or its payload; not always the tenant's. */
struct delivery_value delivery_company_id(const struct delivery *d, bool of_payload);

/** The event, "droplet.installed"; NULL when nothing says which it is. */
const char *delivery_event(const struct delivery *d);

/** droplet.installed or droplet.uninstalled. */
bool delivery_is_lifecycle(const struct delivery *d);

/**
 * The text of a field, where it has a value that can be used: of the field's type (a string; for `id`,
 * `company_id` and `fluid_company_id` also a number), 1 to DELIVERY_TEXT_MAX bytes, no NUL; a credential
 * at most CREDENTIAL_MAX bytes and no control byte. NULL otherwise: it counts as absent.
 */
const char *delivery_text(const struct delivery *d, enum delivery_field field);

/**
 * The record that the body names. Returns 0, or -1 when it names none, or the name is not safe. A shop,
 * or beside a uuid also a company or droplet, may be unsafe: it is no part of the name.
 */
int delivery_record(const struct delivery *d, char out[NAME_SIZE]);

/**
 * What a lifecycle event lacks for a record (contract section 3, "incomplete"): the name of the first
 * field that is missing or makes the record's name unsafe, or NULL when all is there.
 */
const char *delivery_incomplete(const struct delivery *d);

#endif
