#include "worker/job.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"
#include "delivery/delivery.h"
#include "delivery/signature.h"
#include "store/installation.h"

/* How long a record may lag behind the journal, and how long one that is not there is waited for. */
enum { RECORD_SECONDS = 3, NO_RECORD_SECONDS = 2 * 86400 };

static void
add_part(struct buf *b, const char *kind, const char *text, size_t len)
{
	buf_add(b, kind, strlen(kind) + 1);
	buf_add(b, text, len);
	buf_addc(b, '\0');
}

int
job_read(struct job *job, const char *line, size_t len, const struct follow_place *place)
{
	const struct entry *e = &job->entry;

	*job = (struct job){ .item = { .place = *place } };
	if (entry_read(&job->entry, line, len, &job->texts))
		return (-1);
	if (strlen(e->delivery) >= UUID_SIZE || !name_is_safe(e->delivery, strlen(e->delivery)) ||
	    strlen(e->event) >= EVENT_SIZE || !name_is_safe(e->event, strlen(e->event)))
		return (-1);
	snprintf(job->item.delivery, sizeof(job->item.delivery), "%s", e->delivery);
	snprintf(job->item.event, sizeof(job->item.event), "%s", e->event);
	return (0);
}

/*
 * The event counts as well, as ids of different things can be equal. An id that stands in a flat body is
 * a thing's, not the event's: an order has one, however often it is updated.
 */
int
job_identify(struct job *job)
{
	const struct entry *e = &job->entry;
	struct delivery *d = delivery_new();
	char digest[SIGNATURE_HEX_SIZE];
	struct buf b = { 0 };
	bool failed;

	if (d == NULL)
		return (-1);
	delivery_feed(d, e->body, e->body_len);
	delivery_finish(d);
	add_part(&b, "installation", e->installation ? e->installation : "",
	    e->installation ? strlen(e->installation) : 0);
	add_part(&b, "event", e->event, strlen(e->event));
	if (delivery_is_enveloped(d) && e->id)
		add_part(&b, "id", e->id, strlen(e->id));
	else if (delivery_is_enveloped(d) && e->identifier)
		add_part(&b, "identifier", e->identifier, strlen(e->identifier));
	else
		add_part(&b, "body", e->body, e->body_len);
	sha256_hex(digest, b.data, b.len);
	snprintf(job->item.key, RAN_KEY_SIZE, "%.*s", 2 * RAN_KEY_LEN, digest);
	failed = b.failed;
	delivery_free(d);
	buf_wipe(&b);
	return (failed ? -1 : 0);
}

int
job_read_item(struct job *job, int journal, const struct queue_item *item)
{
	struct buf line = { 0 };
	int result;

	*job = (struct job){ .item = *item };
	if ((result = follow_read(journal, &item->place, &line)) == 0) {
		result = job_read(job, line.data, line.len, &item->place);
		if (result == 0 && strcmp(job->item.delivery, item->delivery) != 0)
			result = -1;
		errno = EBADMSG;
		job->item = *item;
	}
	buf_wipe(&line);
	return (result);
}

void
job_free(struct job *job)
{
	buf_wipe(&job->texts);
	*job = (struct job){ .item = { .attempts = 0 } };
}

/*
 * Received just now. The receiver writes the journal first and the record right after it, which so may
 * not say yet what the journal does.
 */
static bool
is_within(const struct entry *e, int64_t seconds)
{
	struct timespec received;

	return (timefmt_parse(e->received_at, &received) == 0 &&
	    time(NULL) - received.tv_sec < seconds);
}

static bool
is_unsigned(const struct entry *e)
{
	return (e->verified_by && strcmp(e->verified_by, "none") == 0);
}

enum job_readiness
job_ready(struct job *job, const struct state *s)
{
	enum installation_status status = INSTALLATION_FAILED;
	struct installation *i;

	if (strcmp(job->entry.event, "droplet.installed") != 0 || job->entry.installation == NULL)
		return (JOB_READY);
	if (!name_is_safe(job->entry.installation, strlen(job->entry.installation)))
		return (JOB_READY);
	i = installation_load(s->installations, job->entry.installation);
	if (i == NULL && errno != ENOENT)
		return (JOB_UNKNOWN);
	/* Fluid's denial removes the record of an unsigned install. */
	if (i == NULL && !is_unsigned(&job->entry) && is_within(&job->entry, NO_RECORD_SECONDS))
		return (is_within(&job->entry, RECORD_SECONDS) ? JOB_BEHIND : JOB_WAITS);
	if (i)
		status = i->status;
	installation_free(i);
	if (status == INSTALLATION_PENDING || status == INSTALLATION_UNCONFIRMED)
		return (JOB_WAITS);
	if (status != INSTALLATION_ACTIVE && is_within(&job->entry, RECORD_SECONDS))
		return (JOB_BEHIND);
	if (status == INSTALLATION_UNINSTALLED || status == INSTALLATION_SUPERSEDED ||
	    (status == INSTALLATION_FAILED && is_unsigned(&job->entry)))
		return (JOB_ENDED);
	snprintf(job->item.event, sizeof(job->item.event), "%s", status == INSTALLATION_ACTIVE ?
	    "droplet.installed" : "fluidhook.install_failed");
	return (JOB_READY);
}
