#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/timefmt.h"
#include "cli/repair.h"
#include "delivery/delivery.h"
#include "delivery/signature.h"
#include "store/entry.h"
#include "store/journal_reader.h"
#include "store/lifecycle.h"

/* Lines of the journal, the newest first: the installs and uninstalls whose record is missing. */
struct lines {
	struct buf *all;
	size_t n, cap;
};

static void
lines_free(struct lines *l)
{
	for (size_t i = 0; i < l->n; i++)
		buf_wipe(&l->all[i]);
	free(l->all);
}

/* Keep a copy. Returns 0, or -1 with errno ENOMEM. */
static int
lines_add(struct lines *l, const struct buf *line)
{
	size_t cap = l->cap ? 2 * l->cap : 64;
	struct buf *more, copy = { 0 };

	if (l->n == l->cap) {
		if ((more = reallocarray(l->all, cap, sizeof(*more))) == NULL)
			return (-1);
		l->all = more;
		l->cap = cap;
	}
	buf_add(&copy, line->data, line->len);
	if (copy.failed) {
		buf_free(&copy);
		errno = ENOMEM;
		return (-1);
	}
	l->all[l->n++] = copy;
	return (0);
}

/* Whether it is a verified install or uninstall. An unverified one must not make a record that counts. */
static bool
is_lifecycle(const struct entry *e)
{
	return ((strcmp(e->event, "droplet.installed") == 0 ||
	    strcmp(e->event, "droplet.uninstalled") == 0) && e->installation && e->key &&
	    name_is_safe(e->installation, strlen(e->installation)));
}

/* Whether the record does not exist. Returns 1, 0, or -1 with errno set. */
static int
is_missing(const struct state *s, const char *record)
{
	char file[NAME_SIZE + 8];
	struct stat st;

	snprintf(file, sizeof(file), "%s.json", record);
	if (fstatat(s->installations, file, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return (0);
	return (errno == ENOENT ? 1 : -1);
}

static void
say_file(const struct rebuilding *r, const struct journal_reader *reader, int error)
{
	char what[JOURNAL_NAME_SIZE + 16];

	snprintf(what, sizeof(what), "journal/%s", journal_reader_file(reader));
	r->trouble(r->user, what, error == EINVAL ? "is no regular file" : strerror(error));
}

/* Keep the line if its record is missing. Returns 0, or -1 with errno set. */
static int
consider(struct lines *l, const struct state *s, const struct buf *line, struct buf *texts)
{
	static const char marks[] = "\"droplet.";
	struct entry e;
	int missing;

	/* Most lines are of other events: these need not be parsed. */
	if (line->len == 0 || memmem(line->data, line->len, marks, sizeof(marks) - 1) == NULL)
		return (0);
	buf_reset(texts);
	if (entry_read(&e, line->data, line->len, texts) || !is_lifecycle(&e))
		return (texts->failed ? -1 : 0);
	if ((missing = is_missing(s, e.installation)) == 1)
		missing = lines_add(l, line);
	return (missing);
}

/* Collect them from the whole journal. Returns 0, or -1 with errno set. */
static int
collect(struct lines *l, const struct state *s, const struct rebuilding *r)
{
	struct journal_reader *reader = journal_reader_new(s->journal);
	struct buf line = { 0 }, texts = { 0 };
	int more, result = 0, saved;

	if (reader == NULL)
		return (-1);
	while (result == 0 && (more = journal_reader_previous(reader, &line)) != 0) {
		if (more == -1)
			say_file(r, reader, errno);
		else
			result = consider(l, s, &line, &texts);
	}
	saved = errno;
	buf_wipe(&line);
	buf_wipe(&texts);
	journal_reader_free(reader);
	errno = saved;
	return (result);
}

/* When it was signed: as when it was received, receiver/take.c. */
static int64_t
time_of(const struct conf *conf, const struct entry *e, const struct timespec *received)
{
	int64_t at = e->timestamp ? strtoll(e->timestamp, NULL, 10) : 0;

	if (e->timestamp && (strcmp(e->verified_by ? e->verified_by : "", "signature") == 0 ||
	    llabs(at - received->tv_sec) <= (long long)conf->tolerance))
		return (at);
	return (received->tv_sec);
}

/* What a line says about its record. sha256: where the digest of the body goes if the line has none. */
static struct lifecycle
read_line(const struct conf *conf, const struct entry *e, const struct delivery *d,
    char sha256[SIGNATURE_HEX_SIZE])
{
	struct delivery_value name = delivery_value(d, COMPANY_NAME);
	const char *text = delivery_text(d, COMPANY_NAME);
	struct timespec received = { 0 };

	timefmt_parse(e->received_at, &received);
	if (e->sha256 == NULL)
		sha256_hex(sha256, e->body, e->body_len);
	return ((struct lifecycle){
		.installed = strcmp(e->event, "droplet.installed") == 0,
		.trust = strcmp(e->key, "droplet") == 0 ? TRUST_DROPLET : TRUST_INSTALLATION,
		.record = e->installation,
		.droplet_installation_uuid = delivery_text(d, COMPANY_DRI),
		.droplet_uuid = e->droplet ? e->droplet : delivery_text(d, COMPANY_DROPLET_UUID),
		.fluid_company_id = delivery_text(d, COMPANY_FLUID_COMPANY_ID),
		.fluid_company_id_number =
		    delivery_value(d, COMPANY_FLUID_COMPANY_ID).kind == JSON_NUMBER,
		.fluid_shop = delivery_text(d, COMPANY_SHOP),
		.name = text,
		.name_len = text ? name.len : 0,
		.authentication_token = delivery_text(d, COMPANY_AUTHENTICATION_TOKEN),
		.webhook_verification_token = delivery_text(d, COMPANY_VERIFICATION_TOKEN),
		.exchange_token = delivery_text(d, CREDENTIALS_TOKEN),
		.exchange_token_expires_at = delivery_text(d, CREDENTIALS_EXPIRES_AT),
		.exchange_endpoint = delivery_text(d, CREDENTIALS_ENDPOINT),
		.at = time_of(conf, e, &received),
		.received_at = received,
		.delivery = e->delivery,
		.body_sha256 = e->sha256 ? e->sha256 : sha256,
	});
}

/* Apply one line. Returns 0, or -1 with errno set. */
static int
apply(const struct conf *conf, struct state *s, const struct entry *e)
{
	struct delivery *d = delivery_new();
	char sha256[SIGNATURE_HEX_SIZE];
	enum installation_status status;
	struct lifecycle life;
	int result, saved;

	if (d == NULL)
		return (-1);
	delivery_feed(d, e->body, e->body_len);
	if (delivery_finish(d)) {
		delivery_free(d);
		errno = EBADMSG;
		return (-1);
	}
	life = read_line(conf, e, d, sha256);
	if ((result = state_lock(s)) == 0) {
		result = lifecycle_apply(s, NULL, &life, &status);
		saved = errno;
		state_unlock(s);
		errno = saved;
	}
	saved = errno;
	delivery_free(d);
	errno = saved;
	return (result);
}

/* Report each record once: by the newest line about it. */
static void
report(const struct rebuilding *r, const struct state *s, const char *record)
{
	struct installation *i = installation_load(s->installations, record);

	if (i)
		r->rebuilt(r->user, record, installation_status_name(i->status));
	/* With ENOENT no line was one that makes a record. */
	else if (errno != ENOENT)
		r->trouble(r->user, record, strerror(errno));
	installation_free(i);
}

static int
by_name(const void *a, const void *b)
{
	return (strcmp(*(const char *const *)a, *(const char *const *)b));
}

static int
apply_all(const struct conf *conf, struct state *s, const struct lines *l, const struct rebuilding *r)
{
	char **records = calloc(l->n + 1, sizeof(*records));
	struct buf texts = { 0 };
	struct entry e;
	size_t n = 0;

	if (records == NULL)
		return (-1);
	for (size_t i = l->n; i-- > 0;) {
		buf_reset(&texts);
		if (entry_read(&e, l->all[i].data, l->all[i].len, &texts))
			continue;
		if (apply(conf, s, &e))
			r->trouble(r->user, e.installation, errno == EBADMSG ? "its line in the journal has no "
			    "valid body" : strerror(errno));
		if ((records[n] = strdup(e.installation)) != NULL)
			n++;
	}
	qsort(records, n, sizeof(*records), by_name);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(records[i], records[i - 1]) != 0)
			report(r, s, records[i]);
	for (size_t i = 0; i < n; i++)
		free(records[i]);
	free(records);
	buf_wipe(&texts);
	return (0);
}

int
repair_records(const struct conf *conf, struct state *s, const struct rebuilding *r)
{
	struct lines l = { .all = NULL };
	int result = collect(&l, s, r), saved;

	if (result == 0)
		result = apply_all(conf, s, &l, r);
	saved = errno;
	lines_free(&l);
	errno = saved;
	return (result);
}
