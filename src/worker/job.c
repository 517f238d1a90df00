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
add_part(struct buf *b, const char *kind, const char *text)
{
	buf_add(b, kind, strlen(kind) + 1);
	buf_add(b, text ? text : "", (text ? strlen(text) : 0) + 1);
}

/* The digest of what makes two deliveries the same. Frees b. Returns 0, or -1 with errno ENOMEM. */
static int
key_of(struct buf *b, char key[RUNS_KEY_SIZE])
{
	char digest[SIGNATURE_HEX_SIZE];
	bool failed = b->failed;

	if (!failed) {
		sha256_hex(digest, b->data, b->len);
		snprintf(key, RUNS_KEY_SIZE, "%.*s", RUNS_KEY_SIZE - 1, digest);
	}
	buf_wipe(b);
	errno = ENOMEM;
	return (failed ? -1 : 0);
}

static struct delivery *
parse_body(const struct entry *e)
{
	struct delivery *d = delivery_new();

	if (d == NULL)
		return (NULL);
	delivery_feed(d, e->body, e->body_len);
	delivery_finish(d);
	return (d);
}

int
job_read(struct job *job, const char *line, size_t len, const struct follow_place *place)
{
	const struct entry *e = &job->entry;

	*job = (struct job){ .item = { .place = *place, .seen = queue_clock() } };
	if (entry_read(&job->entry, line, len, &job->texts))
		return (-1);
	errno = EBADMSG;
	if (strlen(e->delivery) >= UUID_SIZE || !name_is_safe(e->delivery, strlen(e->delivery)) ||
	    strlen(e->event) >= EVENT_SIZE || !name_is_safe(e->event, strlen(e->event)))
		return (-1);
	snprintf(job->item.delivery, sizeof(job->item.delivery), "%s", e->delivery);
	snprintf(job->item.event, sizeof(job->item.event), "%s", e->event);
	if (e->installation && strlen(e->installation) < NAME_SIZE)
		snprintf(job->item.installation, NAME_SIZE, "%s", e->installation);
	return (0);
}

/* Whose delivery it is where no installation is known: the company that the body names, else the shop. */
static int
add_owner(struct buf *b, const struct entry *e)
{
	struct delivery *d = parse_body(e);
	struct delivery_value company;
	const char *text;

	if (d == NULL)
		return (-1);
	company = delivery_company_id(d, delivery_is_enveloped(d));
	if ((text = delivery_text(d, COMPANY_FLUID_COMPANY_ID)) == NULL)
		text = company.text;
	add_part(b, text ? "company" : "shop", text ? text : e->fluid_shop);
	delivery_free(d);
	return (0);
}

/* FNV-1a. */
static uint64_t
hash_of(const char *data, size_t len)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ (unsigned char)data[i]) * 0x100000001b3;
	return (hash);
}

int
job_identify(struct job *job)
{
	const struct entry *e = &job->entry;
	char sha256[SIGNATURE_HEX_SIZE];
	struct buf b = { 0 };
	size_t owner;

	add_part(&b, "droplet", e->droplet);
	owner = b.len;
	if (e->installation) {
		add_part(&b, "installation", e->installation);
	} else if (add_owner(&b, e)) {
		buf_wipe(&b);
		errno = ENOMEM;
		return (-1);
	}
	if (!b.failed)
		snprintf(job->item.owner, sizeof(job->item.owner), "%016llx",
		    (unsigned long long)hash_of(b.data + owner, b.len - owner));
	add_part(&b, "event", job->item.event);
	/* Lines of versions before 0.2 do not have it. */
	if (e->sha256 == NULL)
		sha256_hex(sha256, e->body, e->body_len);
	add_part(&b, "sha256", e->sha256 ? e->sha256 : sha256);
	return (key_of(&b, job->item.key));
}

/* The installation, the event received, and the envelope's id, else its identifier, else the body. */
int
job_old_key(const struct job *job, char key[RUNS_KEY_SIZE])
{
	const struct entry *e = &job->entry;
	struct delivery *d = parse_body(e);
	struct buf b = { 0 };
	bool enveloped;

	if (d == NULL)
		return (-1);
	enveloped = delivery_is_enveloped(d);
	delivery_free(d);
	add_part(&b, "installation", e->installation);
	add_part(&b, "event", e->event);
	if (enveloped && e->id) {
		add_part(&b, "id", e->id);
	} else if (enveloped && e->identifier) {
		add_part(&b, "identifier", e->identifier);
	} else {
		buf_add(&b, "body", sizeof("body"));
		buf_add(&b, e->body, e->body_len);
		buf_addc(&b, '\0');
	}
	return (key_of(&b, key));
}

int
job_read_item(struct job *job, int journal, const struct queue_item *item)
{
	struct buf line = { 0 };
	int result;

	*job = (struct job){ .item = *item };
	if ((result = lines_find(journal, item->delivery, &job->item.place, &line)) == 0) {
		struct follow_place place = job->item.place;

		result = job_read(job, line.data, line.len, &place);
		job->item = *item;
		job->item.place = place;
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
 * Received just now. The receiver writes the journal first and the record right after it, which so may not say yet what
 * the journal does. If that is in the future, the date was wrong then or is now: the time since it was read counts.
 */
static bool
is_within(const struct job *job, int64_t seconds)
{
	struct timespec received;
	int64_t age;

	if (timefmt_parse(job->entry.received_at, &received))
		return (false);
	age = time(NULL) - received.tv_sec;
	return ((age >= 0 ? age : queue_clock() - job->item.seen) < seconds);
}

static bool
is_unsigned(const struct entry *e)
{
	return (e->verified_by && strcmp(e->verified_by, "none") == 0);
}

/*
 * An unsigned body counts if Fluid confirmed it, and not if a signed install with another body has replaced
 * it: the record knows the bodies that count.
 */
static bool
is_of_record(const struct entry *e, const struct installation *i)
{
	char sha256[SIGNATURE_HEX_SIZE];

	sha256_hex(sha256, e->body, e->body_len);
	return (installation_knows_install(i, sha256));
}

enum job_readiness
job_ready(struct job *job, const struct state *s)
{
	enum installation_status status = INSTALLATION_FAILED;
	struct installation *i;
	bool overtaken;

	if (strcmp(job->entry.event, "droplet.installed") != 0 || job->entry.installation == NULL)
		return (JOB_READY);
	if (!name_is_safe(job->entry.installation, strlen(job->entry.installation)))
		return (JOB_READY);
	i = installation_load(s->installations, job->entry.installation);
	if (i == NULL && errno != ENOENT)
		return (JOB_UNKNOWN);
	/* Fluid's denial removes the record of an unsigned install. */
	if (i == NULL && !is_unsigned(&job->entry) && is_within(job, NO_RECORD_SECONDS))
		return (is_within(job, RECORD_SECONDS) ? JOB_BEHIND : JOB_WAITS);
	if (i)
		status = i->status;
	overtaken = i && is_unsigned(&job->entry) && i->status != INSTALLATION_UNCONFIRMED &&
	    !is_of_record(&job->entry, i);
	installation_free(i);
	if (overtaken)
		return (JOB_ENDED);
	if (status == INSTALLATION_PENDING || status == INSTALLATION_UNCONFIRMED)
		return (JOB_WAITS);
	if (status != INSTALLATION_ACTIVE && is_within(job, RECORD_SECONDS))
		return (JOB_BEHIND);
	if (status == INSTALLATION_UNINSTALLED || status == INSTALLATION_SUPERSEDED ||
	    (status == INSTALLATION_FAILED && is_unsigned(&job->entry)))
		return (JOB_ENDED);
	snprintf(job->item.event, sizeof(job->item.event), "%s",
	    status == INSTALLATION_ACTIVE ? "droplet.installed" : "fluidhook.install_failed");
	return (JOB_READY);
}
