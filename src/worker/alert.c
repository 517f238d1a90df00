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

/* {"event","at","detail":{"installation","fluid_shop","errors"}}. Returns 0, or -1 with errno ENOMEM. */
static int
write_body(struct alert *a, const char *errors)
{
	struct json_writer *w = json_writer_new(&a->body, false);
	char at[TIMEFMT_MICROS_SIZE];

	if (w == NULL)
		return (-1);
	timefmt_micros(at, &a->at);
	json_object(w);
	write_text(w, "event", a->event);
	write_text(w, "at", at);
	json_key(w, "detail");
	json_object(w);
	write_text(w, "installation", a->installation);
	write_text(w, "fluid_shop", a->shop);
	write_text(w, "errors", errors);
	json_object_end(w);
	json_object_end(w);
	return (json_writer_end(w));
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
	struct alert a = { .event = "fluidhook.subscription_failed", .installation = installation,
		.shop = shop };
	int result = -1;

	clock_gettime(CLOCK_REALTIME, &a.at);
	if (state_has_room(s, conf->min_free) == 0 && write_body(&a, errors) == 0)
		result = append(s, &a);
	if (result)
		log_errno(LOG_LEVEL_ERROR, "alert not raised", "event", a.event, "installation", installation,
		    NULL);
	buf_free(&a.body);
	return (result);
}
