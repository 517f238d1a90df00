#ifndef DELIVERY_SEARCH_H
#define DELIVERY_SEARCH_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "delivery/delivery.h"
#include "delivery/secrets.h"
#include "delivery/signature.h"
#include "store/records.h"
#include "store/state.h"

/*
 * Which key a delivery was verified with. X-Fluid-Shop and the ids in the body only select the keys to
 * try. A whole search does a bounded amount of work, whoever sent the request (contract section 3).
 */

/*
 * Bytes hashed for signatures, and records looked at, in one search. The first signature is computed
 * whatever it costs: otherwise no body of more than this could be verified at all.
 */
enum { SEARCH_HASHED_MAX = 16 << 20, SEARCH_RECORDS_MAX = 1024 };

/* A request header: its value, NULL where it is absent, and how often it was there. */
struct header {
	const char *value;
	unsigned count;
};

/* The headers that count. AUTH_TOKEN and Auth-Token are one: they reach a CGI under one name. */
struct fluid_headers {
	struct header shop, timestamp, signature, token, auth_token;
};

/* What to look in. records and state are NULL where the state directory cannot be opened. */
struct authority {
	const struct conf *conf;
	struct secrets *secrets;
	struct records *records;
	const struct state *state;
};

/* What the sender shows: raw keys, and (unless only these count) a signature. */
struct proof {
	bool is_signature;
	unsigned char signature[SIGNATURE_LEN];
	const char *timestamp;
	const char *body;
	size_t len;
	const char *tokens[2]; /* NULL where there is none */
};

struct search {
	const struct authority *a;
	const struct fluid_headers *headers;
	const struct delivery_content *content;
	const struct proof *proof;

	/* What was found: a droplet, or an installation's record. */
	const struct conf_droplet *droplet;
	const struct record *match;
	char fingerprint[FINGERPRINT_SIZE]; /* of the key that matched */

	const struct record *named; /* the record that the body names, whatever its status */
	bool named_unreadable;      /* it exists, or may exist, and could not be read */
	bool candidates;            /* some active installation could have been the sender */
	bool waiting;               /* some verified record still waits for its credentials */
	bool unreadable;            /* a key could not be read: it might have been the one */
	bool cut_off;    /* some keys were not tried: one of them might have been the one */
	bool incomplete; /* an index that was looked in may lack installations */

	/* For the search itself. */
	unsigned char shown[2][SIGNATURE_LEN]; /* digests of the tokens */
	bool shown_only;                       /* try only keys that are among the tokens */
	size_t hashed;
	unsigned looked;
	unsigned collected; /* how many kinds of candidates */
	bool indexed;
	unsigned n_found, n_before;
	const struct record *found[SEARCH_RECORDS_MAX]; /* last: not set before it is used */
};

/**
 * Begin a search, and read the record that the body names. The caller ends it with search_end(), also before
 * another search_begin().
 */
void search_begin(struct search *s, const struct authority *a, const struct fluid_headers *headers,
    const struct delivery *delivery);

/**
 * Try the keys of all droplets and candidates against the proof. A key that the request itself shows is
 * tried first. Returns whether one matches: s->droplet or s->match is set then.
 */
bool search_keys(struct search *s, const struct proof *proof);

/** Whether `token` is the webhook_verification_token of the active installation that the body names. */
bool search_named(struct search *s, const char *token);

/** Give the records back that were found, also s->named and s->match; the caller may take these out. */
void search_end(struct search *s);

/**
 * Whether a droplet has authority over an installation: the stored droplet decides. A record without one
 * belongs to the first droplet of the configuration. A single droplet without a uuid has authority over
 * all. i is verified: what an unconfirmed record says of its droplet means nothing.
 */
bool search_droplet_owns(const struct conf *conf, const struct conf_droplet *droplet,
    const struct installation *i);

#endif
