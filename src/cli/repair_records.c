#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/timefmt.h"
#include "cli/repair.h"
#include "delivery/delivery.h"
#include "delivery/lifecycle_read.h"
#include "delivery/signature.h"
#include "store/entry.h"
#include "store/journal_reader.h"
#include "store/lifecycle.h"

/* Lines of the journal, the newest first: the installs and uninstalls whose record is missing. */
struct lines {
	struct found {
		char record[NAME_SIZE];
		struct buf text;
	} * all;
	size_t n, cap;
};

static void
lines_free(struct lines *l)
{
	for (size_t i = 0; i < l->n; i++)
		buf_wipe(&l->all[i].text);
	free(l->all);
}

/* Keep a copy. Returns 0, or -1 with errno ENOMEM. */
static int
lines_add(struct lines *l, const char *record, const struct buf *line)
{
	size_t cap = l->cap ? 2 * l->cap : 64;
	struct found *more;
	struct buf copy = { 0 };

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
	l->all[l->n].text = copy;
	snprintf(l->all[l->n].record, sizeof(l->all[l->n].record), "%s", record);
	l->n++;
	return (0);
}

/* Whether it is a verified install or uninstall. An unverified one must not make a record that counts. */
static bool
is_lifecycle(const struct entry *e)
{
	return ((strcmp(e->event, "droplet.installed") == 0 ||
		    strcmp(e->event, "droplet.uninstalled") == 0) &&
	    e->installation && e->key && name_is_safe(e->installation, strlen(e->installation)));
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
	int missing, sealed = 0;

	/* Most lines are of other events: these need not be parsed. */
	if (line->len == 0 || memmem(line->data, line->len, marks, sizeof(marks) - 1) == NULL)
		return (0);
	buf_reset(texts);
	if (entry_read(&e, line->data, line->len, texts))
		sealed = errno;
	if (sealed == EBADMSG || sealed == ENOMEM || !is_lifecycle(&e))
		return (sealed == ENOMEM ? -1 : 0);
	missing = is_missing(s, e.installation);
	/* A record that is missing, and what it was is sealed: it cannot be made now. */
	if (missing == 1 && sealed) {
		errno = sealed;
		return (-1);
	}
	if (missing == 1)
		missing = lines_add(l, e.installation, line);
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

/* When it was signed: as when it was received, receiver/intake.c. */
static int64_t
time_of(const struct conf *conf, const struct entry *e, const struct timespec *received)
{
	int64_t at = e->timestamp ? strtoll(e->timestamp, NULL, 10) : 0;

	if (e->timestamp &&
	    (strcmp(e->verified_by ? e->verified_by : "", "signature") == 0 ||
		llabs(at - received->tv_sec) <= (long long)conf->tolerance))
		return (at);
	return (received->tv_sec);
}

/* What a line says about its record. sha256: where the digest of the body goes if the line has none. */
static void
read_line(const struct conf *conf, const struct entry *e, const struct delivery *d,
    char sha256[SIGNATURE_HEX_SIZE], struct lifecycle_event *out)
{
	lifecycle_read(d, out);
	timefmt_parse(e->received_at, &out->received_at);
	if (e->sha256 == NULL)
		sha256_hex(sha256, e->body, e->body_len);
	out->installed = strcmp(e->event, "droplet.installed") == 0;
	out->trust = strcmp(e->key, "droplet") == 0 ? TRUST_DROPLET : TRUST_INSTALLATION;
	out->record = e->installation;
	if (e->droplet)
		out->droplet_uuid = e->droplet;
	out->at = time_of(conf, e, &out->received_at);
	out->delivery = e->delivery;
	out->body_sha256 = e->sha256 ? e->sha256 : sha256;
}

/* Apply one line. The caller holds the lock of the records. Returns 0, or -1 with errno set. */
static int
apply(const struct conf *conf, struct state *s, const struct entry *e)
{
	struct delivery *d = delivery_new();
	char sha256[SIGNATURE_HEX_SIZE];
	enum installation_status status;
	struct lifecycle_event life;
	int result = -1, saved;

	if (d == NULL)
		return (-1);
	delivery_feed(d, e->body, e->body_len);
	if (delivery_finish(d) || delivery_event(d) == NULL) {
		errno = EBADMSG;
	} else {
		read_line(conf, e, d, sha256, &life);
		result = lifecycle_apply(s, NULL, &life, &status);
	}
	saved = errno;
	delivery_free(d);
	errno = saved;
	return (result);
}

/* A record that is made again. */
struct again {
	const char *name;
	bool begun, failed;
};

static int
by_name(const void *a, const void *b)
{
	return (strcmp(((const struct again *)a)->name, ((const struct again *)b)->name));
}

/* The records that the lines are about, each once, by name: an array of *n for free(). NULL: ENOMEM. */
static struct again *
records_of(const struct lines *l, size_t *n)
{
	struct again *records = calloc(l->n + 1, sizeof(*records));

	*n = 0;
	if (records == NULL)
		return (NULL);
	for (size_t i = 0; i < l->n; i++)
		records[i].name = l->all[i].record;
	qsort(records, l->n, sizeof(*records), by_name);
	for (size_t i = 0; i < l->n; i++)
		if (*n == 0 || strcmp(records[i].name, records[*n - 1].name) != 0)
			records[(*n)++] = records[i];
	return (records);
}

static const char *
problem(int error)
{
	switch (error) {
	case EBADMSG:
		return ("its line in the journal has no valid body");
	case EAGAIN:
		return ("not made again, as the index of its company is not complete");
	default:
		return (strerror(error));
	}
}

/*
 * Apply the next line of a record. The caller holds the lock. If that fails, the record is removed again: a
 * part of its lines would make one that says something else than the journal, and that no later repair would
 * look at. Returns 0, or -1 with errno set; EBADMSG is an error of the line alone.
 */
static int
apply_locked(const struct conf *conf, struct state *s, const struct entry *e, struct again *again)
{
	char file[NAME_SIZE + 8];
	/* A delivery can have made it since the journal was read. */
	int missing = again->begun ? 1 : is_missing(s, again->name), saved;

	again->failed = missing != 1;
	if (again->failed)
		return (missing);
	again->begun = true;
	if (apply(conf, s, e) == 0)
		return (0);
	saved = errno;
	if (saved != EBADMSG) {
		again->failed = true;
		snprintf(file, sizeof(file), "%s.json", again->name);
		unlinkat(s->installations, file, 0);
	}
	errno = saved;
	return (-1);
}

static void
apply_next(const struct conf *conf, struct state *s, const struct entry *e, struct again *again,
    const struct rebuilding *r)
{
	int result = state_lock(s), saved;

	if (result == 0) {
		result = apply_locked(conf, s, e, again);
		saved = errno;
		state_unlock(s);
		errno = saved;
	} else {
		again->failed = true;
	}
	if (result)
		r->trouble(r->user, again->name, problem(errno));
}

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

/* In the order of the journal, as one installation can have ended another. Returns 0, or -1: ENOMEM. */
static int
apply_all(const struct conf *conf, struct state *s, const struct lines *l,
    const struct rebuilding *r)
{
	size_t n;
	struct again *records = records_of(l, &n), *again;
	struct buf texts = { 0 };
	struct entry e;

	if (records == NULL)
		return (-1);
	for (size_t i = l->n; i-- > 0;) {
		again = bsearch(&(struct again){ .name = l->all[i].record }, records, n,
		    sizeof(*records), by_name);
		buf_reset(&texts);
		if (again->failed)
			continue;
		if (entry_read(&e, l->all[i].text.data, l->all[i].text.len, &texts) == 0)
			apply_next(conf, s, &e, again, r);
	}
	for (size_t i = 0; i < n; i++)
		if (!records[i].failed)
			report(r, s, records[i].name);
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
