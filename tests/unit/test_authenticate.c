/*
 * Who sent a delivery, and what that allows: the evidence table of contract section 3, with real
 * state directories and secrets files. No extra link flags.
 */
#include "evidence.h"

#include <unistd.h>

static const struct given base = { .shop = "acme", .timestamp = "1700000000" };

/* Goal: a droplet's secrets vouch for that droplet: each live one, for everything it sends. */
static void
test_droplet_signature(void **state)
{
	static const struct expected cases[] = {
		{ "install, newest secret", INSTALL("dri_new", "drp_r"), "dws_r2",
		    GENUINE_DROPLET("reports") },
		{ "install, older secret", INSTALL("dri_new", "drp_r"), "dws_r1",
		    GENUINE_DROPLET("reports") },
		{ "install, the other droplet", INSTALL("dri_new", "drp_s"), "dws_s",
		    GENUINE_DROPLET("shipping") },
		{ "uninstall of a known one", UNINSTALL("dri_a"), "dws_r2",
		    GENUINE_DROPLET("reports") },
		{ "uninstall of an unknown one", UNINSTALL("dri_none"), "dws_s",
		    GENUINE_DROPLET("shipping") },
		{ "business", ORDER, "dws_r2", GENUINE_DROPLET("reports") },
		{ "a secret of nobody", INSTALL("dri_new", "drp_r"), "dws_zz",
		    REFUSED("bad_signature") },
		{ "a comment is no secret", INSTALL("dri_new", "drp_r"), "# newest first",
		    REFUSED("bad_signature") },
		{ "the empty key", INSTALL("dri_new", "drp_r"), "", REFUSED("bad_signature") },
		{ "a public id as key", INSTALL("dri_new", "drp_r"), "drp_r",
		    REFUSED("bad_signature") },
		{ "malformed, but signed", "{'company':", "dws_r2", GENUINE_DROPLET("reports") },
	};

	for (size_t i = 0; i < LENGTH(cases); i++)
		expect_signed(*state, &cases[i], base);
}

/*
 * Goal: a droplet's secret has no authority over what is another droplet's, and what is stored decides
 * which one that is, whatever the body says of it.
 */
static void
test_other_droplet(void **state)
{
#define DROPLET(event, value) \
	"{'resource':'droplet','event':'" event "','company':{" \
	"'droplet_installation_uuid':'dri_s2','authentication_token':'dit_n','droplet_uuid':" value \
	"}}"
	static const struct expected cases[] = {
		{ "uninstall that omits the droplet", UNINSTALL("dri_s2"), "dws_r2",
		    FOREIGN_DROPLET("reports") },
		{ "uninstall with its own droplet", DROPLET("uninstalled", "'drp_r'"), "dws_r2",
		    FOREIGN_DROPLET("reports") },
		{ "with the right droplet", DROPLET("uninstalled", "'drp_s'"), "dws_r2",
		    FOREIGN_DROPLET("reports") },
		{ "with an empty one", DROPLET("uninstalled", "''"), "dws_r2",
		    FOREIGN_DROPLET("reports") },
		{ "with null", DROPLET("uninstalled", "null"), "dws_r2",
		    FOREIGN_DROPLET("reports") },
		{ "with a number", DROPLET("uninstalled", "7"), "dws_r2",
		    FOREIGN_DROPLET("reports") },
		{ "install over it", DROPLET("installed", "'drp_r'"), "dws_r2",
		    FOREIGN_DROPLET("reports") },
		{ "install over it, droplet omitted", DROPLET("installed", "null"), "dws_r1",
		    FOREIGN_DROPLET("reports") },
		{ "business event of it", ORDER_OF("'droplet_installation_uuid':'dri_s2'"),
		    "dws_r2", FOREIGN_DROPLET("reports") },
		{ "its own droplet may", DROPLET("installed", "null"), "dws_s",
		    GENUINE_DROPLET("shipping") },
		{ "the other way round", UNINSTALL("dri_a"), "dws_s", FOREIGN_DROPLET("shipping") },
		{ "an install that names the other droplet", INSTALL("dri_new", "drp_s"), "dws_r2",
		    FOREIGN_DROPLET("reports") },
		{ "an install of a droplet that is not configured", INSTALL("dri_new", "drp_x"),
		    "dws_r2", FOREIGN_DROPLET("reports") },
		{ "a business event that names the other droplet",
		    ORDER_OF("'droplet_uuid':'drp_s'"), "dws_r2", FOREIGN_DROPLET("reports") },
		{ "a record without a droplet is the first one's", UNINSTALL("dri_old"), "dws_r2",
		    GENUINE_DROPLET("reports") },
		{ "and not the second one's", UNINSTALL("dri_old"), "dws_s",
		    FOREIGN_DROPLET("shipping") },
		{ "nor to be claimed by naming it", UNINSTALL_OF("dri_old", "drp_s"), "dws_s",
		    FOREIGN_DROPLET("shipping") },
		{ "an unconfirmed record binds nobody", INSTALL("dri_unconfirmed", "drp_s"),
		    "dws_s", GENUINE_DROPLET("shipping") },
		{ "an uninstalled one does", UNINSTALL("dri_gone"), "dws_s",
		    FOREIGN_DROPLET("shipping") },
		{ "a failed one does", UNINSTALL("dri_failed"), "dws_s",
		    FOREIGN_DROPLET("shipping") },
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct given token = { .shop = "acme", .token = cases[i].key };

		expect_signed(*state, &cases[i], base);
		expect_by(*state, &cases[i], &token, VERIFIED_TOKEN);
	}
#undef DROPLET
}

/* Goal: where two droplets have the same secret, the one that owns the record counts. */
static void
test_shared_secret(void **state)
{
	static const struct expected cases[] = {
		{ "of the second, by its record", UNINSTALL("dri_s2"), "dws_both",
		    GENUINE_DROPLET("shipping") },
		{ "of the first, by its record", UNINSTALL("dri_s1"), "dws_both",
		    GENUINE_DROPLET("reports") },
		{ "of the second, by its name", INSTALL("dri_new", "drp_s"), "dws_both",
		    GENUINE_DROPLET("shipping") },
		{ "of nobody: the first", UNINSTALL("dri_none"), "dws_both",
		    GENUINE_DROPLET("reports") },
	};
	struct keys *k = *state;

	file_text(k->directory, "reports", "dws_r2\ndws_r1\ndws_both\n", 0600);
	file_text(k->directory, "shipping", "dws_s\ndws_both\n", 0600);
	for (size_t i = 0; i < LENGTH(cases); i++)
		expect_signed(k, &cases[i], base);
	file_text(k->directory, "reports", "dws_r2\ndws_r1\n", 0600);
	file_text(k->directory, "shipping", "dws_s\n", 0600);
}

/* Goal: a single droplet without a uuid has authority over every installation. */
static void
test_single_droplet(void **state)
{
	static const struct expected cases[] = {
		{ "of another droplet", UNINSTALL("dri_s2"), "dws_any", GENUINE_DROPLET("") },
		{ "of none", UNINSTALL("dri_old"), "dws_any", GENUINE_DROPLET("") },
		{ "a new one", INSTALL("dri_new", "drp_x"), "dws_any", GENUINE_DROPLET("") },
		{ "its business event", ORDER_OF("'droplet_installation_uuid':'dri_a'"), "dws_any",
		    GENUINE_DROPLET("") },
	};
	struct keys *k = *state;
	struct conf *usual = k->conf, *single;

	file_text(k->directory, "any", "dws_any\n", 0600);
	k->authority.conf = single = conf_make(k->directory,
	    "state_dir = state\n[droplet]\nsecrets = any\n");
	for (size_t i = 0; i < LENGTH(cases); i++)
		expect_signed(k, &cases[i], base);
	k->authority.conf = usual;
	conf_free(single);
}

/* Goal: an installation's own key installs nothing; the bytes of an applied install are no news. */
static void
test_own_install(void **state)
{
	static const char *const bodies[] = { INSTALL("dri_a", "drp_r"),
		INSTALL("dri_a", "drp_r") " " };
	struct keys *k = *state;
	struct installation *i = installation_load(k->state->installations, "dri_a");
	char sha256[SIGNATURE_HEX_SIZE];
	struct expected e = { "applied before", INSTALL("dri_a", "drp_r"), "wvt_a",
		APPLIED("dri_a") };
	struct given token = { .shop = "acme", .token = "wvt_a" };

	assert_non_null(i);
	sha256_hex(sha256, quoted(bodies[0]), strlen(bodies[0]));
	assert_int_equal(installation_note_install(i, sha256), 0);
	sha256_hex(sha256, "{}", 2);
	assert_int_equal(installation_note_install(i, sha256), 0);
	assert_int_equal(installation_save(k->state->installations, i), 0);
	installation_free(i);
	expect_signed(k, &e, base);
	expect_by(k, &e, &token, VERIFIED_TOKEN);
	e = (struct expected){ "other bytes", bodies[1], "wvt_a", REFUSED("own_key_install") };
	expect_signed(k, &e, base);
	expect_by(k, &e, &token, VERIFIED_TOKEN);
	e = (struct expected){ "another's, applied to mine", bodies[0], "wvt_b",
		REFUSED("other_installation") };
	expect_signed(k, &e, (struct given){ .shop = "beta", .timestamp = "1700000000" });
	evidence_records(k);
}

/* Whether a delivery that nobody's key fits is found to be of a record that waits for its credentials. */
static bool
is_waiting(struct keys *k, const char *shop, const char *body)
{
	char hex[SIGNATURE_HEX_SIZE];
	struct fluid_headers h = { .shop = { shop, shop != NULL },
		.timestamp = { "1700000000", 1 },
		.signature = { sign(hex, "nobody", "1700000000", body), 1 } };
	struct delivery *d = delivery_of(body, strlen(body));
	const char *reason = NULL;
	struct evidence e;
	bool waiting;

	assert_int_equal(authenticate(&k->authority, &h, d, body, strlen(body), NOW, &e, &reason),
	    VERDICT_NOT_GENUINE);
	waiting = e.waiting;
	evidence_release(&k->authority, &e);
	delivery_free(d);
	return (waiting);
}

/* Goal: what waits for its credentials is noticed where nobody's key fits. */
static void
test_waiting(void **state)
{
	static const struct {
		const char *shop, *body;
		bool waiting;
	} cases[] = {
		{ "acme", ORDER, true },
		{ "failing", ORDER, true },
		{ NULL, ORDER_OF("'fluid_company_id':42"), true },
		{ NULL, ORDER_OF("'droplet_installation_uuid':'dri_pending'"), true },
		{ NULL, ORDER_OF("'droplet_installation_uuid':'dri_failed'"), true },
		{ "beta", ORDER, false },
		{ NULL, ORDER, false },
		{ NULL, ORDER_OF("'droplet_installation_uuid':'dri_unconfirmed'"), false },
		{ NULL, ORDER_OF("'droplet_installation_uuid':'dri_gone'"), false },
	};
	struct keys *k = *state;
	struct installation *i;

	for (size_t n = 0; n < LENGTH(cases); n++)
		CHECK(is_waiting(k, cases[n].shop, quoted(cases[n].body)) == cases[n].waiting,
		    "%s %s", or_none(cases[n].shop), cases[n].body);
	/* One that works, and whose newer install brought a token that is not exchanged yet. */
	assert_non_null(i = installation_load(k->state->installations, "dri_b"));
	assert_int_equal(installation_set(&i->exchange_token, "dex_b"), 0);
	assert_int_equal(installation_save(k->state->installations, i), 0);
	installation_free(i);
	assert_true(is_waiting(k, "beta", quoted(ORDER)));
	evidence_records(k);
}

/*
 * Goal: an installation's key vouches for that installation alone, found by shop, company or uuid;
 * for lifecycle events only about the record that is there.
 */
static void
test_installation_signature(void **state)
{
	static const struct expected cases[] = {
		{ "business", ORDER, "wvt_a", GENUINE_INSTALLATION("dri_a") },
		{ "business, its uuid", ORDER_OF("'droplet_installation_uuid':'dri_a'"), "wvt_a",
		    GENUINE_INSTALLATION("dri_a") },
		{ "business, its company as text", ORDER_OF("'fluid_company_id':'42'"), "wvt_a",
		    GENUINE_INSTALLATION("dri_a") },
		{ "business, another's uuid", ORDER_OF("'droplet_installation_uuid':'dri_b'"),
		    "wvt_a", REFUSED("other_installation") },
		{ "business, another's company", ORDER_OF("'fluid_company_id':43"), "wvt_a",
		    REFUSED("other_installation") },
		{ "business, other company_id is fine", ORDER_COMPANY_ID("7"), "wvt_a",
		    GENUINE_INSTALLATION("dri_a") },
		{ "an install of its own", INSTALL("dri_a", "drp_r"), "wvt_a",
		    REFUSED("own_key_install") },
		{ "the key of its subscriptions", ORDER_OF("'fluid_company_id':46"), "sub_key",
		    GENUINE_INSTALLATION("dri_sub") },
		{ "uninstall under the key of its subscriptions", UNINSTALL("dri_sub"), "sub_key",
		    GENUINE_INSTALLATION("dri_sub") },
		{ "malformed, with its own key", INSTALL("dri_a", "drp_r") "x", "wvt_a",
		    GENUINE_INSTALLATION("dri_a") },
		{ "its own uninstall", UNINSTALL("dri_a"), "wvt_a", GENUINE_INSTALLATION("dri_a") },
		{ "another's install", INSTALL("dri_b", "drp_r"), "wvt_a",
		    REFUSED("other_installation") },
		{ "another's uninstall", UNINSTALL("dri_b"), "wvt_a",
		    REFUSED("other_installation") },
		{ "a new install", INSTALL("dri_new", "drp_r"), "wvt_a",
		    REFUSED("other_installation") },
		{ "an install with no uuid", "{" INSTALLED ",'company':{'fluid_company_id':42}}",
		    "wvt_a", REFUSED("other_installation") },
		{ "its install, moved to another droplet", INSTALL("dri_a", "drp_s"), "wvt_a",
		    REFUSED("other_installation") },
		{ "uninstalled ones have no key", UNINSTALL("dri_gone"), "wvt_gone",
		    REFUSED("bad_signature") },
		{ "pending ones have no key", UNINSTALL("dri_pending"), "wvt_pending",
		    REFUSED("bad_signature") },
		{ "unconfirmed ones have no key", UNINSTALL("dri_unconfirmed"), "wvt_unconfirmed",
		    REFUSED("bad_signature") },
		{ "an API token is no key", ORDER, "dit_a", REFUSED("bad_signature") },
	};

	for (size_t i = 0; i < LENGTH(cases); i++)
		expect_signed(*state, &cases[i], base);
}

/* Goal: X-Fluid-Shop and ids in the body choose keys to try; who it is follows from the key. */
static void
test_candidates(void **state)
{
	static const struct {
		const char *shop;
		struct expected e;
	} cases[] = {
		{ NULL, { "no shop, nothing to go by", ORDER, "wvt_a", REFUSED("unknown_shop") } },
		{ "acme.fluid.app",
		    { "the shop as a host", ORDER, "wvt_a", GENUINE_INSTALLATION("dri_a") } },
		{ "ACME.Fluid.App",
		    { "in capitals", ORDER, "wvt_a", GENUINE_INSTALLATION("dri_a") } },
		{ "nobody", { "unknown shop", ORDER, "wvt_a", REFUSED("unknown_shop") } },
		{ "../acme", { "hostile shop", ORDER, "wvt_a", REFUSED("unknown_shop") } },
		{ "", { "empty shop", ORDER, "wvt_a", REFUSED("unknown_shop") } },
		{ "beta", { "another's shop, my key", ORDER, "wvt_a", REFUSED("bad_signature") } },
		{ "beta",
		    { "their shop, their key", ORDER, "wvt_b", GENUINE_INSTALLATION("dri_b") } },
		{ "beta",
		    { "their shop, my body, my key",
			ORDER_OF("'droplet_installation_uuid':'dri_a'"), "wvt_a",
			GENUINE_INSTALLATION("dri_a") } },
		{ "beta",
		    { "their shop, my body, their key",
			ORDER_OF("'droplet_installation_uuid':'dri_a'"), "wvt_b",
			REFUSED("other_installation") } },
		{ "acme",
		    { "my shop, uninstall of theirs, my key", UNINSTALL("dri_b"), "wvt_a",
			REFUSED("other_installation") } },
		{ NULL,
		    { "by company", ORDER_OF("'fluid_company_id':42"), "wvt_a",
			GENUINE_INSTALLATION("dri_a") } },
		{ NULL,
		    { "by company_id of the payload", ORDER_COMPANY_ID("42"), "wvt_a",
			GENUINE_INSTALLATION("dri_a") } },
		{ NULL,
		    { "by company_id of the root",
			"{'company_id':'42','resource':'order','event':'created'}", "wvt_a",
			GENUINE_INSTALLATION("dri_a") } },
		{ NULL,
		    { "by shop in the body", ORDER_OF("'fluid_shop':'Acme'"), "wvt_a",
			GENUINE_INSTALLATION("dri_a") } },
		{ NULL,
		    { "by uuid", ORDER_OF("'droplet_installation_uuid':'dri_a'"), "wvt_a",
			GENUINE_INSTALLATION("dri_a") } },
		{ "shared",
		    { "one of two in a shop", ORDER, "wvt_s1", GENUINE_INSTALLATION("dri_s1") } },
		{ "shared",
		    { "the other of two", ORDER, "wvt_s2", GENUINE_INSTALLATION("dri_s2") } },
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct given g = base;

		g.shop = cases[i].shop;
		expect_signed(*state, &cases[i].e, g);
	}
}

/*
 * Goal: timestamps are plain decimal digits, covered by the signature, and at most `tolerance`
 * away.
 */
static void
test_timestamps(void **state)
{
	static const struct {
		const char *timestamp;
		enum verdict verdict;
		const char *reason;
	} cases[] = {
		{ "1700000000", VERDICT_GENUINE, NULL },
		{ "1699999700", VERDICT_GENUINE, NULL },
		{ "1700000300", VERDICT_GENUINE, NULL },
		{ "1699999699", VERDICT_STALE, "stale" },
		{ "1700000301", VERDICT_STALE, "stale" },
		{ "1", VERDICT_STALE, "stale" },
		{ "999999999999999999", VERDICT_STALE, "stale" },
		{ "9223372036854775807", VERDICT_NOT_GENUINE, "bad_timestamp" },
		{ "18446744075409551616", VERDICT_NOT_GENUINE, "bad_timestamp" },
		{ "01700000000", VERDICT_NOT_GENUINE, "bad_timestamp" },
		{ "+1700000000", VERDICT_NOT_GENUINE, "bad_timestamp" },
		{ "-1700000000", VERDICT_NOT_GENUINE, "bad_timestamp" },
		{ " 1700000000", VERDICT_NOT_GENUINE, "bad_timestamp" },
		{ "1700000000 ", VERDICT_NOT_GENUINE, "bad_timestamp" },
		{ "1700000000.0", VERDICT_NOT_GENUINE, "bad_timestamp" },
		{ "1.7e9", VERDICT_NOT_GENUINE, "bad_timestamp" },
		{ "0x6553f100", VERDICT_NOT_GENUINE, "bad_timestamp" },
		{ "1700000000, 1700000000", VERDICT_NOT_GENUINE, "bad_timestamp" },
		{ "", VERDICT_NOT_GENUINE, "bad_timestamp" },
		{ NULL, VERDICT_NOT_GENUINE, "bad_timestamp" },
	};

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct given g = base;
		struct expected e = { or_none(cases[i].timestamp), ORDER, "dws_r2",
			{ cases[i].verdict, cases[i].reason, KEY_DROPLET, "reports", NULL, false,
			    false } };

		g.timestamp = cases[i].timestamp;
		expect_signed(*state, &e, g);
		/*
		 * A wrong signature is wrong, however old: only a right one is worth a second try.
		 */
		e.key = "dws_zz";
		e.want = (struct outcome)REFUSED(
		    cases[i].verdict == VERDICT_NOT_GENUINE ? cases[i].reason : "bad_signature");
		expect_signed(*state, &e, g);
	}
}

/* Goal: a signature made for another time or another body is no signature for this one. */
static void
test_covered(void **state)
{
	struct given g = base;
	struct expected e = { "signed for another time", ORDER, NULL, REFUSED("bad_signature") };
	char hex[SIGNATURE_HEX_SIZE];

	g.signature = sign(hex, "dws_r2", "1700000001", quoted(ORDER));
	expect(*state, &e, &g);
	e.name = "signed for another body";
	g.signature = sign(hex, "dws_r2", "1700000000", "{}");
	expect(*state, &e, &g);
	e.name = "signed without the time";
	g.signature = sign(hex, "dws_r2", "", quoted(ORDER));
	expect(*state, &e, &g);
	e.name = "first half right";
	sign(hex, "dws_r2", "1700000000", quoted(ORDER));
	hex[63] = hex[63] == '0' ? '1' : '0';
	g.signature = hex;
	expect(*state, &e, &g);
	e = (struct expected){ "in capitals", ORDER, NULL, GENUINE_DROPLET("reports") };
	sign(hex, "dws_r2", "1700000000", quoted(ORDER));
	for (char *p = hex; *p; p++)
		*p = *p >= 'a' ? (char)(*p - 32) : *p;
	expect(*state, &e, &g);
}

/*
 * Goal: a signature that is there must be right; no token makes up for a wrong, odd or doubled
 * one.
 */
static void
test_no_falling_back(void **state)
{
	char right[SIGNATURE_HEX_SIZE], cut[SIGNATURE_HEX_SIZE];
	const struct {
		const char *name, *signature;
		unsigned count;
		const char *reason;
	} cases[] = {
		{ "empty", "", 1, "bad_signature" },
		{ "not hexadecimal", "right", 1, "bad_signature" },
		{ "cut", cut, 1, "bad_signature" },
		{ "with a prefix", "sha256=00", 1, "bad_signature" },
		{ "two right ones", right, 2, "duplicate_header" },
		{ "two, none with a value", NULL, 2, "duplicate_header" },
	};

	sign(right, "dws_r2", "1700000000", quoted(INSTALL("dri_a", "drp_r")));
	snprintf(cut, sizeof(cut), "%.62s", right);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct expected e = { cases[i].name, INSTALL("dri_a", "drp_r"), NULL,
			REFUSED(cases[i].reason) };
		struct given g = base;

		g.signature = cases[i].signature;
		g.signature_count = cases[i].count;
		g.token = g.auth_token = "dws_r2";
		expect(*state, &e, &g);
	}
}

/* Goal: a doubled timestamp is refused, right signature or not. */
static void
test_two_timestamps(void **state)
{
	struct expected e = { "two timestamps", ORDER, "dws_r2", REFUSED("duplicate_header") };
	struct given g = base;

	g.timestamp_count = 2;
	expect_signed(*state, &e, g);
}

/* Goal: plausible is one well-formed signature with one well-formed timestamp, right or wrong. */
static void
test_plausible(void **state)
{
	char hex[SIGNATURE_HEX_SIZE];
	struct fluid_headers h = { .timestamp = { "1700000000", 1 },
		.signature = { sign(hex, "nobody", "1", ""), 1 } };

	(void)state;
	assert_true(signature_is_plausible(&h));
	h.signature.count = 2;
	assert_false(signature_is_plausible(&h));
	h.signature = (struct header){ NULL, 0 };
	assert_false(signature_is_plausible(&h));
	h.signature = (struct header){ "abc", 1 };
	assert_false(signature_is_plausible(&h));
	h.signature = (struct header){ hex, 1 };
	h.timestamp = (struct header){ "17x", 1 };
	assert_false(signature_is_plausible(&h));
	h.timestamp = (struct header){ "1700000000", 2 };
	assert_false(signature_is_plausible(&h));
	h.timestamp = (struct header){ NULL, 0 };
	assert_false(signature_is_plausible(&h));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_droplet_signature),
		cmocka_unit_test(test_other_droplet),
		cmocka_unit_test(test_shared_secret),
		cmocka_unit_test(test_single_droplet),
		cmocka_unit_test(test_own_install),
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_installation_signature),
		cmocka_unit_test(test_candidates),
		cmocka_unit_test(test_timestamps),
		cmocka_unit_test(test_covered),
		cmocka_unit_test(test_no_falling_back),
		cmocka_unit_test(test_two_timestamps),
		cmocka_unit_test(test_plausible),
	};

	return (cmocka_run_group_tests(tests, evidence_setup, evidence_teardown));
}
