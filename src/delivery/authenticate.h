#ifndef DELIVERY_AUTHENTICATE_H
#define DELIVERY_AUTHENTICATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "delivery/delivery.h"
#include "delivery/search.h"

/* Who sent a delivery, and what that allows: the table "Evidence" of contract section 3. */

enum verified_by { VERIFIED_SIGNATURE, VERIFIED_TOKEN, VERIFIED_BODY_TOKEN, VERIFIED_NONE };
enum key_kind { KEY_DROPLET, KEY_INSTALLATION, KEY_NONE };

/* The words of the journal: "signature", "droplet", ...; key_name(KEY_NONE) is NULL. */
const char *verified_by_name(enum verified_by by);
const char *key_name(enum key_kind key);

struct evidence {
	enum verified_by by;
	enum key_kind key;
	const struct conf_droplet *droplet; /* of KEY_DROPLET; the configuration's */
	/*
	 * KEY_INSTALLATION: the installation whose key it is. KEY_DROPLET: the verified record that the body
	 * names, or NULL. evidence_release() gives it back.
	 */
	const struct record *record;
	/* about a droplet, or an installation, beyond this droplet's authority: 403 */
	bool foreign;
	bool applied; /* an installation's own install, which was applied before */
	bool waiting; /* no key, but a verified record that the delivery selects has none yet */
	char fingerprint[FINGERPRINT_SIZE]; /* of the key that matched; "" for KEY_NONE */
	bool has_timestamp;                 /* a well-formed X-Fluid-Timestamp was there */
	int64_t timestamp;                  /* unix seconds */
};

enum verdict {
	VERDICT_GENUINE,     /* the evidence says by what */
	VERDICT_NOT_GENUINE, /* 401 */
	VERDICT_NO_EVIDENCE, /* the same, but nothing wrong was shown: no signature, no token */
	VERDICT_UNAVAILABLE, /* a key or record could not be read, or there were too many keys to try */
	VERDICT_STALE,       /* a right signature of another time: our clock may be wrong */
};

/**
 * Judge a delivery whose body (len bytes) has been read and parsed. now: unix seconds. What a genuine one
 * may do is in the evidence: foreign and applied.
 * *reason is a static word for the log where the verdict is not VERDICT_GENUINE.
 * The caller ends *evidence with evidence_release() in every case.
 */
enum verdict authenticate(const struct authority *a, const struct fluid_headers *h,
    const struct delivery *d, const char *body, size_t len, int64_t now, struct evidence *evidence,
    const char **reason);

void evidence_release(const struct authority *a, struct evidence *e);

/** Whether a signature and a timestamp are there once each, and well-formed. */
bool signature_is_plausible(const struct fluid_headers *h);

/**
 * Of a delivery that is not genuine: whether its key may still come. Its signature is well-formed and fresh,
 * and a verified record that it selects waits for its credentials.
 */
bool evidence_may_come(const struct conf *conf, const struct fluid_headers *h,
    const struct evidence *e, int64_t now);

#endif
