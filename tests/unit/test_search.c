/*
 * What one search for a key costs at most, counted in bytes hashed and records looked at, and what is
 * answered when it was cut off (contract section 3, "Evidence").
 * Link with: -Wl,--wrap=signature_compute -Wl,--wrap=records_get
 */
#include "evidence.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "store/index.h"
#include "store/lifecycle.h"

void __real_signature_compute(unsigned char out[SIGNATURE_LEN], const char *key,
    const char *timestamp, const void *body, size_t len);
void __wrap_signature_compute(unsigned char out[SIGNATURE_LEN], const char *key,
    const char *timestamp, const void *body, size_t len);
const struct record *__real_records_get(struct records *r, const char *name);
const struct record *__wrap_records_get(struct records *r, const char *name);

/* Work done since work_begin(). */
static size_t hashed, signatures, looked;

void
__wrap_signature_compute(unsigned char out[SIGNATURE_LEN], const char *key, const char *timestamp,
    const void *body, size_t len)
{
	hashed += len;
	signatures++;
	__real_signature_compute(out, key, timestamp, body, len);
}

const struct record *
__wrap_records_get(struct records *r, const char *name)
{
	looked++;
	return (__real_records_get(r, name));
}

enum { ENDED = 5000, ACTIVE = 200 };

/* A record and its index entries, without syncing: thousands are made. */
static void
add(struct keys *k, const char *name, const char *status, const char *key)
{
	char file[NAME_SIZE + 32], text[512];

	snprintf(file, sizeof(file), "installations/%s.json", name);
	snprintf(text, sizeof(text),
	    "{\"droplet_installation_uuid\":\"%s\",\"status\":\"%s\",\"droplet_uuid\":\"drp_r\","
	    "\"fluid_company_id\":99,\"fluid_shop\":\"crowd\",\"authentication_token\":\"dit\","
	    "\"webhook_verification_token\":\"%s\"}",
	    name, status, key);
	file_text(k->conf->state_dir, file, text, 0600);
	assert_int_equal(index_link(k->state->shops, "crowd", name), 0);
	assert_int_equal(index_link(k->state->companies, "99", name), 0);
}

static void
crowd(struct keys *k, const char *status, int n)
{
	char name[64], key[64];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "dri_%s%d", status, i);
		snprintf(key, sizeof(key), "wvt_%s%d", status, i);
		add(k, name, status, key);
	}
}

static char sent[2 << 20];

/* A business event of so many bytes that names the shop's company. */
static size_t
body_of(size_t len)
{
	int n = snprintf(sent, sizeof(sent),
	    "{\"resource\":\"order\",\"event\":\"created\",\"company_id\":99,\"x\":\"");

	memset(sent + n, 'x', sizeof(sent) - (size_t)n);
	memcpy(sent + len - 2, "\"}", 3);
	return (len);
}

/* Judge it, signed with this key, with a raw key beside it (or NULL). Counts the work. */
static enum verdict
judge(struct keys *k, const char *key, const char *token, size_t len, const char **reason)
{
	char hex[SIGNATURE_HEX_SIZE];
	struct fluid_headers h = { .shop = { "crowd", 1 },
		.timestamp = { "1700000000", 1 },
		.signature = { sign(hex, key, "1700000000", sent), 1 },
		.token = { token, token != NULL } };
	struct delivery *d = delivery_of(sent, len);
	enum verdict verdict;
	struct evidence e;

	assert_true(delivery_is_well_formed(d));
	hashed = signatures = looked = 0;
	*reason = NULL;
	verdict = authenticate(&k->authority, &h, d, sent, len, NOW, &e, reason);
	if (verdict == VERDICT_GENUINE)
		assert_int_equal(e.key, KEY_INSTALLATION);
	evidence_release(&k->authority, &e);
	delivery_free(d);
	return (verdict);
}

/*
 * Goal: in a shop with 5,000 ended installations and 200 active ones, whoever signs a body of 250
 * bytes is found, and whoever does not costs 200 signatures and a few for the droplets.
 */
static void
test_crowd(void **state)
{
	struct keys *k = *state;
	size_t len = body_of(250);
	const char *reason;
	char key[32];

	/* Ended ones leave the indexes, as the worker and every change of a record see to. */
	crowd(k, "active", ACTIVE);
	for (int i = 0; i < ENDED; i++) {
		char name[64];

		snprintf(name, sizeof(name), "dri_uninstalled%d", i);
		add(k, name, "uninstalled", "");
		assert_int_equal(index_remove(k->state->shops, "crowd", name), 0);
		assert_int_equal(index_remove(k->state->companies, "99", name), 0);
	}
	for (int i = 0; i < ACTIVE; i += 33) {
		snprintf(key, sizeof(key), "wvt_active%d", i);
		CHECK(judge(k, key, NULL, len, &reason) == VERDICT_GENUINE, "%s: %s", key,
		    or_none(reason));
	}
	assert_int_equal(judge(k, "nobody", NULL, len, &reason), VERDICT_NOT_GENUINE);
	assert_string_equal(reason, "bad_signature");
	assert_int_equal(signatures, ACTIVE + 3);
	assert_int_equal(hashed, (ACTIVE + 3) * len);
	CHECK(looked <= 2 * ACTIVE, "%zu records looked at", looked);
	printf(
	    "# %d ended and %d active installations in a shop: a request under no key computes %zu "
	    "signatures over %zu bytes in all, and looks at %zu records\n",
	    ENDED, ACTIVE, signatures, hashed, looked);
}

/* Goal: where ended ones are still in an index, so many are looked at and no more: 503, never 401. */
static void
test_stale_index(void **state)
{
	struct keys *k = *state;
	size_t len = body_of(250);
	const char *reason;

	crowd(k, "uninstalled", SEARCH_RECORDS_MAX + 100);
	assert_int_equal(judge(k, "nobody", NULL, len, &reason), VERDICT_UNAVAILABLE);
	assert_string_equal(reason, "too_many_keys");
	CHECK(looked <= SEARCH_RECORDS_MAX, "%zu records looked at", looked);
	assert_int_equal(signatures, 3);
}

/* Goal: large bodies: at most 16 MiB are hashed; a search that was cut off gives 503. */
static void
test_large_bodies(void **state)
{
	struct keys *k = *state;
	const char *reason;
	size_t len;

	crowd(k, "active", 40);
	len = body_of(1 << 20);
	assert_int_equal(judge(k, "nobody", NULL, len, &reason), VERDICT_UNAVAILABLE);
	assert_string_equal(reason, "too_many_keys");
	CHECK(hashed <= SEARCH_HASHED_MAX, "%zu bytes hashed", hashed);
	CHECK(signatures == 15, "%zu signatures", signatures);
	/* With few keys to try, the same body is refused for good. */
	len = body_of(100000);
	assert_int_equal(judge(k, "nobody", NULL, len, &reason), VERDICT_NOT_GENUINE);
	assert_int_equal(signatures, 43);
}

/* Goal: a key that the request shows is tried first, so that it is found in any crowd. */
static void
test_shown_first(void **state)
{
	struct keys *k = *state;
	const char *reason;
	size_t len;
	char key[32];

	crowd(k, "active", 40);
	len = body_of(1 << 20);
	for (int i = 0; i < 40; i++) {
		snprintf(key, sizeof(key), "wvt_active%d", i);
		CHECK(judge(k, key, key, len, &reason) == VERDICT_GENUINE, "%s: %s", key,
		    or_none(reason));
		CHECK(signatures == 1, "%s: %zu signatures", key, signatures);
	}
	/* A raw key without its signature proves nothing, and costs the budget once. */
	assert_int_equal(judge(k, "nobody", "wvt_active7", len, &reason), VERDICT_UNAVAILABLE);
	CHECK(hashed <= SEARCH_HASHED_MAX, "%zu bytes hashed", hashed);
	/* A raw key that is not the one that signed does no harm. */
	len = body_of(250);
	assert_int_equal(judge(k, "wvt_active9", "wvt_active7", len, &reason), VERDICT_GENUINE);
}

/* Goal: a body of more than 16 MiB is tried with one key: more would be too much work. */
static void
test_huge_body(void **state)
{
	struct keys *k = *state;
	size_t len = 17 << 20;
	struct fluid_headers h = { .timestamp = { "1700000000", 1 } };
	char *huge = malloc(len + 1), hex[SIGNATURE_HEX_SIZE];
	const char *reason = NULL;
	struct delivery *d;
	struct evidence e;

	assert_non_null(huge);
	memset(huge, ' ', len);
	huge[len] = '\0';
	memcpy(huge, "{}", 2);
	h.signature = (struct header){ sign(hex, "dws_r2", "1700000000", huge), 1 };
	d = delivery_of(huge, len);
	hashed = signatures = 0;
	assert_int_equal(authenticate(&k->authority, &h, d, huge, len, NOW, &e, &reason),
	    VERDICT_GENUINE);
	assert_int_equal(signatures, 1);
	evidence_release(&k->authority, &e);
	h.signature.value = sign(hex, "dws_s", "1700000000", huge);
	signatures = 0;
	assert_int_equal(authenticate(&k->authority, &h, d, huge, len, NOW, &e, &reason),
	    VERDICT_UNAVAILABLE);
	assert_string_equal(reason, "too_many_keys");
	assert_int_equal(signatures, 1);
	evidence_release(&k->authority, &e);
	delivery_free(d);
	free(huge);
}

/* Goal: while an index is not marked as complete, what it does not have gets 503, and what it has counts. */
static void
test_incomplete_index(void **state)
{
	struct keys *k = *state;
	struct expected e = { "found", ORDER, "wvt_a", GENUINE_INSTALLATION("dri_a") };
	struct given g = { .shop = "acme", .timestamp = "1700000000" };

	assert_int_equal(index_unmark(k->state), 0);
	expect_signed(k, &e, g);
	e = (struct expected){ "not found", ORDER, "nobody", UNAVAILABLE("index_incomplete") };
	expect_signed(k, &e, g);
	g.shop = "no-such-shop";
	expect_signed(k, &e, g);
	/* Nothing was looked for in an index. */
	g.shop = NULL;
	e.want = (struct outcome)REFUSED("unknown_shop");
	expect_signed(k, &e, g);
	assert_int_equal(index_mark(k->state), 0);
	g.shop = "no-such-shop";
	expect_signed(k, &e, g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_crowd, evidence_setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_stale_index, evidence_setup,
		    evidence_teardown),
		cmocka_unit_test_setup_teardown(test_large_bodies, evidence_setup,
		    evidence_teardown),
		cmocka_unit_test_setup_teardown(test_shown_first, evidence_setup,
		    evidence_teardown),
		cmocka_unit_test_setup_teardown(test_huge_body, evidence_setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_incomplete_index, evidence_setup,
		    evidence_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
