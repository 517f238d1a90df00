#include "delivery/delivery.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/installation.h"
#include "base/name.h"

/* How deep a field lies in the body or in its payload. */
enum level { OUTER, COMPANY, CREDENTIALS };

/* Which of the two objects that can speak. */
enum side { ROOT, PAYLOAD, N_SIDES };

/* What a field's value has to be; any other value counts as absent (contract section 3, 422). */
enum type { CONTAINER, WORDS, SECRET, ID };

#define KEY(key) key, sizeof(key) - 1

static const struct place {
	enum level level;
	enum type type;
	const char *key;
	size_t len;
} places[N_DELIVERY_FIELDS] = {
	[FIELD_ID] = { OUTER, ID, KEY("id") },
	[FIELD_IDENTIFIER] = { OUTER, WORDS, KEY("identifier") },
	[FIELD_NAME] = { OUTER, WORDS, KEY("name") },
	[FIELD_EVENT_NAME] = { OUTER, WORDS, KEY("event_name") },
	[FIELD_EVENT_IDENTIFIER] = { OUTER, WORDS, KEY("event_identifier") },
	[FIELD_RESOURCE] = { OUTER, WORDS, KEY("resource") },
	[FIELD_EVENT] = { OUTER, WORDS, KEY("event") },
	[FIELD_COMPANY_ID] = { OUTER, ID, KEY("company_id") },
	[FIELD_PAYLOAD] = { OUTER, CONTAINER, KEY("payload") },
	[FIELD_COMPANY] = { OUTER, CONTAINER, KEY("company") },
	[COMPANY_DRI] = { COMPANY, WORDS, KEY("droplet_installation_uuid") },
	[COMPANY_DROPLET_UUID] = { COMPANY, WORDS, KEY("droplet_uuid") },
	[COMPANY_FLUID_COMPANY_ID] = { COMPANY, ID, KEY("fluid_company_id") },
	[COMPANY_SHOP] = { COMPANY, WORDS, KEY("fluid_shop") },
	[COMPANY_NAME] = { COMPANY, WORDS, KEY("name") },
	[COMPANY_AUTHENTICATION_TOKEN] = { COMPANY, SECRET, KEY("authentication_token") },
	[COMPANY_VERIFICATION_TOKEN] = { COMPANY, SECRET, KEY("webhook_verification_token") },
	[COMPANY_CREDENTIALS] = { COMPANY, CONTAINER, KEY("credentials") },
	[CREDENTIALS_TOKEN] = { CREDENTIALS, SECRET, KEY("exchange_token") },
	[CREDENTIALS_EXPIRES_AT] = { CREDENTIALS, SECRET, KEY("exchange_token_expires_at") },
	[CREDENTIALS_ENDPOINT] = { CREDENTIALS, SECRET, KEY("exchange_endpoint") },
};

enum { NO_FIELD = -1 };

/* The text of a value lies in delivery.texts, which moves as it grows: hence an offset. */
struct slot {
	bool present;
	bool twice; /* its key came again in the same object */
	enum json_kind kind;
	size_t at, len;
};

struct delivery {
	struct json_parser *parser;
	struct slot slots[N_SIDES][N_DELIVERY_FIELDS];
	struct buf texts;
	bool ambiguous; /* something was decided by a field that is there twice */
	bool malformed;

	/* The innermost object that holds fields, and the field whose value comes next. */
	enum side side;
	enum level level;
	unsigned depth;
	int field;

	enum side event_object;
	char event[EVENT_SIZE];
	char record[NAME_SIZE];
	struct delivery_content content;
};

static int
field_of(enum level level, const char *key, size_t len)
{
	for (int f = 0; f < N_DELIVERY_FIELDS; f++)
		if (places[f].level == level && places[f].len == len &&
		    memcmp(places[f].key, key, len) == 0)
			return (f);
	return (NO_FIELD);
}

static void
on_key(struct delivery *d, const char *text, size_t len)
{
	struct slot *slot;

	if ((d->field = field_of(d->level, text, len)) == NO_FIELD)
		return;
	slot = &d->slots[d->side][d->field];
	slot->twice = slot->present;
	slot->present = true;
}

static void
on_value(struct delivery *d, enum json_kind kind, const char *text, size_t len)
{
	struct slot *slot = &d->slots[d->side][d->field];

	slot->kind = kind;
	slot->at = d->texts.len;
	slot->len = len;
	if (kind == JSON_STRING || kind == JSON_NUMBER) {
		buf_add(&d->texts, text, len);
		buf_addc(&d->texts, '\0');
		/* Without memory there is no text, and delivery_finish() fails. */
		if (d->texts.failed)
			slot->kind = JSON_NULL;
	}
}

/* An object opens as the value of a field: go into it where it holds fields itself. */
static void
enter(struct delivery *d)
{
	if (d->field == FIELD_PAYLOAD && d->side == ROOT)
		d->side = PAYLOAD;
	else if (d->field == FIELD_COMPANY)
		d->level = COMPANY;
	else if (d->field == COMPANY_CREDENTIALS)
		d->level = CREDENTIALS;
	else
		return;
	d->depth++;
}

/* The innermost object closes: back to the one around it. */
static void
leave(struct delivery *d)
{
	d->depth--;
	if (d->level == CREDENTIALS)
		d->level = COMPANY;
	else if (d->level == COMPANY)
		d->level = OUTER;
	else
		d->side = ROOT;
}

static void
on_event(void *user, enum json_kind kind, const char *text, size_t len, unsigned depth)
{
	struct delivery *d = user;

	if (d->depth == 0) {
		d->depth = 1;
		return;
	}
	if (kind == JSON_OBJECT_END && depth == d->depth) {
		leave(d);
		d->field = NO_FIELD;
	} else if (kind == JSON_KEY && depth == d->depth) {
		on_key(d, text, len);
	} else if (d->field != NO_FIELD &&
	    ((kind <= JSON_STRING && depth == d->depth) ||
		((kind == JSON_OBJECT || kind == JSON_ARRAY) && depth == d->depth + 1))) {
		on_value(d, kind, text, len);
		if (kind == JSON_OBJECT)
			enter(d);
		d->field = NO_FIELD;
	}
}

struct delivery *
delivery_new(void)
{
	struct delivery *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return (NULL);
	d->field = NO_FIELD;
	if ((d->parser = json_parser_new(on_event, d)) == NULL) {
		free(d);
		return (NULL);
	}
	return (d);
}

void
delivery_feed(struct delivery *d, const char *data, size_t len)
{
	json_parser_feed(d->parser, data, len);
}

static struct delivery_value
value_of(const struct delivery *d, enum side side, enum delivery_field field)
{
	const struct slot *slot = &d->slots[side][field];
	struct delivery_value v = { .present = slot->present, .kind = slot->kind };

	if (slot->present && (slot->kind == JSON_STRING || slot->kind == JSON_NUMBER)) {
		v.text = d->texts.data + slot->at;
		v.len = slot->len;
	}
	return (v);
}

/* Decide something by this field: from now on it must not be there twice. */
static const struct slot *
decide_by(struct delivery *d, enum side side, enum delivery_field field)
{
	const struct slot *slot = &d->slots[side][field];

	if (slot->twice)
		d->ambiguous = true;
	return (slot);
}

static bool
is_object(struct delivery *d, enum side side, enum delivery_field field)
{
	const struct slot *slot = decide_by(d, side, field);

	return (slot->present && slot->kind == JSON_OBJECT);
}

static bool
is_said(struct delivery *d, enum side side, enum delivery_field field)
{
	const struct slot *slot = decide_by(d, side, field);

	return (slot->present && slot->kind != JSON_NULL);
}

/* A string that may say which event it is; NULL where the field has none. */
static const char *
string_of(struct delivery *d, enum side side, enum delivery_field field, size_t *len)
{
	const struct slot *slot = decide_by(d, side, field);

	*len = slot->len;
	return (slot->present && slot->kind == JSON_STRING ? d->texts.data + slot->at : NULL);
}

/* The event, from `resource` and `event` of one object. */
static bool
pair_names_event(struct delivery *d, enum side side)
{
	size_t resource_len, event_len;
	const char *resource = string_of(d, side, FIELD_RESOURCE, &resource_len);
	const char *event = string_of(d, side, FIELD_EVENT, &event_len);

	return (resource && event &&
	    event_join(d->event, resource, resource_len, event, event_len) == 0);
}

static bool
name_names_event(struct delivery *d, enum side side, enum delivery_field field)
{
	size_t len;
	const char *name = string_of(d, side, field, &len);

	return (name && event_split(d->event, name, len) == 0);
}

static void
find_event(struct delivery *d)
{
	if (pair_names_event(d, d->event_object) || pair_names_event(d, ROOT) ||
	    name_names_event(d, ROOT, FIELD_NAME) ||
	    name_names_event(d, d->event_object, FIELD_EVENT_NAME) ||
	    name_names_event(d, ROOT, FIELD_EVENT_NAME) ||
	    name_names_event(d, d->event_object, FIELD_EVENT_IDENTIFIER) ||
	    name_names_event(d, ROOT, FIELD_EVENT_IDENTIFIER))
		return;
	d->event[0] = '\0';
}

/* Which object speaks for the delivery (fluid-wire, "Deliveries"). */
static void
find_event_object(struct delivery *d)
{
	bool company = is_object(d, ROOT, FIELD_COMPANY),
	     payload = is_object(d, ROOT, FIELD_PAYLOAD);

	d->event_object = ROOT;
	if (!company && payload &&
	    (is_said(d, PAYLOAD, FIELD_COMPANY) || is_said(d, PAYLOAD, FIELD_RESOURCE) ||
		is_said(d, PAYLOAD, FIELD_EVENT_NAME)))
		d->event_object = PAYLOAD;
}

/* Whose event it is, and for an install or uninstall what becomes part of a record. */
static void
check_company(struct delivery *d)
{
	static const enum delivery_field owner[] = { FIELD_COMPANY, COMPANY_DRI,
		COMPANY_DROPLET_UUID, COMPANY_FLUID_COMPANY_ID };

	for (size_t i = 0; i < sizeof(owner) / sizeof(owner[0]); i++)
		decide_by(d, d->event_object, owner[i]);
	for (int f = COMPANY_DRI; delivery_is_lifecycle(d) && f < N_DELIVERY_FIELDS; f++)
		decide_by(d, d->event_object, (enum delivery_field)f);
}

bool
delivery_is_well_formed(const struct delivery *d)
{
	return (!d->malformed);
}

void
delivery_free(struct delivery *d)
{
	if (d == NULL)
		return;
	json_parser_free(d->parser);
	buf_wipe(&d->texts);
	free(d);
}

struct delivery_value
delivery_value(const struct delivery *d, enum delivery_field field)
{
	bool of_body = field == FIELD_ID || field == FIELD_IDENTIFIER;

	return (value_of(d, of_body ? ROOT : d->event_object, field));
}

bool
delivery_is_enveloped(const struct delivery *d)
{
	return (d->event_object == PAYLOAD);
}

struct delivery_value
delivery_company_id(const struct delivery *d, bool of_payload)
{
	return (value_of(d, of_payload ? PAYLOAD : ROOT, FIELD_COMPANY_ID));
}

const char *
delivery_event(const struct delivery *d)
{
	return (d->event[0] ? d->event : NULL);
}

bool
delivery_is_lifecycle(const struct delivery *d)
{
	return (strcmp(d->event, "droplet.installed") == 0 ||
	    strcmp(d->event, "droplet.uninstalled") == 0);
}

/* A credential is opaque, but can stand in a header. */
static bool
has_control_byte(struct delivery_value v)
{
	for (size_t i = 0; i < v.len; i++)
		if ((unsigned char)v.text[i] < 0x20 || v.text[i] == 0x7f)
			return (true);
	return (false);
}

/* Whether the field has a value of its type, fit for use or not. The empty string says nothing. */
static bool
is_given(struct delivery_value v, enum delivery_field field)
{
	return (v.text && v.len && (v.kind == JSON_STRING || places[field].type == ID));
}

const char *
delivery_text(const struct delivery *d, enum delivery_field field)
{
	struct delivery_value v = delivery_value(d, field);

	if (!is_given(v, field) || v.len > DELIVERY_TEXT_MAX || memchr(v.text, '\0', v.len))
		return (NULL);
	if (places[field].type == SECRET && (v.len > CREDENTIAL_MAX || has_control_byte(v)))
		return (NULL);
	return (v.text);
}

/* Whether the field would make the record's name unsafe. */
static bool
is_unfit(const struct delivery *d, enum delivery_field field)
{
	struct delivery_value v = delivery_value(d, field);

	return (is_given(v, field) && !name_is_safe(v.text, v.len));
}

/*
 * The field that makes the record's name unsafe, or N_DELIVERY_FIELDS. A uuid that is there is the name,
 * so that an unfit one is never replaced by the company's.
 */
static enum delivery_field
unfit_field(const struct delivery *d)
{
	static const enum delivery_field others[] = { COMPANY_FLUID_COMPANY_ID,
		COMPANY_DROPLET_UUID };

	if (is_given(delivery_value(d, COMPANY_DRI), COMPANY_DRI))
		return (is_unfit(d, COMPANY_DRI) ? COMPANY_DRI : N_DELIVERY_FIELDS);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (is_unfit(d, others[i]))
			return (others[i]);
	return (N_DELIVERY_FIELDS);
}

int
delivery_record(const struct delivery *d, char out[NAME_SIZE])
{
	if (unfit_field(d) != N_DELIVERY_FIELDS)
		return (-1);
	return (name_of_installation(out, delivery_text(d, COMPANY_DRI),
	    delivery_text(d, COMPANY_FLUID_COMPANY_ID), delivery_text(d, COMPANY_DROPLET_UUID)));
}

const char *
delivery_incomplete(const struct delivery *d)
{
	enum delivery_field unfit = unfit_field(d);
	char record[NAME_SIZE];

	if (delivery_value(d, FIELD_COMPANY).kind != JSON_OBJECT)
		return ("company");
	if (unfit != N_DELIVERY_FIELDS)
		return (places[unfit].key);
	if (delivery_record(d, record))
		return ("droplet_installation_uuid");
	if (strcmp(d->event, "droplet.installed") != 0)
		return (NULL);
	if (delivery_text(d, COMPANY_AUTHENTICATION_TOKEN) == NULL &&
	    delivery_text(d, CREDENTIALS_TOKEN) == NULL)
		return (delivery_value(d, COMPANY_CREDENTIALS).kind == JSON_OBJECT ?
			"exchange_token" :
			"authentication_token");
	return (NULL);
}

static enum delivery_kind
kind_of(const char *event)
{
	if (*event == '\0')
		return (DELIVERY_UNNAMED);
	if (strcmp(event, "droplet.installed") == 0)
		return (DELIVERY_INSTALLED);
	if (strcmp(event, "droplet.uninstalled") == 0)
		return (DELIVERY_UNINSTALLED);
	if (strcmp(event, "fluidhook.probe") == 0)
		return (DELIVERY_PROBE);
	return (event_is_reserved(event) ? DELIVERY_RESERVED : DELIVERY_BUSINESS);
}

/* An id that can select candidates: a safe name. NULL: none. */
static const char *
selecting_id(struct delivery_value id)
{
	return (id.text && name_is_safe(id.text, id.len) ? id.text : NULL);
}

static void
determine_content(struct delivery *d)
{
	struct delivery_value name = delivery_value(d, COMPANY_NAME);
	bool is_string = name.present && name.kind == JSON_STRING;

	d->content = (struct delivery_content){
		.well_formed = !d->malformed,
		.kind = kind_of(d->event),
		.is_lifecycle = delivery_is_lifecycle(d),
		.event = delivery_event(d),
		.id = delivery_text(d, FIELD_ID),
		.id_is_number = delivery_value(d, FIELD_ID).kind == JSON_NUMBER,
		.identifier = delivery_text(d, FIELD_IDENTIFIER),
		.record = delivery_record(d, d->record) == 0 ? d->record : NULL,
		.incomplete = delivery_is_lifecycle(d) ? delivery_incomplete(d) : NULL,
		.installation = delivery_text(d, COMPANY_DRI),
		.droplet = delivery_text(d, COMPANY_DROPLET_UUID),
		.shop = delivery_text(d, COMPANY_SHOP),
		.company = delivery_text(d, COMPANY_FLUID_COMPANY_ID),
		.company_is_number = delivery_value(d, COMPANY_FLUID_COMPANY_ID).kind ==
		    JSON_NUMBER,
		.payload_company_id = selecting_id(delivery_company_id(d, true)),
		.body_company_id = selecting_id(delivery_company_id(d, false)),
		.name = is_string ? name.text : NULL,
		.name_len = is_string ? name.len : 0,
		.authentication_token = delivery_text(d, COMPANY_AUTHENTICATION_TOKEN),
		.verification_token = delivery_text(d, COMPANY_VERIFICATION_TOKEN),
		.exchange_token = delivery_text(d, CREDENTIALS_TOKEN),
		.exchange_expires_at = delivery_text(d, CREDENTIALS_EXPIRES_AT),
		.exchange_endpoint = delivery_text(d, CREDENTIALS_ENDPOINT),
	};
}

const struct delivery_content *
delivery_content(const struct delivery *d)
{
	return (&d->content);
}

int
delivery_finish(struct delivery *d)
{
	bool whole = json_parser_finish(d->parser) == 0;
	bool no_memory = (!whole && errno == ENOMEM) || d->texts.failed;

	/* Its memory is large, and a delivery may wait for others. */
	json_parser_free(d->parser);
	d->parser = NULL;
	find_event_object(d);
	find_event(d);
	check_company(d);
	d->malformed = !whole || d->ambiguous || no_memory;
	determine_content(d);
	if (!d->malformed)
		return (0);
	errno = no_memory ? ENOMEM : EBADMSG;
	return (-1);
}
