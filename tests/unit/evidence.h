#ifndef TESTS_UNIT_EVIDENCE_H
#define TESTS_UNIT_EVIDENCE_H

/* A receiver's keys in a temporary directory, and deliveries judged by them. */

#include "support.h"

#include "delivery/authenticate.h"
#include "delivery/signature.h"

enum { NOW = 1700000000 };

#define INSTALLED "'resource':'droplet','event':'installed'"
#define INSTALL(dri, droplet) \
	"{" INSTALLED ",'company':{'droplet_installation_uuid':'" dri "','droplet_uuid':'" droplet \
	"','authentication_token':'dit_n'," \
	"'webhook_verification_token':'wvt_n'}}"
#define UNINSTALL(dri) \
	"{'resource':'droplet','event':'uninstalled','company':" \
	"{'droplet_installation_uuid':'" dri "'}}"
#define UNINSTALL_OF(dri, droplet) \
	"{'resource':'droplet','event':'uninstalled','company':" \
	"{'droplet_installation_uuid':'" dri "','droplet_uuid':'" droplet "'}}"
#define ORDER "{'resource':'order','event':'created','order':{'id':1}}"
#define ORDER_OF(company) \
	"{'payload':{'resource':'order','event':'created','company':{" company "}}}"
#define ORDER_COMPANY_ID(id) \
	"{'payload':{'resource':'order','event':'created','company_id':" id "}}"

/* What a test says of a judgement. droplet, record: whose key it was. */
struct outcome {
	enum verdict verdict;
	const char *reason;
	enum key_kind key;
	const char *droplet, *record;
	bool foreign, applied;
};

#define GENUINE_DROPLET(name) \
	{ \
		VERDICT_GENUINE, NULL, KEY_DROPLET, name, NULL, false, false \
	}
/* The secret is right, but has no authority over what the body is about. */
#define FOREIGN_DROPLET(name) \
	{ \
		VERDICT_GENUINE, NULL, KEY_DROPLET, name, NULL, true, false \
	}
#define GENUINE_INSTALLATION(name) \
	{ \
		VERDICT_GENUINE, NULL, KEY_INSTALLATION, NULL, name, false, false \
	}
/* An install of its own that was applied before. */
#define APPLIED(name) \
	{ \
		VERDICT_GENUINE, NULL, KEY_INSTALLATION, NULL, name, false, true \
	}
#define REFUSED(why) \
	{ \
		VERDICT_NOT_GENUINE, why, KEY_NONE, NULL, NULL, false, false \
	}
#define NO_EVIDENCE(why) \
	{ \
		VERDICT_NO_EVIDENCE, why, KEY_NONE, NULL, NULL, false, false \
	}
#define UNAVAILABLE(why) \
	{ \
		VERDICT_UNAVAILABLE, why, KEY_NONE, NULL, NULL, false, false \
	}

/*
 * One case: a body (with ' for "), the key it is signed with where that is asked for, the outcome.
 */
struct expected {
	const char *name, *body, *key;
	struct outcome want;
};

/* The headers of a request. A count of 0 means: as often as there is a value. */
struct given {
	const char *shop, *timestamp, *signature, *token, *auth_token;
	unsigned timestamp_count, signature_count, token_count, auth_token_count;
};

struct keys {
	char *directory;
	struct conf *conf;
	struct state *state;
	struct authority authority;
};

/*
 * Two droplets: "reports" (drp_r; secrets dws_r2, dws_r1) and "shipping" (drp_s; dws_s).
 * Installations by their uuid, with dit_ and wvt_ tokens: dri_a (acme, company 42, drp_r), dri_b
 * (beta, 43, drp_r), dri_s1 (drp_r) and dri_s2 (drp_s; shared, 44), dri_old (old, 45, no droplet),
 * dri_sub (sub, 46, drp_s; its only key is sub_key, of its subscriptions), and dri_gone,
 * dri_pending, dri_unconfirmed (acme, 42), dri_failed (failing, 47), which are not active.
 */
int evidence_setup(void **state);
int evidence_teardown(void **state);

/** Put the records down again, as evidence_setup() does. */
void evidence_records(struct keys *k);

/**
 * Judge a body with these headers, and check the outcome. by: what a genuine one is verified by.
 */
void expect(struct keys *k, const struct expected *e, const struct given *g);
void expect_by(struct keys *k, const struct expected *e, const struct given *g,
    enum verified_by by);

/** The same, with the signature made with e->key. */
void expect_signed(struct keys *k, const struct expected *e, struct given g);

/** Sign text (its " as they are). Returns hex. */
const char *sign(char hex[SIGNATURE_HEX_SIZE], const char *key, const char *timestamp,
    const char *text);

#endif
