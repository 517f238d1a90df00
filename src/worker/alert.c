#include "worker/alert.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/log.h"
#include "base/timefmt.h"
#include "base/uuid.h"
#include "delivery/signature.h"
#include "store/entry.h"
#include "store/journal.h"

enum { PATH_SIZE = 4096 + 16 };

/* An alert as its journal line has it. */
struct alert {
	const char *event;
	const char *installation;
	const char *shop;
	struct timespec at;
	struct buf body;
};

static void
write_text(struct json_writer *w, const char *key, const char *text)
{
	json_key(w, key);
	json_string(w, text);
}

/* One member of an alert's detail; text NULL: null. */
struct detail {
	const char *key, *text;
};

/* {"event","at","detail":{...}}: what every alert's body is (contract section 6). Returns 0, or -1 with errno ENOMEM. */
static int
write_body(struct buf *out, const char *event, const struct timespec *when,
    const struct detail *details, size_t n)
{
	struct json_writer *w = json_writer_new(out, false);
	char at[TIMEFMT_MICROS_SIZE];

	if (w == NULL)
		return (-1);
	timefmt_micros(at, when);
	json_object(w);
	write_text(w, "event", event);
	write_text(w, "at", at);
	json_key(w, "detail");
	json_object(w);
	for (size_t k = 0; k < n; k++)
		write_text(w, details[k].key, details[k].text);
	json_object_end(w);
	json_object_end(w);
	return (json_writer_end(w));
}

/* What the reason of a failed record means. */
static const struct {
	const char *reason, *why;
} reasons[] = {
	{ "exchange_refused", "Fluid refused the exchange token" },
	{ "exchange_expired", "the exchange token expired before Fluid exchanged it" },
	{ "exchange_contradicts",
	    "Fluid's answer to the exchange is about another company, droplet or installation" },
	{ "exchange_outcome_unknown",
	    "Fluid has exchanged the token, or may have, and its answer was lost" },
	{ "credentials_ended", "its credentials were those of an older install, which has ended" },
};

static const char *
why_of(const char *reason)
{
	for (size_t k = 0; reason && k < sizeof(reasons) / sizeof(reasons[0]); k++)
		if (strcmp(reasons[k].reason, reason) == 0)
			return (reasons[k].why);
	return ("its record says no more");
}

int
alert_install_failed(const struct entry *e, const struct installation *i, struct buf *out)
{
	const char *reason = i ? i->reason : NULL;
	const struct detail details[] = {
		{ "installation", e->installation },
		{ "fluid_shop", e->fluid_shop || i == NULL ? e->fluid_shop : i->fluid_shop },
		{ "droplet_uuid", i && i->droplet_uuid ? i->droplet_uuid : e->droplet },
		{ "reason", reason },
		{ "why", i ? why_of(reason) : "its record is not there any more" },
		{ "todo", "have the company uninstall the droplet and install it again" },
	};
	struct timespec at;

	if (i)
		at = i->updated_at;
	else
		clock_gettime(CLOCK_REALTIME, &at);
	return (write_body(out, "fluidhook.install_failed", &at, details,
	    sizeof(details) / sizeof(details[0])));
}

/* Append it to the journal, from where the worker takes it. Returns 0, or -1 with errno set. */
static int
append(struct state *s, const struct alert *a)
{
	char delivery[UUID_SIZE], received_at[TIMEFMT_MICROS_SIZE], sha256[SIGNATURE_HEX_SIZE];
	char path[PATH_SIZE];
	struct buf line = { 0 };
	struct journal *j;
	struct entry entry = {
		.delivery = delivery,
		.received_at = received_at,
		.event = a->event,
		.installation = a->installation,
		.fluid_shop = a->shop,
		.verified_by = "none",
		.sha256 = sha256,
		.body = a->body.data,
		.body_len = a->body.len,
	};
	int result = -1, saved;

	uuid_v7(delivery, &a->at);
	timefmt_micros(received_at, &a->at);
	sha256_hex(sha256, a->body.data, a->body.len);
	snprintf(path, sizeof(path), "%s/journal", s->path);
	if ((j = journal_open(s->journal, path)) != NULL && entry_write(&entry, &line) == 0)
		result = journal_append(j, line.data, line.len, &a->at);
	saved = errno;
	journal_close(j);
	buf_free(&line);
	errno = saved;
	return (result);
}

int
alert_subscription_failed(const struct conf *conf, struct state *s, const char *installation,
    const char *shop, const char *errors)
{
	struct alert a = { .event = "fluidhook.subscription_failed",
		.installation = installation,
		.shop = shop };
	const struct detail details[] = { { "installation", installation }, { "fluid_shop", shop },
		{ "errors", errors } };
	int result = -1;

	clock_gettime(CLOCK_REALTIME, &a.at);
	if (state_has_room(s, conf->min_free) == 0 &&
	    write_body(&a.body, a.event, &a.at, details, sizeof(details) / sizeof(details[0])) == 0)
		result = append(s, &a);
	if (result)
		log_errno(LOG_LEVEL_ERROR, "alert not raised", "event", a.event, "installation",
		    installation, NULL);
	buf_free(&a.body);
	return (result);
}
