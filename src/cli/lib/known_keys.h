#ifndef CLI_LIB_KNOWN_KEYS_H
#define CLI_LIB_KNOWN_KEYS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/conf.h"
#include "delivery/secrets.h"

/*
 * Every key that can still be read: the secrets of the droplets, the keys in the records, and those that installs
 * in the journal brought. An installation that has ended has no key in its record.
 */

struct known_key {
	char fingerprint[FINGERPRINT_SIZE];
	char *key;
	char *record; /* the installation's; NULL: a droplet's */
	/* From a record, a configured file or a verified install. What is not, counts only by its fingerprint. */
	bool is_verified;
};

struct known_keys {
	struct known_key *all; /* by fingerprint */
	size_t n, cap;
	const struct known_key **by_record; /* all of them, a droplet's first */
	bool incomplete;                    /* something could not be read, which was said */
};

/**
 * Collect them. To be ended with known_keys_free() in every case. Returns 0, or -1 after saying what is wrong.
 */
int known_keys_collect(struct known_keys *k, const struct conf *conf);

void known_keys_free(struct known_keys *k);

/** The first of the *n keys with this fingerprint. */
const struct known_key *known_keys_find(const struct known_keys *k, const char *fingerprint,
    size_t *n);

/** The first of the *n keys of this record; NULL: of the droplets. */
const struct known_key *const *known_keys_of(const struct known_keys *k, const char *record,
    size_t *n);

#endif
