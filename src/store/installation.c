#include "store/installation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/timefmt.h"
#include "base/utf8.h"
#include "store/durable.h"

static const char *const status_names[] = {
	[INSTALLATION_ACTIVE] = "active",
	[INSTALLATION_PENDING] = "pending",
	[INSTALLATION_UNCONFIRMED] = "unconfirmed",
	[INSTALLATION_FAILED] = "failed",
	[INSTALLATION_UNINSTALLED] = "uninstalled",
	[INSTALLATION_SUPERSEDED] = "superseded",
};

enum { N_STATUS = sizeof(status_names) / sizeof(status_names[0]) };

/* What a member of the record is, in JSON and in the struct. */
enum kind { TEXT, STATUS, COMPANY_ID, NAME, SECONDS, MICROS };

/* When a member is written: in every record, only if it is set, or no longer (but it is still read). */
enum presence { ALWAYS, WHERE_SET, FORMER };

/* The record's members, in the order they are written. */
static const struct member {
	const char *key;
	enum kind kind;
	size_t offset;
	enum presence presence;
} members[] = {
#define MEMBER(kind, field, presence) \
	{ \
#field, kind, offsetof(struct installation, field), presence \
	}
	MEMBER(TEXT, droplet_installation_uuid, ALWAYS),
	MEMBER(STATUS, status, ALWAYS),
	MEMBER(TEXT, reason, WHERE_SET),
	MEMBER(TEXT, droplet_uuid, ALWAYS),
	MEMBER(COMPANY_ID, fluid_company_id, ALWAYS),
	MEMBER(TEXT, fluid_shop, ALWAYS),
	MEMBER(TEXT, former_fluid_shop, WHERE_SET),
	MEMBER(TEXT, former_fluid_company_id, WHERE_SET),
	MEMBER(NAME, name, ALWAYS),
	MEMBER(TEXT, authentication_token, ALWAYS),
	MEMBER(TEXT, webhook_verification_token, ALWAYS),
	MEMBER(TEXT, exchange_token, WHERE_SET),
	MEMBER(TEXT, exchange_token_expires_at, WHERE_SET),
	MEMBER(TEXT, exchange_endpoint, WHERE_SET),
	MEMBER(TEXT, exchange_tried_at, WHERE_SET),
	MEMBER(TEXT, subscription_auth_token, WHERE_SET),
	MEMBER(TEXT, webhook_ids, WHERE_SET),
	MEMBER(TEXT, subscription_errors, WHERE_SET),
	MEMBER(SECONDS, subscription_alerted_at, WHERE_SET),
	MEMBER(SECONDS, installed_at, ALWAYS),
	MEMBER(MICROS, install_received_at, WHERE_SET),
	MEMBER(SECONDS, credentials_installed_at, WHERE_SET),
	MEMBER(SECONDS, uninstalled_at, ALWAYS),
	MEMBER(SECONDS, last_uninstalled_at, WHERE_SET),
	MEMBER(MICROS, updated_at, ALWAYS),
	MEMBER(TEXT, delivery, ALWAYS),
	MEMBER(TEXT, install_digests, WHERE_SET),
	/* Version 0.1 remembered one install only. */
	{ "install_body_sha256", TEXT, offsetof(struct installation, install_digests), FORMER },
#undef MEMBER
};

enum { N_MEMBERS = sizeof(members) / sizeof(members[0]) };

/* Where the struct has this member. */
static void *
member_at(struct installation *i, const struct member *m)
{
	return ((char *)i + m->offset);
}

const char *
installation_status_name(enum installation_status status)
{
	return (status_names[status]);
}

int
installation_status_parse(const char *name, enum installation_status *out)
{
	for (int i = 0; i < N_STATUS; i++)
		if (strcmp(status_names[i], name) == 0) {
			*out = (enum installation_status)i;
			return (0);
		}
	return (-1);
}

int
installation_set(char **field, const char *value)
{
	char *copy = NULL;

	if (value && (copy = strdup(value)) == NULL)
		return (-1);
	secret_free(*field);
	*field = copy;
	return (0);
}

int
installation_set_name(struct installation *i, const char *name, size_t len)
{
	char *copy = NULL;

	if (name) {
		len = utf8_cut(name, len, COMPANY_NAME_MAX);
		if ((copy = malloc(len + 1)) == NULL)
			return (-1);
		memcpy(copy, name, len);
		copy[len] = '\0';
	}
	free(i->name);
	i->name = copy;
	i->name_len = len;
	return (0);
}

bool
installation_knows_install(const struct installation *i, const char *sha256)
{
	size_t len = strlen(sha256), n;

	for (const char *at = i->install_digests; at && *at; at += n + (at[n] == ' ')) {
		n = strcspn(at, " ");
		if (n == len && memcmp(at, sha256, n) == 0)
			return (true);
	}
	return (false);
}

int
installation_note_install(struct installation *i, const char *sha256)
{
	struct buf list = { 0 };
	unsigned kept = 1;
	size_t n;

	buf_adds(&list, sha256);
	for (const char *at = i->install_digests; at && *at && kept < INSTALLS_REMEMBERED;
	     at += n + (at[n] == ' ')) {
		n = strcspn(at, " ");
		if (n == strlen(sha256) && memcmp(at, sha256, n) == 0)
			continue;
		buf_addc(&list, ' ');
		buf_add(&list, at, n);
		kept++;
	}
	if (list.failed) {
		buf_free(&list);
		return (-1);
	}
	free(i->install_digests);
	i->install_digests = list.data;
	return (0);
}

void
installation_drop_exchange(struct installation *i)
{
	installation_set(&i->exchange_token, NULL);
	installation_set(&i->exchange_token_expires_at, NULL);
	installation_set(&i->exchange_endpoint, NULL);
	installation_set(&i->exchange_tried_at, NULL);
}

void
installation_drop_credentials(struct installation *i)
{
	installation_set(&i->authentication_token, NULL);
	installation_set(&i->webhook_verification_token, NULL);
	installation_set(&i->subscription_auth_token, NULL);
	i->credentials_installed_at = 0;
	installation_drop_exchange(i);
}

/* What a reading of a record has found beside the record itself. */
struct loading {
	struct installation *i;
	bool has_status;
	bool nomem;
};

static char *
dup_text(struct loading *l, const char *text, size_t len)
{
	char *copy = malloc(len + 1);

	if (copy == NULL) {
		l->nomem = true;
		return (NULL);
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	return (copy);
}

static void
load_text(struct loading *l, char **field, const char *text, size_t len)
{
	secret_free(*field);
	*field = dup_text(l, text, len);
}

static void
load_value(struct loading *l, const struct member *m, enum json_kind kind, const char *text,
    size_t len)
{
	void *at = member_at(l->i, m);
	char copy[TIMEFMT_MICROS_SIZE + 8] = "";
	struct timespec when = { 0 };

	if (m->kind == COMPANY_ID && (kind == JSON_NUMBER || kind == JSON_STRING)) {
		load_text(l, at, text, len);
		l->i->fluid_company_id_number = kind == JSON_NUMBER;
		return;
	}
	if (kind != JSON_STRING)
		return;
	if (len < sizeof(copy))
		memcpy(copy, text, len);
	switch (m->kind) {
	case TEXT:
		load_text(l, at, text, len);
		return;
	case NAME:
		if (installation_set_name(l->i, text, len))
			l->nomem = true;
		return;
	case STATUS:
		l->has_status = installation_status_parse(copy, at) == 0;
		return;
	case SECONDS:
		if (timefmt_parse(copy, &when) == 0)
			*(int64_t *)at = when.tv_sec;
		return;
	case MICROS:
		timefmt_parse(copy, at);
		return;
	case COMPANY_ID:
		return;
	}
}

static void
load_member(void *user, const char *key, size_t key_len, enum json_kind kind, const char *text,
    size_t len)
{
	for (size_t m = 0; m < N_MEMBERS; m++)
		if (strlen(members[m].key) == key_len && memcmp(members[m].key, key, key_len) == 0)
			load_value(user, &members[m], kind, text, len);
}

struct installation *
installation_new(const char *record)
{
	struct installation *i = calloc(1, sizeof(*i));

	if (i && (i->record = strdup(record)) == NULL) {
		free(i);
		return (NULL);
	}
	return (i);
}

struct installation *
installation_parse(const char *record, const char *text, size_t len)
{
	struct loading l = { .i = installation_new(record) };

	if (l.i == NULL)
		return (NULL);
	errno = EBADMSG;
	if (json_read_members(text, len, load_member, &l) || !l.has_status)
		goto err;
	if (l.nomem) {
		errno = ENOMEM;
		goto err;
	}
	/* A record of version 0.1 that was uninstalled says so only once. */
	if (l.i->last_uninstalled_at < l.i->uninstalled_at)
		l.i->last_uninstalled_at = l.i->uninstalled_at;
	return (l.i);

err:
	installation_free(l.i);
	return (NULL);
}

struct installation *
installation_load(int dir, const char *record)
{
	struct installation *i = NULL;
	struct buf text = { 0 };
	char file[NAME_SIZE + 8];

	snprintf(file, sizeof(file), "%s.json", record);
	if (file_read_at(dir, file, INSTALLATION_FILE_MAX, &text) == 0)
		i = installation_parse(record, text.data, text.len);
	buf_wipe(&text);
	return (i);
}

static void
write_value(struct json_writer *w, const struct installation *i, const struct member *m)
{
	const void *at = (const char *)i + m->offset;
	char when[TIMEFMT_MICROS_SIZE];
	const char *text = NULL;

	if (m->kind == TEXT || m->kind == NAME || m->kind == COMPANY_ID)
		text = *(char *const *)at;
	if (m->kind == SECONDS && *(const int64_t *)at) {
		timefmt_seconds(when, *(const int64_t *)at);
		text = when;
	}
	if (m->kind == MICROS && (m->presence == ALWAYS || ((const struct timespec *)at)->tv_sec)) {
		timefmt_micros(when, at);
		text = when;
	}
	if (m->presence == FORMER || (text == NULL && m->presence == WHERE_SET))
		return;
	json_key(w, m->key);
	switch (m->kind) {
	case TEXT:
	case SECONDS:
	case MICROS:
		json_string(w, text);
		return;
	case NAME:
		if (text)
			json_string_len(w, text, i->name_len);
		else
			json_null(w);
		return;
	case COMPANY_ID:
		if (text && i->fluid_company_id_number)
			json_number(w, text);
		else
			json_string(w, text);
		return;
	case STATUS:
		json_string(w, installation_status_name(i->status));
		return;
	}
}

int
installation_json(const struct installation *i, struct buf *out)
{
	struct json_writer *w = json_writer_new(out, true);

	if (w == NULL)
		return (-1);
	json_object(w);
	for (size_t m = 0; m < N_MEMBERS; m++)
		write_value(w, i, &members[m]);
	json_object_end(w);
	return (json_writer_end(w));
}

struct installation *
installation_copy(const struct installation *i)
{
	struct installation *copy = NULL;
	struct buf text = { 0 };

	errno = ENOMEM;
	if (installation_json(i, &text) == 0)
		copy = installation_parse(i->record, text.data, text.len);
	buf_wipe(&text);
	return (copy);
}

int
installation_save(int dir, const struct installation *i)
{
	struct buf text = { 0 };
	char file[NAME_SIZE + 8];
	int result = -1;

	snprintf(file, sizeof(file), "%s.json", i->record);
	if (installation_json(i, &text) == 0)
		result = durable_replace(dir, file, text.data, text.len, 0600);
	else
		errno = ENOMEM;
	buf_wipe(&text);
	return (result);
}

void
installation_free(struct installation *i)
{
	if (i == NULL)
		return;
	for (size_t m = 0; m < N_MEMBERS; m++)
		if (members[m].kind == TEXT && members[m].presence != FORMER)
			secret_free(*(char **)member_at(i, &members[m]));
	free(i->record);
	free(i->fluid_company_id);
	free(i->name);
	free(i);
}
