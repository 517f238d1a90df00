#include "delivery/search.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "store/index.h"
#include "store/lifecycle.h"

/* What HMAC-SHA256 hashes beside the message: two padded keys, the inner digest and its padding. */
enum { HMAC_OVERHEAD = 192 };

bool
search_droplet_owns(const struct conf *conf, const struct conf_droplet *droplet,
    const struct installation *i)
{
	if (droplet->uuid == NULL)
		return (conf->n_droplets == 1);
	if (i->droplet_uuid == NULL)
		return (droplet == &conf->droplets[0]);
	return (strcmp(i->droplet_uuid, droplet->uuid) == 0);
}

/* The record that the body names: an install's or uninstall's, or a business event's by its uuid. NULL: none. */
static const char *
named_record(const struct delivery_content *c)
{
	return (c->is_lifecycle || c->installation ? c->record : NULL);
}

static const struct record *
get(struct search *s, const char *name)
{
	const struct record *r = records_get(s->a->records, name);

	if (r == NULL && errno != ENOENT) {
		/* Who may not wait for the disk searches again where that is allowed (store/wait.h). */
		if (errno != EAGAIN)
			log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", name, NULL);
		s->unreadable = true;
		errno = EIO;
	}
	return (r);
}

void
search_begin(struct search *s, const struct authority *a, const struct fluid_headers *headers,
    const struct delivery *delivery)
{
	const char *name;

	memset(s, 0, offsetof(struct search, found));
	s->a = a;
	s->headers = headers;
	s->content = delivery_content(delivery);
	if (s->a->state == NULL || (name = named_record(s->content)) == NULL)
		return;
	if ((s->named = get(s, name)) == NULL && errno != ENOENT)
		s->named_unreadable = true;
	/* An error of this record alone does not matter to whoever has another key. */
	s->unreadable = false;
}

/* Whether the request shows this key as it is. Digests are compared, so that time tells nothing. */
static bool
is_shown(const struct search *s, const char *key)
{
	unsigned char digest[SIGNATURE_LEN];
	bool shown = false;

	secret_digest(digest, key);
	for (size_t i = 0; i < 2; i++)
		if (s->proof->tokens[i] && signature_equal(digest, s->shown[i]))
			shown = true;
	return (shown);
}

static bool
has_signed(struct search *s, const char *key)
{
	const struct proof *p = s->proof;
	size_t cost = p->len + strlen(p->timestamp) + 1 + HMAC_OVERHEAD;
	unsigned char expected[SIGNATURE_LEN];

	if (s->hashed && (s->hashed >= SEARCH_HASHED_MAX || cost > SEARCH_HASHED_MAX - s->hashed)) {
		s->cut_off = true;
		return (false);
	}
	s->hashed += cost;
	signature_compute(expected, key, p->timestamp, p->body, p->len);
	return (signature_equal(expected, p->signature));
}

static bool
key_matches(struct search *s, const char *key)
{
	if (key == NULL || (s->shown_only && !is_shown(s, key)) ||
	    (s->proof->is_signature && !has_signed(s, key)))
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
		log_line(LOG_LEVEL_ERROR, "secrets cannot be read", "file", droplet->secrets,
		    "error", secrets_problem(droplet->secrets, errno), NULL);
		s->unreadable = true;
		return (false);
	}
	for (size_t i = 0; i < l->n && !match; i++)
		match = key_matches(s, l->secrets[i]);
	secrets_release(s->a->secrets, l);
	return (match);
}

/* Which droplets to try first. The order matters only where two of them share a secret. */
enum rank { OWNER, NAMED, OTHER, N_RANKS };

static enum rank
rank_of(const struct search *s, const struct conf_droplet *droplet)
{
	const char *named = s->content->droplet;

	if (s->named && lifecycle_is_verified(s->named->installation) &&
	    search_droplet_owns(s->a->conf, droplet, s->named->installation))
		return (OWNER);
	return (named && droplet->uuid && strcmp(named, droplet->uuid) == 0 ? NAMED : OTHER);
}

static bool
find_droplet(struct search *s)
{
	const struct conf *conf = s->a->conf;

	for (enum rank rank = OWNER; rank < N_RANKS; rank++)
		for (size_t i = 0; i < conf->n_droplets; i++)
			if (rank_of(s, &conf->droplets[i]) == rank &&
			    droplet_matches(s, &conf->droplets[i])) {
				s->droplet = &conf->droplets[i];
				return (true);
			}
	return (false);
}

static bool
has_key(const struct installation *i)
{
	return (i->webhook_verification_token || i->subscription_auth_token);
}

/* A verified record whose key is still to come; also of one that works, whose newer install is not exchanged. */
static bool
waits_for_key(const struct installation *i)
{
	return (lifecycle_is_verified(i) &&
	    (i->status == INSTALLATION_PENDING || i->status == INSTALLATION_FAILED ||
		(i->status == INSTALLATION_ACTIVE && i->exchange_token)));
}

/* Only active installations are candidates. Returns whether it is one, and so keeps the record. */
static bool
is_candidate(struct search *s, const struct installation *i)
{
	if (waits_for_key(i))
		s->waiting = true;
	return (i->status == INSTALLATION_ACTIVE && has_key(i));
}

/* Look at one installation. Non-zero ends the search: enough were looked at. */
static int
look_at(void *user, const char *name)
{
	struct search *s = user;
	const struct record *r;

	/* An index has a name only once: compare with what was found before this one. */
	for (unsigned i = 0; i < s->n_before; i++)
		if (strcmp(s->found[i]->installation->record, name) == 0)
			return (0);
	if (s->looked == SEARCH_RECORDS_MAX) {
		s->cut_off = true;
		return (1);
	}
	s->looked++;
	if ((r = get(s, name)) == NULL) {
		/* An index names it, so there was one. */
		if (s->indexed && errno == ENOENT) {
			log_line(LOG_LEVEL_ERROR, "record is missing that an index names", "record",
			    name, NULL);
			s->unreadable = true;
		}
		return (0);
	}
	if (is_candidate(s, r->installation)) {
		s->candidates = true;
		s->found[s->n_found++] = r;
	} else {
		records_release(s->a->records, r);
	}
	return (0);
}

static void
look_in(struct search *s, int directory, const char *key)
{
	s->n_before = s->n_found;
	if (!s->indexed)
		s->incomplete = !index_is_complete(s->a->state);
	s->indexed = true;
	if (records_each(s->a->records, s->a->state, directory, key, look_at, s)) {
		if (errno != EAGAIN)
			log_errno(LOG_LEVEL_ERROR, "index cannot be read", "key", key, NULL);
		s->unreadable = true;
	}
}

static void
look_in_shop(struct search *s, const char *shop)
{
	char name[NAME_SIZE];

	if (shop && name_of_shop(name, shop, strlen(shop)) == 0)
		look_in(s, s->a->state->shops, name);
}

static void
look_in_company(struct search *s, const char *id)
{
	if (id && name_is_safe(id, strlen(id)))
		look_in(s, s->a->state->companies, id);
}

/*
 * Collect the next candidates: the installation that the body names, and those of the shop and the company.
 * Returns false when these were all.
 */
static bool
collect(struct search *s)
{
	const struct delivery_content *c = s->content;

	if (s->a->state == NULL) {
		s->unreadable = true;
		return (false);
	}
	switch (s->collected++) {
	case 0:
		if (c->record)
			look_at(s, c->record);
		return (true);
	case 1:
		if (s->headers->shop.count == 1)
			look_in_shop(s, s->headers->shop.value);
		return (true);
	case 2:
		look_in_shop(s, c->shop);
		return (true);
	case 3:
		look_in_company(s, c->company);
		return (true);
	case 4:
		look_in_company(s, c->payload_company_id);
		return (true);
	case 5:
		look_in_company(s, c->body_company_id);
		return (true);
	default:
		return (false);
	}
}

/* No more is collected than what it takes to find one. */
static bool
find_installation(struct search *s)
{
	unsigned i = 0;

	do {
		for (; i < s->n_found; i++) {
			const struct installation *one = s->found[i]->installation;

			if (key_matches(s, one->webhook_verification_token) ||
			    key_matches(s, one->subscription_auth_token)) {
				s->match = s->found[i];
				s->found[i] = s->found[--s->n_found];
				return (true);
			}
		}
	} while (collect(s));
	return (false);
}

bool
search_keys(struct search *s, const struct proof *proof)
{
	s->proof = proof;
	for (size_t i = 0; i < 2; i++)
		if (proof->tokens[i]) {
			secret_digest(s->shown[i], proof->tokens[i]);
			s->shown_only = true;
		}
	if (s->shown_only && (find_droplet(s) || find_installation(s)))
		return (true);
	if (!proof->is_signature)
		return (false);
	s->shown_only = false;
	return (find_droplet(s) || find_installation(s));
}

bool
search_named(struct search *s, const char *token)
{
	const struct installation *i;

	if (s->a->state == NULL || s->named_unreadable) {
		s->unreadable = true;
		return (false);
	}
	if (s->named == NULL)
		return (false);
	i = s->named->installation;
	if (i->status != INSTALLATION_ACTIVE || i->webhook_verification_token == NULL ||
	    !secret_equal(token, i->webhook_verification_token))
		return (false);
	secret_fingerprint(s->fingerprint, token);
	s->match = s->named;
	s->named = NULL;
	return (true);
}

void
search_end(struct search *s)
{
	for (unsigned i = 0; i < s->n_found; i++)
		records_release(s->a->records, s->found[i]);
	records_release(s->a->records, s->named);
	records_release(s->a->records, s->match);
	s->n_found = 0;
	s->named = s->match = NULL;
}
