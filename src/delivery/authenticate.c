#include "delivery/authenticate.h"

#include <stdlib.h>
#include <string.h>

#include "delivery/signature.h"
#include "store/lifecycle.h"

enum { TIMESTAMP_DIGITS_MAX = 18 };

const char *
verified_by_name(enum verified_by by)
{
	static const char *const names[] = { "signature", "token", "body_token", "none" };

	return (names[by]);
}

const char *
key_name(enum key_kind key)
{
	static const char *const names[] = { "droplet", "installation", NULL };

	return (names[key]);
}

/* Plain decimal digits; no leading zero, so that the number gives the text back. Returns 0, or -1. */
static int
parse_timestamp(const struct header *h, int64_t *out)
{
	size_t len;

	if (h->count != 1 || h->value == NULL)
		return (-1);
	len = strspn(h->value, "0123456789");
	if (len == 0 || len > TIMESTAMP_DIGITS_MAX || h->value[len] || h->value[0] == '0')
		return (-1);
	*out = strtoll(h->value, NULL, 10);
	return (0);
}

bool
signature_is_plausible(const struct fluid_headers *h)
{
	unsigned char signature[SIGNATURE_LEN];
	int64_t timestamp;

	return (h->signature.count == 1 && signature_parse(signature, h->signature.value) == 0 &&
	    parse_timestamp(&h->timestamp, &timestamp) == 0);
}

static bool
differs(const char *said, const char *known)
{
	return (known && said && strcmp(said, known) != 0);
}

/* Whether the body speaks of the installation whose key it was signed with. */
static bool
is_about(const struct delivery_content *c, const struct installation *i)
{
	if (differs(c->droplet, i->droplet_uuid) || differs(c->company, i->fluid_company_id))
		return (false);
	if (c->is_lifecycle || c->installation)
		return (c->record == NULL || strcmp(c->record, i->record) == 0);
	return (true);
}

/*
 * What an installation's own key may do: everything that is about this installation, except to install. The
 * raw key travels with every business delivery, so an install under it brings no credentials; only the
 * bytes of one that was applied before are no news.
 */
static enum verdict
judge_own_key(const struct delivery_content *c, const char *body, size_t len, struct evidence *e,
    const char **reason)
{
	const struct installation *i = e->record->installation;
	char sha256[SIGNATURE_HEX_SIZE];

	if (!is_about(c, i)) {
		*reason = "other_installation";
		return (VERDICT_NOT_GENUINE);
	}
	if (!c->well_formed || c->kind != DELIVERY_INSTALLED)
		return (VERDICT_GENUINE);
	sha256_hex(sha256, body, len);
	e->applied = installation_knows_install(i, sha256);
	*reason = "own_key_install";
	return (e->applied ? VERDICT_GENUINE : VERDICT_NOT_GENUINE);
}

/* What a droplet's secret may do: everything for this droplet. What is stored decides whose it is. */
static enum verdict
judge_droplet_key(const struct search *s, struct evidence *e, const char **reason)
{
	if (differs(s->content->droplet, e->droplet->uuid))
		e->foreign = true;
	if (s->named_unreadable) {
		*reason = "record_unreadable";
		return (VERDICT_UNAVAILABLE);
	}
	if (e->record && !search_droplet_owns(s->a->conf, e->droplet, e->record->installation))
		e->foreign = true;
	return (VERDICT_GENUINE);
}

static bool
is_fresh(const struct conf *conf, int64_t timestamp, int64_t now)
{
	return (llabs(now - timestamp) <= (long long)conf->tolerance);
}

bool
evidence_may_come(const struct conf *conf, const struct fluid_headers *h, const struct evidence *e,
    int64_t now)
{
	return (e->waiting && signature_is_plausible(h) && is_fresh(conf, e->timestamp, now));
}

/* Raw keys that a request shows. What is longer than any key is none. */
static void
take_tokens(struct proof *p, const struct fluid_headers *h)
{
	const struct header *const headers[] = { &h->token, &h->auth_token };

	for (size_t i = 0; i < 2; i++)
		if (headers[i]->count == 1 && *headers[i]->value &&
		    strlen(headers[i]->value) <= SECRET_LEN_MAX)
			p->tokens[i] = headers[i]->value;
}

/* What a search that found nothing means: 503 if a key that was not tried might have been the one. */
static enum verdict
judge_nothing_found(const struct search *s, enum verdict otherwise, const char **reason)
{
	if (s->unreadable)
		*reason = "keys_unreadable";
	else if (s->cut_off)
		*reason = "too_many_keys";
	else if (s->incomplete)
		*reason = "index_incomplete";
	else
		return (otherwise);
	return (VERDICT_UNAVAILABLE);
}

/* Without a signature: a bare token, or the one in the body (contract: legacy_tokens). */
static enum verdict
judge_tokens(struct search *s, struct proof *p, struct evidence *e, const char **reason)
{
	const struct fluid_headers *h = s->headers;
	const struct delivery_content *c = s->content;
	const char *token = c->verification_token;
	bool shown = h->token.count || h->auth_token.count;

	if (!s->a->conf->legacy_tokens) {
		*reason = "no_signature";
		return (shown ? VERDICT_NOT_GENUINE : VERDICT_NO_EVIDENCE);
	}
	if (h->token.count > 1 || h->auth_token.count > 1) {
		*reason = "duplicate_header";
		return (VERDICT_NOT_GENUINE);
	}
	e->by = VERIFIED_TOKEN;
	if (shown && search_keys(s, p))
		return (VERDICT_GENUINE);
	e->by = VERIFIED_BODY_TOKEN;
	if (token && c->well_formed && c->is_lifecycle && search_named(s, token))
		return (VERDICT_GENUINE);
	*reason = shown ? "bad_token" : "no_signature";
	return (judge_nothing_found(s, shown ? VERDICT_NOT_GENUINE : VERDICT_NO_EVIDENCE, reason));
}

static enum verdict
judge_signature(struct search *s, struct proof *p, struct evidence *e, const char **reason)
{
	const struct fluid_headers *h = s->headers;

	if (h->signature.count > 1 || h->timestamp.count > 1) {
		*reason = "duplicate_header";
		return (VERDICT_NOT_GENUINE);
	}
	if (!e->has_timestamp) {
		*reason = "bad_timestamp";
		return (VERDICT_NOT_GENUINE);
	}
	p->is_signature = true;
	p->timestamp = h->timestamp.value;
	*reason = "bad_signature";
	if (signature_parse(p->signature, h->signature.value))
		return (VERDICT_NOT_GENUINE);
	e->by = VERIFIED_SIGNATURE;
	if (search_keys(s, p))
		return (VERDICT_GENUINE);
	if (!s->candidates && !s->content->is_lifecycle)
		*reason = "unknown_shop";
	return (judge_nothing_found(s, VERDICT_NOT_GENUINE, reason));
}

/* Note whose key it was, and the record that goes with it, which is the evidence's from now on. */
static void
note_key(struct search *s, struct evidence *e)
{
	memcpy(e->fingerprint, s->fingerprint, sizeof(e->fingerprint));
	if (s->droplet) {
		e->key = KEY_DROPLET;
		e->droplet = s->droplet;
		if (s->named && lifecycle_is_verified(s->named->installation)) {
			e->record = s->named;
			s->named = NULL;
		}
	} else {
		e->key = KEY_INSTALLATION;
		e->record = s->match;
		s->match = NULL;
	}
}

enum verdict
authenticate(const struct authority *a, const struct fluid_headers *h, const struct delivery *d,
    const char *body, size_t len, int64_t now, struct evidence *e, const char **reason)
{
	struct proof proof = { .body = body, .len = len };
	struct search s;
	enum verdict verdict;

	*e = (struct evidence){ .by = VERIFIED_NONE, .key = KEY_NONE };
	e->has_timestamp = parse_timestamp(&h->timestamp, &e->timestamp) == 0;
	take_tokens(&proof, h);
	search_begin(&s, a, h, d);
	/* A signature that is present must be correct: there is no other evidence then. */
	if (h->signature.count)
		verdict = judge_signature(&s, &proof, e, reason);
	else
		verdict = judge_tokens(&s, &proof, e, reason);
	if (verdict == VERDICT_GENUINE) {
		note_key(&s, e);
		verdict = e->key == KEY_DROPLET ? judge_droplet_key(&s, e, reason) :
						  judge_own_key(s.content, body, len, e, reason);
	} else {
		e->by = VERIFIED_NONE;
		e->waiting = s.waiting;
	}
	search_end(&s);
	if (verdict == VERDICT_GENUINE && e->by == VERIFIED_SIGNATURE &&
	    !is_fresh(a->conf, e->timestamp, now)) {
		*reason = "stale";
		return (VERDICT_STALE);
	}
	return (verdict);
}

void
evidence_release(const struct authority *a, struct evidence *e)
{
	records_release(a->records, e->record);
	e->record = NULL;
}
