#include "delivery/delivery.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/installation.h"

/* How deep a field lies in the body or in its payload. */
enum level { OUTER, COMPANY, CREDENTIALS };

/* Which of the two objects that can speak. */
enum side { ROOT, PAYLOAD, N_SIDES };

static const struct place {
	enum level level;
	const char *key;
} places[N_DELIVERY_FIELDS] = {
	[FIELD_ID] = { OUTER, "id" },
	[FIELD_IDENTIFIER] = { OUTER, "identifier" },
	[FIELD_NAME] = { OUTER, "name" },
	[FIELD_EVENT_NAME] = { OUTER, "event_name" },
	[FIELD_EVENT_IDENTIFIER] = { OUTER, "event_identifier" },
	[FIELD_RESOURCE] = { OUTER, "resource" },
	[FIELD_EVENT] = { OUTER, "event" },
	[FIELD_COMPANY_ID] = { OUTER, "company_id" },
	[FIELD_PAYLOAD] = { OUTER, "payload" },
	[FIELD_COMPANY] = { OUTER, "company" },
	[COMPANY_DRI] = { COMPANY, "droplet_installation_uuid" },
	[COMPANY_DROPLET_UUID] = { COMPANY, "droplet_uuid" },
	[COMPANY_FLUID_COMPANY_ID] = { COMPANY, "fluid_company_id" },
	[COMPANY_SHOP] = { COMPANY, "fluid_shop" },
	[COMPANY_NAME] = { COMPANY, "name" },
	[COMPANY_AUTHENTICATION_TOKEN] = { COMPANY, "authentication_token" },
	[COMPANY_VERIFICATION_TOKEN] = { COMPANY, "webhook_verification_token" },
	[COMPANY_CREDENTIALS] = { COMPANY, "credentials" },
	[CREDENTIALS_TOKEN] = { CREDENTIALS, "exchange_token" },
	[CREDENTIALS_EXPIRES_AT] = { CREDENTIALS, "exchange_token_expires_at" },
	[CREDENTIALS_ENDPOINT] = { CREDENTIALS, "exchange_endpoint" },
};

enum { NO_FIELD = -1 };

/* The text of a value lies in delivery.texts, which moves as it grows: hence an offset. */
struct slot {
	bool present;
	enum json_kind kind;
	size_t at, len;
};

struct delivery {
	struct json_parser *parser;
	struct slot slots[N_SIDES][N_DELIVERY_FIELDS];
	struct buf texts;
	bool duplicate;		/* a key of the table twice in one object */
	bool malformed;

	/* The innermost object that holds fields, and the field whose value comes next. */
	enum side side;
	enum level level;
	unsigned depth;
	int field;

	enum side speaker;
	char event[EVENT_SIZE];
};

static int
field_of(enum level level, const char *key, size_t len)
{
	for (int f = 0; f < N_DELIVERY_FIELDS; f++)
		if (places[f].level == level && strlen(places[f].key) == len &&
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
	if (slot->present)
		d->duplicate = true;
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

static bool
is_object(const struct delivery *d, enum side side, enum delivery_field field)
{
	const struct slot *slot = &d->slots[side][field];

	return (slot->present && slot->kind == JSON_OBJECT);
}

static bool
is_said(const struct delivery *d, enum side side, enum delivery_field field)
{
	const struct slot *slot = &d->slots[side][field];

	return (slot->present && slot->kind != JSON_NULL);
}

/* The event, from `resource` and `event` of one object. */
static bool
pair_names_event(struct delivery *d, enum side side)
{
	struct delivery_value resource = value_of(d, side, FIELD_RESOURCE);
	struct delivery_value event = value_of(d, side, FIELD_EVENT);

	return (resource.text && event.text &&
	    event_join(d->event, resource.text, resource.len, event.text, event.len) == 0);
}

static bool
name_names_event(struct delivery *d, enum side side, enum delivery_field field)
{
	struct delivery_value name = value_of(d, side, field);

	return (name.text && event_split(d->event, name.text, name.len) == 0);
}

static void
find_event(struct delivery *d)
{
	if (pair_names_event(d, d->speaker) || pair_names_event(d, ROOT) ||
	    name_names_event(d, ROOT, FIELD_NAME) ||
	    name_names_event(d, d->speaker, FIELD_EVENT_NAME) ||
	    name_names_event(d, ROOT, FIELD_EVENT_NAME) ||
	    name_names_event(d, d->speaker, FIELD_EVENT_IDENTIFIER) ||
	    name_names_event(d, ROOT, FIELD_EVENT_IDENTIFIER))
		return;
	d->event[0] = '\0';
}

int
delivery_finish(struct delivery *d)
{
	d->malformed = json_parser_finish(d->parser) || d->duplicate || d->texts.failed;
	d->speaker = ROOT;
	if (!is_object(d, ROOT, FIELD_COMPANY) && is_object(d, ROOT, FIELD_PAYLOAD) &&
	    (is_said(d, PAYLOAD, FIELD_COMPANY) || is_said(d, PAYLOAD, FIELD_RESOURCE) ||
	    is_said(d, PAYLOAD, FIELD_EVENT_NAME)))
		d->speaker = PAYLOAD;
	find_event(d);
	return (d->malformed ? -1 : 0);
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

	return (value_of(d, of_body ? ROOT : d->speaker, field));
}

bool
delivery_is_enveloped(const struct delivery *d)
{
	return (d->speaker == PAYLOAD);
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

const char *
delivery_text(const struct delivery *d, enum delivery_field field)
{
	struct delivery_value v = delivery_value(d, field);

	return (v.text && v.len && memchr(v.text, '\0', v.len) == NULL ? v.text : NULL);
}

int
delivery_record(const struct delivery *d, char out[NAME_SIZE])
{
	return (name_of_installation(out, delivery_text(d, COMPANY_DRI),
	    delivery_text(d, COMPANY_FLUID_COMPANY_ID), delivery_text(d, COMPANY_DROPLET_UUID)));
}

/* Absent, null and the empty string say the same: nothing. */
static bool
says_nothing(struct delivery_value v)
{
	return (!v.present || v.kind == JSON_NULL || (v.kind == JSON_STRING && v.len == 0));
}

static bool
is_unfit_name(const struct delivery *d, enum delivery_field field)
{
	struct delivery_value v = delivery_value(d, field);
	char shop[NAME_SIZE];

	if (says_nothing(v))
		return (false);
	if (v.text == NULL)
		return (true);
	return (field == COMPANY_SHOP ? name_of_shop(shop, v.text, v.len) != 0 :
	    !name_is_safe(v.text, v.len));
}

/* A credential is opaque, but a string of bounded length that can stand in a header. */
static bool
is_unfit_credential(const struct delivery *d, enum delivery_field field)
{
	struct delivery_value v = delivery_value(d, field);

	if (says_nothing(v))
		return (false);
	if (v.kind != JSON_STRING || v.len > CREDENTIAL_MAX)
		return (true);
	for (size_t i = 0; i < v.len; i++)
		if ((unsigned char)v.text[i] < 0x20 || v.text[i] == 0x7f)
			return (true);
	return (false);
}

const char *
delivery_incomplete(const struct delivery *d)
{
	static const enum delivery_field names[] = { COMPANY_DRI, COMPANY_FLUID_COMPANY_ID,
		COMPANY_DROPLET_UUID, COMPANY_SHOP };
	static const enum delivery_field credentials[] = { COMPANY_AUTHENTICATION_TOKEN,
		COMPANY_VERIFICATION_TOKEN, CREDENTIALS_TOKEN, CREDENTIALS_EXPIRES_AT,
		CREDENTIALS_ENDPOINT };
	char record[NAME_SIZE];

	if (delivery_value(d, FIELD_COMPANY).kind != JSON_OBJECT)
		return ("company");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (is_unfit_name(d, names[i]))
			return (places[names[i]].key);
	if (delivery_record(d, record))
		return ("droplet_installation_uuid");
	if (strcmp(d->event, "droplet.installed") != 0)
		return (NULL);
	for (size_t i = 0; i < sizeof(credentials) / sizeof(credentials[0]); i++)
		if (is_unfit_credential(d, credentials[i]))
			return (places[credentials[i]].key);
	if (delivery_text(d, COMPANY_AUTHENTICATION_TOKEN) == NULL &&
	    delivery_text(d, CREDENTIALS_TOKEN) == NULL)
		return (delivery_value(d, COMPANY_CREDENTIALS).kind == JSON_OBJECT ?
		    "exchange_token" : "authentication_token");
	return (NULL);
}
