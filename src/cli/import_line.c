#include "cli/import_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/timefmt.h"
#include "delivery/lifecycle_read.h"
#include "store/seal.h"

/* What a line says beside what a delivery says. */
enum extra { INSTALLED_AT, CREATED_AT, UNINSTALLED_AT, UPDATED_AT, STATUS, ACTIVE, N_EXTRAS };

static const char *const extra_keys[N_EXTRAS] = {
	[INSTALLED_AT] = "installed_at",
	[CREATED_AT] = "created_at",
	[UNINSTALLED_AT] = "uninstalled_at",
	[UPDATED_AT] = "updated_at",
	[STATUS] = "status",
	[ACTIVE] = "active",
};

enum { EXTRA_SIZE = 64, NO_TIME = 0 };

/* Reading these. */
struct extras {
	char text[N_EXTRAS][EXTRA_SIZE]; /* "": not there */
	bool too_long;
	char key[EXTRA_SIZE]; /* the one met last */
	unsigned company;     /* depth of the object `company`; 0: not in it */
	bool has_company;     /* also as `payload` */
};

static void
copy_text(char out[EXTRA_SIZE], const char *text, size_t len)
{
	len = len < EXTRA_SIZE ? len : EXTRA_SIZE - 1;
	memcpy(out, text, len);
	out[len] = '\0';
}

static void
on_event(void *user, enum json_kind kind, const char *text, size_t len, unsigned depth)
{
	struct extras *x = user;

	if (kind == JSON_KEY) {
		copy_text(x->key, text, len);
	} else if (kind == JSON_OBJECT && depth > 1) {
		if (strcmp(x->key, "company") == 0 && x->company == 0)
			x->company = depth;
		if (depth == 2 &&
		    (strcmp(x->key, "company") == 0 || strcmp(x->key, "payload") == 0))
			x->has_company = true;
	} else if (kind == JSON_OBJECT_END && depth == x->company) {
		x->company = 0;
	} else if ((kind == JSON_STRING || kind == JSON_NUMBER || kind == JSON_BOOL) &&
	    (depth == 1 || depth == x->company)) {
		for (size_t i = 0; i < N_EXTRAS; i++)
			if (strcmp(x->key, extra_keys[i]) == 0) {
				x->too_long = x->too_long || len >= EXTRA_SIZE;
				copy_text(x->text[i], text, len);
			}
	}
}

/* Returns 0, or -1 with errno set. */
static int
read_extras(struct extras *x, const char *line, size_t len)
{
	struct json_parser *p = json_parser_new(on_event, x);
	int result;

	if (p == NULL)
		return (-1);
	result = json_parser_feed(p, line, len) || json_parser_finish(p) ? -1 : 0;
	json_parser_free(p);
	return (result);
}

/* A time as JSON exports of databases have it: RFC 3339, also without a zone (UTC), or unix seconds. 0, or -1. */
static int
parse_time(const char *text, int64_t *out)
{
	char whole[EXTRA_SIZE + 2];
	size_t digits = strspn(text, "0123456789");
	struct timespec t;

	if (digits && digits <= 11 && text[digits] == '\0') {
		*out = strtoll(text, NULL, 10);
		return (0);
	}
	snprintf(whole, sizeof(whole), "%s", text);
	if (strlen(whole) > 10 && whole[10] == ' ')
		whole[10] = 'T';
	/* Rails prints "2025-01-02 03:04:05 UTC". */
	if (strlen(whole) > 4 && strcmp(whole + strlen(whole) - 4, " UTC") == 0)
		whole[strlen(whole) - 4] = '\0';
	if (timefmt_parse(whole, &t)) {
		snprintf(whole + strlen(whole), sizeof(whole) - strlen(whole), "Z");
		if (timefmt_parse(whole, &t))
			return (-1);
	}
	*out = t.tv_sec;
	return (0);
}

/* The first of the two that is there. *out: NO_TIME if neither is. Returns 0, or -1. */
static int
time_of(const struct extras *x, enum extra a, enum extra b, int64_t *out)
{
	const char *text = *x->text[a] ? x->text[a] : x->text[b];

	*out = NO_TIME;
	return (*text ? parse_time(text, out) : 0);
}

static bool
is_over(const struct extras *x)
{
	/* Some databases export a boolean as a number. */
	return (*x->text[UNINSTALLED_AT] || strcmp(x->text[ACTIVE], "false") == 0 ||
	    strcmp(x->text[ACTIVE], "0") == 0 || strcmp(x->text[STATUS], "uninstalled") == 0 ||
	    strcmp(x->text[STATUS], "superseded") == 0 || strcmp(x->text[STATUS], "inactive") == 0);
}

/* When it was installed, and ended. Returns NULL, or what is wrong. */
static const char *
read_times(struct import_line *l, const struct extras *x, const struct timespec *now)
{
	int64_t installed, ended;

	if (x->too_long || time_of(x, INSTALLED_AT, CREATED_AT, &installed) ||
	    time_of(x, UNINSTALLED_AT, UPDATED_AT, &ended))
		return ("a time or status in it cannot be read");
	if (installed > now->tv_sec || (is_over(x) && ended > now->tv_sec))
		return ("its time lies in the future");
	l->is_over = is_over(x);
	l->install.at = installed;
	l->install.received_at = *now;
	if (installed)
		l->install.received_at = (struct timespec){ .tv_sec = installed };
	/* An end without a time is as old as it can be: whatever is known to be newer stays. */
	if (ended < installed)
		ended = installed;
	l->ended.at = ended ? ended : 1;
	l->ended.received_at = l->install.received_at;
	if (ended)
		l->ended.received_at = (struct timespec){ .tv_sec = ended };
	return (NULL);
}

/* The droplet over which the line speaks. Returns NULL, or what is wrong. */
static const char *
read_droplet(struct import_line *l, const struct conf *conf)
{
	const char *uuid = l->install.droplet_uuid;

	if (uuid == NULL)
		uuid = conf->n_droplets ? conf->droplets[0].uuid : NULL;
	l->install.authority = l->install.droplet_uuid = uuid;
	l->install.owns_unnamed = true;
	for (size_t i = 0; i < conf->n_droplets; i++)
		if (uuid == NULL || conf->droplets[i].uuid == NULL ||
		    strcmp(conf->droplets[i].uuid, uuid) == 0) {
			l->install.owns_unnamed = i == 0;
			return (NULL);
		}
	return (conf->n_droplets ? "its droplet_uuid is no droplet of the configuration" :
				   "the configuration has no droplet");
}

static bool
is_sealed(const char *token)
{
	return (token && seal_is_sealed(token, strlen(token)));
}

/* What the line lacks to be an installation that works here, or one that has ended. NULL: nothing. */
static const char *
problem(const struct import_line *l, const struct extras *x)
{
	const struct lifecycle_event *e = &l->install;

	if (strcmp(x->text[STATUS], "unconfirmed") == 0 || strcmp(x->text[STATUS], "failed") == 0 ||
	    strcmp(x->text[STATUS], "pending") == 0)
		return ("its status says that it does not work");
	if (l->is_over)
		return (NULL);
	if (is_sealed(e->authentication_token) || is_sealed(e->webhook_verification_token))
		return ("its credentials are sealed: export them in clear");
	if (e->authentication_token == NULL)
		return (e->exchange_token ?
			"it has only an exchange token, which counts once: install it again" :
			"authentication_token is missing, or is no credential");
	return (NULL);
}

/* What the line says about the record's name. Returns NULL, or what is wrong. */
static const char *
read_record(struct import_line *l)
{
	const struct delivery *d = l->delivery;

	if (delivery_record(d, l->record) == 0)
		return (NULL);
	l->record[0] = '\0';
	if (delivery_incomplete(d) && strcmp(delivery_incomplete(d), "company") == 0)
		return ("it is no installation");
	return (delivery_incomplete(d) ?
		"droplet_installation_uuid (or fluid_company_id) is missing or no safe name" :
		"it is no installation");
}

/* Feed the line to a delivery; in `company`, where the fields stand at its root. Returns 0, or -1. */
static int
feed(struct import_line *l, const struct extras *x, const char *line, size_t len)
{
	static const char before[] = "{\"company\":", after[] = "}";

	if ((l->delivery = delivery_new()) == NULL)
		return (-1);
	if (!x->has_company)
		delivery_feed(l->delivery, before, sizeof(before) - 1);
	delivery_feed(l->delivery, line, len);
	if (!x->has_company)
		delivery_feed(l->delivery, after, sizeof(after) - 1);
	return (delivery_finish(l->delivery));
}

const char *
import_line_read(struct import_line *l, const struct conf *conf, const char *line, size_t len,
    const struct timespec *now)
{
	struct extras x = { .too_long = false };
	const char *why;

	*l = (struct import_line){ .delivery = NULL };
	if (read_extras(&x, line, len) || feed(l, &x, line, len))
		return (errno == ENOMEM ? "out of memory" :
					  "it is not one JSON object, or has a member twice");
	if ((why = read_record(l)) != NULL)
		return (why);
	lifecycle_read(l->delivery, &l->install);
	l->install.installed = true;
	l->install.trust = TRUST_DROPLET;
	l->install.record = l->record;
	sha256_hex(l->sha256, line, len);
	l->install.body_sha256 = l->sha256;
	if ((why = read_droplet(l, conf)) != NULL || (why = read_times(l, &x, now)) != NULL ||
	    (why = problem(l, &x)) != NULL)
		return (why);
	l->install.exchange_token = l->install.exchange_token_expires_at = NULL;
	l->install.exchange_endpoint = NULL;
	l->ended = (struct lifecycle_event){
		.trust = TRUST_DROPLET,
		.authority = l->install.authority,
		.owns_unnamed = l->install.owns_unnamed,
		.record = l->record,
		.at = l->ended.at,
		.received_at = l->ended.received_at,
	};
	return (NULL);
}

void
import_line_free(struct import_line *l)
{
	delivery_free(l->delivery);
	explicit_bzero(l, sizeof(*l));
}
