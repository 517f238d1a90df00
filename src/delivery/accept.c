#include "delivery/accept.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/timefmt.h"
#include "base/uuid.h"
#include "delivery/line.h"
#include "delivery/signature.h"
#include "store/entry.h"
#include "store/journal_reader.h"

/* Bytes of lines that are in memory at once. */
enum { BATCH_BYTES = 4 << 20 };

int
accept_later(struct refused_store *store, uint64_t most, const struct refusal *r)
{
	const struct fluid_headers *h = r->headers;
	char body_sha256[SIGNATURE_HEX_SIZE], sha256[SIGNATURE_HEX_SIZE];
	struct refused kept = {
		.received_at = r->received_at,
		.status = r->status,
		.reason = r->reason,
		.method = r->method,
		.shop = h->shop.value,
		.timestamp = h->timestamp.value,
		.signature = h->signature.value,
		.body = r->body,
		.body_len = r->body_len,
	};
	struct buf identity = { 0 };

	sha256_hex(body_sha256, r->body, r->body_len);
	buf_addf(&identity, "%s\n%s\n%s\n%s\n%s", r->method, kept.shop ? kept.shop : "",
	    kept.timestamp ? kept.timestamp : "", kept.signature ? kept.signature : "",
	    body_sha256);
	if (identity.failed) {
		buf_free(&identity);
		errno = ENOMEM;
		return (-1);
	}
	sha256_hex(sha256, identity.data, identity.len);
	buf_free(&identity);
	memcpy(kept.id, sha256, REFUSED_ID_SIZE - 1);
	return (refused_keep(store, most, &kept));
}

/* A kept request that can be accepted. */
struct candidate {
	char id[REFUSED_ID_SIZE];
	char delivery[UUID_SIZE];
	char installation[NAME_SIZE];
	char sha256[SIGNATURE_HEX_SIZE];
	char event[EVENT_SIZE];
	char day[TIMEFMT_DAY_SIZE]; /* when it was received */
	struct buf line;            /* of the journal */
	bool in_journal;
};

/* The requests that are accepted together. */
struct batch {
	struct candidate *items;
	size_t n, bytes;
	struct timespec now;
};

static void
batch_free(struct batch *b)
{
	for (size_t i = 0; i < b->n; i++)
		buf_wipe(&b->items[i].line);
	free(b->items);
	*b = (struct batch){ 0 };
}

/*
 * Whether a verified request is one that the receiver would have accepted. Fluid sends an install or
 * uninstall again after a 503, so these are left to that.
 */
static bool
is_acceptable(const struct delivery_content *c, const struct evidence *e)
{
	return (e->key == KEY_INSTALLATION && e->by == VERIFIED_SIGNATURE && c->well_formed &&
	    c->kind == DELIVERY_BUSINESS);
}

/* Fill a candidate, with its line. Returns 0, or -1: ENOMEM. */
static int
fill(const struct accepting *a, const struct refused *r, const struct fluid_headers *h,
    const struct delivery_content *content, const struct evidence *e, const struct timespec *now,
    struct candidate *c)
{
	const struct installation *i = e->record->installation;
	const struct accepted_line line = {
		.conf = a->authority.conf,
		.headers = h,
		.content = content,
		.evidence = e,
		.body = r->body,
		.body_len = r->body_len,
		.received_at = *now,
		.delivery = c->delivery,
		.installation = c->installation,
		.known = i,
		.refused = c->id,
		.refused_at = &r->received_at,
	};

	*c = (struct candidate){ 0 };
	memcpy(c->id, r->id, sizeof(c->id));
	memccpy(c->event, content->event, '\0', sizeof(c->event));
	memccpy(c->installation, i->record, '\0', sizeof(c->installation));
	sha256_hex(c->sha256, r->body, r->body_len);
	timefmt_day(c->day, r->received_at.tv_sec);
	uuid_v7(c->delivery, now);
	return (line_write(&line, &c->line));
}

/* Judge one request, and add it to the batch if it can be accepted. Returns 0, or -1 with errno set. */
static int
consider(const struct accepting *a, struct batch *b, const struct refused *r,
    const struct delivery *d)
{
	const struct fluid_headers headers = {
		.shop = { r->shop, r->shop != NULL },
		.timestamp = { r->timestamp, r->timestamp != NULL },
		.signature = { r->signature, r->signature != NULL },
	};
	struct candidate *c = &b->items[b->n];
	struct evidence e;
	const char *reason;
	int result = 0;

	if (authenticate(&a->authority, &headers, d, r->body, r->body_len, r->received_at.tv_sec,
		&e, &reason) == VERDICT_GENUINE &&
	    is_acceptable(delivery_content(d), &e)) {
		result = fill(a, r, &headers, delivery_content(d), &e, &b->now, c);
		if (result == 0) {
			b->bytes += c->line.len;
			b->n++;
		} else {
			buf_wipe(&c->line);
		}
	}
	evidence_release(&a->authority, &e);
	return (result);
}

/* Read one request and judge it. One that cannot be read is named and left. Returns 0, or -1: ENOMEM. */
static int
consider_id(const struct accepting *a, struct batch *b, const char *id)
{
	struct buf texts = { 0 }, file = { 0 };
	struct delivery *d = delivery_new();
	struct refused r;
	int result = -1;

	if (d == NULL)
		return (-1);
	if (refused_read(a->refused, id, &r, &texts, &file) == 0) {
		delivery_feed(d, r.body, r.body_len);
		delivery_finish(d);
		result = consider(a, b, &r, d);
	} else {
		if (errno != ENOENT)
			log_errno(LOG_LEVEL_WARN, "kept request cannot be read", "refused", id,
			    NULL);
		result = 0;
	}
	delivery_free(d);
	buf_wipe(&texts);
	buf_wipe(&file);
	return (result);
}

/* Whether this line of the journal is the same delivery. */
static void
compare_line(struct batch *b, const struct buf *line)
{
	static const char key[] = "\"sha256\":\"";
	const char *sha256 = memmem(line->data, line->len, key, sizeof(key) - 1);
	struct buf texts = { 0 };
	struct entry entry;

	/* Inside a string the quotes would be escaped. Lines of versions before 0.2 have no digest. */
	if (sha256 == NULL ||
	    line->len - (size_t)(sha256 - line->data) < sizeof(key) + SIGNATURE_HEX_SIZE)
		return;
	sha256 += sizeof(key) - 1;
	for (size_t i = 0; i < b->n; i++) {
		struct candidate *c = &b->items[i];

		if (c->in_journal || memcmp(sha256, c->sha256, SIGNATURE_HEX_SIZE - 1) != 0)
			continue;
		/* Also one whose body is sealed under another key. */
		if ((entry_read(&entry, line->data, line->len, &texts) == 0 || errno == ENOKEY) &&
		    entry.installation && strcmp(entry.installation, c->installation) == 0)
			c->in_journal = true;
		buf_reset(&texts);
	}
	buf_wipe(&texts);
}

/* Look through the journal, back to the day when the first of the batch was received. 0, or -1. */
static int
find_in_journal(const struct accepting *a, struct batch *b)
{
	struct journal_reader *reader = journal_reader_new(a->authority.state->journal);
	struct buf line = { 0 };
	const char *first = b->items[0].day;
	int result = -1, saved;

	if (reader == NULL)
		return (-1);
	while ((result = journal_reader_previous(reader, &line)) != 0) {
		/* What is no file has no line. */
		if (result == -1 && (errno == EINVAL || errno == ELOOP))
			continue;
		if (result == -1)
			break;
		if (strncmp(journal_reader_file(reader), first, JOURNAL_DAY_LEN) < 0) {
			result = 0;
			break;
		}
		compare_line(b, &line);
	}
	saved = errno;
	buf_wipe(&line);
	journal_reader_free(reader);
	errno = saved;
	return (result);
}

/* Two requests of one batch with the same body for the same installation are the same delivery. */
static bool
is_repeated(const struct batch *b, size_t k)
{
	for (size_t i = 0; i < k; i++)
		if (strcmp(b->items[i].sha256, b->items[k].sha256) == 0 &&
		    strcmp(b->items[i].installation, b->items[k].installation) == 0)
			return (true);
	return (false);
}

/* Append what is not in the journal yet; only then it is no longer kept. Returns 0, or -1 with errno. */
static int
append_batch(const struct accepting *a, struct batch *b, int *accepted)
{
	for (size_t i = 0; i < b->n; i++) {
		struct candidate *c = &b->items[i];

		if (!c->in_journal && !is_repeated(b, i)) {
			if (journal_append(a->journal, c->line.data, c->line.len, &b->now))
				return (-1);
			log_line(LOG_LEVEL_INFO, "kept request accepted", "refused", c->id, "event",
			    c->event, "installation", c->installation, "delivery", c->delivery,
			    NULL);
			++*accepted;
		}
		if (refused_remove(a->refused, c->id))
			return (-1);
	}
	return (0);
}

int
accept_kept(const struct accepting *a, const char (*ids)[REFUSED_ID_SIZE], size_t n)
{
	struct batch b = { 0 };
	int accepted = 0, result = 0;
	size_t at = 0;

	while (result == 0 && at < n) {
		clock_gettime(CLOCK_REALTIME, &b.now);
		if ((b.items = calloc(n - at, sizeof(*b.items))) == NULL)
			return (-1);
		while (result == 0 && at < n && b.bytes < BATCH_BYTES)
			result = consider_id(a, &b, ids[at++]);
		if (result == 0 && b.n)
			result = find_in_journal(a, &b) || append_batch(a, &b, &accepted) ? -1 : 0;
		batch_free(&b);
	}
	return (result ? -1 : accepted);
}
