#include "store/installation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/members.h"
#include "base/utf8.h"
#include "store/durable.h"
#include "store/seal.h"

static const char *const status_names[] = {
	[INSTALLATION_ACTIVE] = "active",
	[INSTALLATION_PENDING] = "pending",
	[INSTALLATION_UNCONFIRMED] = "unconfirmed",
	[INSTALLATION_FAILED] = "failed",
	[INSTALLATION_UNINSTALLED] = "uninstalled",
	[INSTALLATION_SUPERSEDED] = "superseded",
};

enum { N_STATUS = sizeof(status_names) / sizeof(status_names[0]) };

#define OWN(kind, field, flags) MEMBER(struct installation, field, kind, flags)
#define WITH(kind, field, other) \
	{ \
#field, kind, 0, offsetof(struct installation, field), \
		    offsetof(struct installation, other), NULL, 0 \
	}

/* The record's members, in the order they are written. */
static const struct member table[] = {
	OWN(MEMBER_TEXT, droplet_installation_uuid, 0),
	{ "status", MEMBER_CHOICE, 0, offsetof(struct installation, status), 0, status_names,
	    N_STATUS },
	OWN(MEMBER_TEXT, reason, MEMBER_WHERE_SET),
	OWN(MEMBER_TEXT, droplet_uuid, 0),
	WITH(MEMBER_ID, fluid_company_id, fluid_company_id_number),
	OWN(MEMBER_TEXT, fluid_shop, 0),
	OWN(MEMBER_TEXT, former_fluid_shop, MEMBER_WHERE_SET | MEMBER_INTERNAL),
	OWN(MEMBER_TEXT, former_fluid_company_id, MEMBER_WHERE_SET | MEMBER_INTERNAL),
	WITH(MEMBER_BYTES, name, name_len),
	OWN(MEMBER_TEXT, authentication_token, MEMBER_SECRET),
	OWN(MEMBER_TEXT, webhook_verification_token, MEMBER_SECRET),
	OWN(MEMBER_TEXT, exchange_token, MEMBER_WHERE_SET | MEMBER_SECRET),
	OWN(MEMBER_TEXT, exchange_token_expires_at, MEMBER_WHERE_SET),
	OWN(MEMBER_TEXT, exchange_endpoint, MEMBER_WHERE_SET | MEMBER_INTERNAL),
	OWN(MEMBER_TEXT, exchange_tried_at, MEMBER_WHERE_SET | MEMBER_INTERNAL),
	OWN(MEMBER_TEXT, subscription_auth_token, MEMBER_WHERE_SET | MEMBER_SECRET),
	OWN(MEMBER_TEXT, webhook_ids, MEMBER_WHERE_SET),
	OWN(MEMBER_TEXT, subscription_errors, MEMBER_WHERE_SET),
	OWN(MEMBER_SECONDS, subscription_alerted_at, MEMBER_WHERE_SET | MEMBER_INTERNAL),
	OWN(MEMBER_SECONDS, installed_at, 0),
	OWN(MEMBER_MICROS, install_received_at, MEMBER_WHERE_SET | MEMBER_INTERNAL),
	OWN(MEMBER_SECONDS, credentials_installed_at, MEMBER_WHERE_SET | MEMBER_INTERNAL),
	OWN(MEMBER_SECONDS, uninstalled_at, 0),
	OWN(MEMBER_SECONDS, last_uninstalled_at, MEMBER_WHERE_SET | MEMBER_INTERNAL),
	OWN(MEMBER_MICROS, updated_at, 0),
	OWN(MEMBER_TEXT, delivery, 0),
	OWN(MEMBER_TEXT, install_digests, MEMBER_WHERE_SET | MEMBER_INTERNAL),
	/* Version 0.1 remembered one install only. */
	{ "install_body_sha256", MEMBER_TEXT, MEMBER_FORMER,
	    offsetof(struct installation, install_digests), 0, NULL, 0 },
};

static const struct members members = { table, sizeof(table) / sizeof(table[0]) };

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

/* The credentials, which are sealed in the file where there is a key (store/seal.h). */
static const struct {
	const char *key;
	size_t offset;
} credentials[] = {
	{ "authentication_token", offsetof(struct installation, authentication_token) },
	{ "webhook_verification_token", offsetof(struct installation, webhook_verification_token) },
	{ "exchange_token", offsetof(struct installation, exchange_token) },
	{ "subscription_auth_token", offsetof(struct installation, subscription_auth_token) },
};

enum { N_CREDENTIALS = sizeof(credentials) / sizeof(credentials[0]) };

/* Open those that are sealed. Returns 0, or -1 with errno set. */
static int
open_credentials(struct installation *i)
{
	for (size_t c = 0; c < N_CREDENTIALS; c++) {
		char **field = (char **)((char *)i + credentials[c].offset);
		struct buf opened = { 0 };
		int result;

		if (*field == NULL || !seal_is_sealed(*field, strlen(*field)))
			continue;
		result = seal_open(&opened, i->record, credentials[c].key, *field, strlen(*field));
		if (result == 0)
			result = installation_set(field, opened.data);
		buf_wipe(&opened);
		if (result)
			return (-1);
	}
	return (0);
}

struct installation *
installation_parse(const char *record, const char *text, size_t len)
{
	struct installation *i = installation_new(record);

	if (i == NULL)
		return (NULL);
	i->status = (enum installation_status)N_STATUS;
	if (members_read(&members, i, text, len, NULL))
		goto err;
	errno = EBADMSG;
	if (i->status == (enum installation_status)N_STATUS)
		goto err;
	if (open_credentials(i))
		goto err;
	if (i->name_len > COMPANY_NAME_MAX) {
		i->name_len = utf8_cut(i->name, i->name_len, COMPANY_NAME_MAX);
		i->name[i->name_len] = '\0';
	}
	/* A record of version 0.1 that was uninstalled says so only once. */
	if (i->last_uninstalled_at < i->uninstalled_at)
		i->last_uninstalled_at = i->uninstalled_at;
	return (i);

err:
	installation_free(i);
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

int
installation_json(const struct installation *i, struct buf *out)
{
	struct installation stored = *i;
	struct buf sealed[N_CREDENTIALS] = { { 0 } };
	struct json_writer *w = NULL;
	int result = -1;

	for (size_t c = 0; c < N_CREDENTIALS && seal_is_on(); c++) {
		char **field = (char **)((char *)&stored + credentials[c].offset);

		if (*field == NULL)
			continue;
		/* Without a key nothing is written in clear instead. */
		if (seal_add(&sealed[c], i->record, credentials[c].key, *field, strlen(*field)))
			goto out;
		*field = sealed[c].data;
	}
	errno = ENOMEM;
	if ((w = json_writer_new(out, true)) == NULL)
		goto out;
	json_object(w);
	members_write(&members, &stored, w);
	json_object_end(w);
	result = json_writer_end(w);
	errno = ENOMEM;
out:
	for (size_t c = 0; c < N_CREDENTIALS; c++)
		buf_free(&sealed[c]);
	return (result);
}

void
installation_print(const struct installation *i, struct json_writer *w)
{
	members_print(&members, i, w);
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
	buf_wipe(&text);
	return (result);
}

void
installation_free(struct installation *i)
{
	if (i == NULL)
		return;
	members_free(&members, i);
	free(i->record);
	free(i);
}
