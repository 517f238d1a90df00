#include "delivery/authenticate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "delivery/signature.h"
#include "store/index.h"

/* Bounds on what one request can make us compute: keys tried, and index entries looked at. */
enum { KEYS_MAX = 128, INDEX_MAX = 4096, TIMESTAMP_DIGITS_MAX = 18 };

/* What the sender shows: a signature, or (without one) tokens. */
struct proof {
	bool is_signature;
	unsigned char signature[SIGNATURE_LEN];
	const char *timestamp;
	const char *body;
	size_t len;
	const char *tokens[2];
};

struct search {
	const struct authority *a;
	const struct proof *proof;
	const struct record *tried[KEYS_MAX];
	unsigned n_tried;
	bool candidates;	/* there was some installation that could have signed */
	bool unreadable;	/* some key could not be read */
	const struct record *match;
	char fingerprint[FINGERPRINT_SIZE];	/* of the key that matched */
};

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
proves(const struct proof *p, const char *key)
{
	unsigned char expected[SIGNATURE_LEN];
	bool match = false;

	if (p->is_signature) {
		signature_compute(expected, key, p->timestamp, p->body, p->len);
		return (signature_equal(expected, p->signature));
	}
	for (size_t i = 0; i < 2; i++)
		if (p->tokens[i] && secret_equal(p->tokens[i], key))
			match = true;
	return (match);
}

static bool
key_matches(struct search *s, const char *key)
{
	if (!proves(s->proof, key))
		return (false);
	secret_fingerprint(s->fingerprint, key);
	return (true);
}

static bool
droplet_matches(struct search *s, const struct conf_droplet *droplet)
{
	struct secret_list *l;
	bool match = false;

	if (droplet->secrets == NULL)
		return (false);
	if ((l = secrets_get(s->a->secrets, droplet->secrets)) == NULL) {
		log_errno(LOG_LEVEL_ERROR, "secrets cannot be read", "file", droplet->secrets, NULL);
		s->unreadable = true;
		return (false);
	}
	for (size_t i = 0; i < l->n && !match; i++)
		match = key_matches(s, l->secrets[i]);
	secrets_release(s->a->secrets, l);
	return (match);
}

/*
 * The droplet whose secret fits. Where the body names one of several configured droplets, only that
 * one's secrets can speak for it.
 */
static const struct conf_droplet *
find_droplet(struct search *s, const struct delivery *d)
{
	const struct conf *conf = s->a->conf;
	const struct conf_droplet *named = conf_droplet_by_uuid(conf,
	    delivery_text(d, COMPANY_DROPLET_UUID));

	if (named)
		return (droplet_matches(s, named) ? named : NULL);
	for (size_t i = 0; i < conf->n_droplets; i++)
		if (droplet_matches(s, &conf->droplets[i]))
			return (&conf->droplets[i]);
	return (NULL);
}

/* Try the key of one installation. Non-zero ends the search: it fits, or enough was tried. */
static int
try_record(void *user, const char *name)
{
	struct search *s = user;
	const struct record *r;

	if (s->n_tried == KEYS_MAX)
		return (1);
	for (unsigned i = 0; i < s->n_tried; i++)
		if (strcmp(s->tried[i]->installation->record, name) == 0)
			return (0);
	if ((r = records_get(s->a->records, name)) == NULL) {
		if (errno != ENOENT) {
			log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", name, NULL);
			s->unreadable = true;
		}
		return (0);
	}
	if (r->installation->status != INSTALLATION_ACTIVE ||
	    r->installation->webhook_verification_token == NULL) {
		records_release(s->a->records, r);
		return (0);
	}
	s->candidates = true;
	s->tried[s->n_tried++] = r;
	if (!key_matches(s, r->installation->webhook_verification_token))
		return (0);
	s->match = r;
	return (1);
}

static void
try_index(struct search *s, int folder, const char *key)
{
	if (s->match == NULL && index_each(folder, key, INDEX_MAX, try_record, s)) {
		log_errno(LOG_LEVEL_ERROR, "index cannot be read", "key", key, NULL);
		s->unreadable = true;
	}
}

static void
try_shop(struct search *s, const char *shop)
{
	char name[NAME_SIZE];

	if (shop && name_of_shop(name, shop, strlen(shop)) == 0)
		try_index(s, s->a->state->shops, name);
}

static void
try_company(struct search *s, struct delivery_value id)
{
	if (id.text && name_is_safe(id.text, id.len))
		try_index(s, s->a->state->companies, id.text);
}

/* X-Fluid-Shop and the ids in the body choose which keys to try, and nothing else. */
static void
find_installation(struct search *s, const struct fluid_headers *h, const struct delivery *d)
{
	char name[NAME_SIZE];

	if (s->a->state == NULL) {
		s->unreadable = true;
		return;
	}
	if (delivery_record(d, name) == 0)
		try_record(s, name);
	if (h->shop.count == 1)
		try_shop(s, h->shop.value);
	try_shop(s, delivery_text(d, COMPANY_SHOP));
	try_company(s, delivery_value(d, COMPANY_FLUID_COMPANY_ID));
	try_company(s, delivery_company_id(d, true));
	try_company(s, delivery_company_id(d, false));
}

/* Look through all keys for one that fits, and note it in the evidence. */
static bool
find_key(struct search *s, const struct fluid_headers *h, const struct delivery *d,
    struct evidence *e)
{
	e->by = s->proof->is_signature ? VERIFIED_SIGNATURE : VERIFIED_TOKEN;
	if ((e->droplet = find_droplet(s, d)) != NULL) {
		e->key = KEY_DROPLET;
		return (true);
	}
	find_installation(s, h, d);
	if (s->match) {
		e->key = KEY_INSTALLATION;
		e->record = s->match;
	}
	for (unsigned i = 0; i < s->n_tried; i++)
		if (s->tried[i] != s->match)
			records_release(s->a->records, s->tried[i]);
	return (e->key == KEY_INSTALLATION);
}

/* The token in the body, for lifecycle events of an installation that is known already. */
static bool
find_body_token(struct search *s, const struct delivery *d, struct evidence *e)
{
	const char *token = delivery_text(d, COMPANY_VERIFICATION_TOKEN);
	struct proof proof = { .tokens = { token, NULL } };
	char name[NAME_SIZE];

	if (token == NULL || !delivery_is_lifecycle(d) || delivery_record(d, name))
		return (false);
	if (s->a->state == NULL) {
		s->unreadable = true;
		return (false);
	}
	s->proof = &proof;
	if (!try_record(s, name)) {
		if (s->n_tried)
			records_release(s->a->records, s->tried[0]);
		return (false);
	}
	e->by = VERIFIED_BODY_TOKEN;
	e->key = KEY_INSTALLATION;
	e->record = s->match;
	return (true);
}

static bool
differs(const struct delivery *d, enum delivery_field field, const char *known)
{
	struct delivery_value v = delivery_value(d, field);

	return (known && v.text && v.len && strcmp(v.text, known) != 0);
}

/* Whether the body speaks of the installation whose key it was signed with. */
static bool
is_about(const struct delivery *d, const struct installation *i)
{
	char name[NAME_SIZE];

	if (differs(d, COMPANY_DROPLET_UUID, i->droplet_uuid) ||
	    differs(d, COMPANY_FLUID_COMPANY_ID, i->fluid_company_id))
		return (false);
	if (delivery_is_lifecycle(d) || delivery_text(d, COMPANY_DRI))
		return (delivery_record(d, name) != 0 || strcmp(name, i->record) == 0);
	return (true);
}

static bool
is_fresh(const struct conf *conf, int64_t timestamp, int64_t now)
{
	return (llabs(now - timestamp) <= (long long)conf->tolerance);
}

/* Without a signature: a bare token, or the one in the body (contract: legacy_tokens). */
static enum verdict
judge_tokens(struct search *s, const struct fluid_headers *h, const struct delivery *d,
    struct evidence *e, const char **reason)
{
	struct proof proof = { .tokens = { h->token.value, h->auth_token.value } };
	bool shown = h->token.count || h->auth_token.count;

	if (!s->a->conf->legacy_tokens) {
		*reason = "no_signature";
		return (shown ? VERDICT_NOT_GENUINE : VERDICT_NO_EVIDENCE);
	}
	if (h->token.count > 1 || h->auth_token.count > 1) {
		*reason = "duplicate_header";
		return (VERDICT_NOT_GENUINE);
	}
	for (size_t i = 0; i < 2; i++)
		if (proof.tokens[i] && *proof.tokens[i] == '\0')
			proof.tokens[i] = NULL;
	s->proof = &proof;
	if (shown && find_key(s, h, d, e))
		return (VERDICT_GENUINE);
	s->n_tried = 0;
	if (delivery_is_well_formed(d) && find_body_token(s, d, e))
		return (VERDICT_GENUINE);
	*reason = shown ? "bad_token" : "no_signature";
	if (s->unreadable) {
		*reason = "keys_unreadable";
		return (VERDICT_UNAVAILABLE);
	}
	return (shown ? VERDICT_NOT_GENUINE : VERDICT_NO_EVIDENCE);
}

static enum verdict
judge_signature(struct search *s, const struct fluid_headers *h, const struct delivery *d,
    struct evidence *e, const char **reason)
{
	struct proof proof = *s->proof;

	if (h->signature.count > 1 || h->timestamp.count > 1) {
		*reason = "duplicate_header";
		return (VERDICT_NOT_GENUINE);
	}
	if (!e->has_timestamp) {
		*reason = "bad_timestamp";
		return (VERDICT_NOT_GENUINE);
	}
	proof.is_signature = true;
	proof.timestamp = h->timestamp.value;
	*reason = "bad_signature";
	if (signature_parse(proof.signature, h->signature.value))
		return (VERDICT_NOT_GENUINE);
	s->proof = &proof;
	if (find_key(s, h, d, e))
		return (VERDICT_GENUINE);
	if (s->unreadable) {
		*reason = "keys_unreadable";
		return (VERDICT_UNAVAILABLE);
	}
	if (!s->candidates && !delivery_is_lifecycle(d))
		*reason = "unknown_shop";
	return (VERDICT_NOT_GENUINE);
}

enum verdict
authenticate(const struct authority *a, const struct fluid_headers *h, const struct delivery *d,
    const char *body, size_t len, int64_t now, struct evidence *e, const char **reason)
{
	struct proof proof = { .body = body, .len = len };
	struct search s = { .a = a, .proof = &proof };
	enum verdict verdict;

	*e = (struct evidence){ .by = VERIFIED_NONE, .key = KEY_NONE };
	e->has_timestamp = parse_timestamp(&h->timestamp, &e->timestamp) == 0;
	/* A signature that is there has to be right: there is no falling back from a wrong one. */
	if (h->signature.count)
		verdict = judge_signature(&s, h, d, e, reason);
	else
		verdict = judge_tokens(&s, h, d, e, reason);
	if (verdict != VERDICT_GENUINE)
		return (verdict);
	memcpy(e->fingerprint, s.fingerprint, sizeof(e->fingerprint));
	if (e->key == KEY_INSTALLATION && !is_about(d, e->record->installation)) {
		*reason = "other_installation";
		return (VERDICT_NOT_GENUINE);
	}
	if (e->by == VERIFIED_SIGNATURE && !is_fresh(a->conf, e->timestamp, now)) {
		*reason = "stale";
		return (VERDICT_STALE);
	}
	return (VERDICT_GENUINE);
}

void
evidence_release(const struct authority *a, struct evidence *e)
{
	records_release(a->records, e->record);
	e->record = NULL;
}
