/*
 * Bare tokens, tokens in the body, and keys that cannot be read or change on disk (contract section
 * 3, "Evidence"). Time is moved instead of waited for. Link with: -Wl,--wrap=clock_gettime
 */
#include "evidence.h"
#include "wrap.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/index.h"

int __real_clock_gettime(clockid_t clock, struct timespec *out) AS_CLOCK_GETTIME("__real_");
int __wrap_clock_gettime(clockid_t clock, struct timespec *out) AS_CLOCK_GETTIME("__wrap_");

/*
 * How far the program's clock goes ahead: files that were just written look as if they had rested.
 */
static time_t ahead;

int
__wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	int result = __real_clock_gettime(clock, out);

	out->tv_sec += ahead;
	return (result);
}

static int
setup(void **state)
{
	ahead = 0;
	return (evidence_setup(state));
}

/* X-Fluid-Token and AUTH_TOKEN, and what they vouch for. */
static const struct {
	const char *token, *auth_token;
	struct expected e;
} bare[] = {
	{ "dws_r1", NULL,
	    { "droplet secret", INSTALL("dri_new", "drp_r"), NULL, GENUINE_DROPLET("reports") } },
	{ NULL, "dws_r2", { "AUTH_TOKEN", ORDER, NULL, GENUINE_DROPLET("reports") } },
	{ "wvt_a", NULL, { "installation key", ORDER, NULL, GENUINE_INSTALLATION("dri_a") } },
	{ NULL, "wvt_a",
	    { "the same as AUTH_TOKEN", UNINSTALL("dri_a"), NULL, GENUINE_INSTALLATION("dri_a") } },
	{ "wvt_a", "wvt_a", { "both", ORDER, NULL, GENUINE_INSTALLATION("dri_a") } },
	{ "wrong", "wvt_a", { "either may match", ORDER, NULL, GENUINE_INSTALLATION("dri_a") } },
	{ "wvt_a", "wrong", { "the other may", ORDER, NULL, GENUINE_INSTALLATION("dri_a") } },
	{ "", "wvt_a", { "an empty one beside", ORDER, NULL, GENUINE_INSTALLATION("dri_a") } },
	{ "wrong", NULL, { "wrong", ORDER, NULL, REFUSED("bad_token") } },
	{ "", NULL, { "empty", ORDER, NULL, REFUSED("bad_token") } },
	{ "", "", { "empty twice", ORDER, NULL, REFUSED("bad_token") } },
	{ "wvt_", NULL, { "prefix", ORDER, NULL, REFUSED("bad_token") } },
	{ "wvt_aa", NULL, { "longer", ORDER, NULL, REFUSED("bad_token") } },
	{ "wvt_a ", NULL, { "blank behind", ORDER, NULL, REFUSED("bad_token") } },
	{ "wvt_a, wvt_a", NULL, { "joined", ORDER, NULL, REFUSED("bad_token") } },
	{ "dit_a", NULL, { "API token", ORDER, NULL, REFUSED("bad_token") } },
	{ "wvt_b", NULL, { "another shop's", ORDER, NULL, REFUSED("bad_token") } },
	{ "wvt_a", NULL,
	    { "another's uninstall", UNINSTALL("dri_b"), NULL, REFUSED("other_installation") } },
	{ "wvt_a", NULL,
	    { "a new install", INSTALL("dri_new", "drp_r"), NULL, REFUSED("other_installation") } },
	{ "dws_s", NULL,
	    { "another droplet's", INSTALL("dri_new", "drp_r"), NULL,
		FOREIGN_DROPLET("shipping") } },
	{ "wvt_a", NULL,
	    { "an install of its own", INSTALL("dri_a", "drp_r"), NULL,
		REFUSED("own_key_install") } },
	{ "sub_key", NULL,
	    { "the key of its subscriptions", UNINSTALL("dri_sub"), NULL,
		GENUINE_INSTALLATION("dri_sub") } },
	{ "wvt_gone", NULL, { "not active", UNINSTALL("dri_gone"), NULL, REFUSED("bad_token") } },
	{ NULL, NULL, { "nothing at all", ORDER, NULL, NO_EVIDENCE("no_signature") } },
	{ NULL, NULL,
	    { "an install with nothing", INSTALL("dri_new", "drp_r"), NULL,
		NO_EVIDENCE("no_signature") } },
};

/* Goal: without a signature, one of two headers that equals a key does what its signature would. */
static void
test_bare(void **state)
{
	struct keys *k = *state;

	for (size_t i = 0; i < LENGTH(bare); i++) {
		struct given g = { .shop = "acme",
			.token = bare[i].token,
			.auth_token = bare[i].auth_token };
		struct expected off = bare[i].e;

		expect_by(k, &bare[i].e, &g, VERIFIED_TOKEN);
		off.want = (struct outcome)REFUSED("no_signature");
		if (g.token == NULL && g.auth_token == NULL)
			off.want.verdict = VERDICT_NO_EVIDENCE;
		k->conf->legacy_tokens = false;
		expect_by(k, &off, &g, VERIFIED_TOKEN);
		k->conf->legacy_tokens = true;
	}
}

/* Goal: a token header that comes twice is refused, also beside a right one. */
static void
test_doubled(void **state)
{
	const struct expected e = { "doubled", ORDER, NULL, REFUSED("duplicate_header") };
	struct given g = { .shop = "acme", .token = "wvt_a", .token_count = 2 };

	expect_by(*state, &e, &g, VERIFIED_TOKEN);
	g = (struct given){ .shop = "acme",
		.token = "wvt_a",
		.auth_token = "wvt_a",
		.auth_token_count = 2 };
	expect_by(*state, &e, &g, VERIFIED_TOKEN);
}

#define SAYS(event, company) "{'resource':'droplet','event':'" event "','company':{" company "}}"
#define DRI(name) "'droplet_installation_uuid':'" name "'"
#define WVT(token) ",'webhook_verification_token':'" token "'"

/* Tokens in the body, beside this one in X-Fluid-Token. */
static const struct {
	const char *token;
	struct expected e;
} of_body[] = {
	{ NULL,
	    { "an install", SAYS("installed", DRI("dri_a") WVT("wvt_a")), NULL,
		REFUSED("own_key_install") } },
	{ NULL,
	    { "the key of its subscriptions", SAYS("uninstalled", DRI("dri_sub") WVT("sub_key")),
		NULL, NO_EVIDENCE("no_signature") } },
	{ NULL,
	    { "uninstall", SAYS("uninstalled", DRI("dri_a") WVT("wvt_a")), NULL,
		GENUINE_INSTALLATION("dri_a") } },
	{ "wrong",
	    { "beside a wrong header", SAYS("uninstalled", DRI("dri_a") WVT("wvt_a")), NULL,
		GENUINE_INSTALLATION("dri_a") } },
	{ NULL,
	    { "wrong", SAYS("uninstalled", DRI("dri_a") WVT("wvt_b")), NULL,
		NO_EVIDENCE("no_signature") } },
	{ NULL,
	    { "another's", SAYS("uninstalled", DRI("dri_b") WVT("wvt_a")), NULL,
		NO_EVIDENCE("no_signature") } },
	{ NULL,
	    { "a droplet secret", SAYS("installed", DRI("dri_a") WVT("dws_r2")), NULL,
		NO_EVIDENCE("no_signature") } },
	{ NULL,
	    { "unknown installation", SAYS("installed", DRI("dri_new") WVT("wvt_new")), NULL,
		NO_EVIDENCE("no_signature") } },
	{ NULL,
	    { "empty", SAYS("uninstalled", DRI("dri_a") WVT("")), NULL,
		NO_EVIDENCE("no_signature") } },
	{ NULL,
	    { "not active", SAYS("uninstalled", DRI("dri_gone") WVT("wvt_gone")), NULL,
		NO_EVIDENCE("no_signature") } },
	{ NULL,
	    { "unconfirmed", SAYS("installed", DRI("dri_unconfirmed") WVT("wvt_unconfirmed")), NULL,
		NO_EVIDENCE("no_signature") } },
	{ NULL,
	    { "business", ORDER_OF(DRI("dri_a") WVT("wvt_a")), NULL,
		NO_EVIDENCE("no_signature") } },
	{ NULL,
	    { "names nobody", SAYS("uninstalled", "'fluid_shop':'acme'" WVT("wvt_a")), NULL,
		NO_EVIDENCE("no_signature") } },
	{ NULL,
	    { "malformed", SAYS("uninstalled", DRI("dri_a") WVT("wvt_a")) "x", NULL,
		NO_EVIDENCE("no_signature") } },
	{ NULL,
	    { "of another droplet",
		SAYS("installed", DRI("dri_a") WVT("wvt_a") ",'droplet_uuid':'drp_s'"), NULL,
		REFUSED("other_installation") } },
};

/*
 * Goal: the stored token in the body vouches for lifecycle events of the installation it names,
 * only.
 */
static void
test_body_token(void **state)
{
	struct keys *k = *state;

	for (size_t i = 0; i < LENGTH(of_body); i++) {
		struct given g = { .shop = "acme", .token = of_body[i].token };
		struct expected off = of_body[i].e;

		expect_by(k, &of_body[i].e, &g, VERIFIED_BODY_TOKEN);
		off.want = (struct outcome)NO_EVIDENCE("no_signature");
		if (g.token)
			off.want.verdict = VERDICT_NOT_GENUINE;
		k->conf->legacy_tokens = false;
		expect_by(k, &off, &g, VERIFIED_BODY_TOKEN);
		k->conf->legacy_tokens = true;
	}
}

/* Goal: the body's token does not make up for a signature that is there and wrong. */
static void
test_body_token_beside_signature(void **state)
{
	const struct expected e = { "wrong signature",
		SAYS("uninstalled", DRI("dri_a") WVT("wvt_a")), "nobody",
		REFUSED("bad_signature") };

	expect_signed(*state, &e, (struct given){ .timestamp = "1700000000" });
}

static const struct given at_acme = { .shop = "acme", .timestamp = "1700000000" };

/*
 * Goal: where a secrets file cannot be used, what another key verifies passes; all else is
 * "unavailable".
 */
static void
test_secrets_unreadable(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		mode_t mode;
	} bad[] = {
		{ "", 0, 0600 },
		{ "# none\n\n", 8, 0600 },
		{ "dws_r2\n", 7, 0604 },
		{ "dws_r2\n", 7, 0602 },
		{ "dws_r2\n", 7, 0601 },
		{ "dws_r2\ndws\x01x\n", 13, 0600 },
		{ "dws_r2\0x\n", 9, 0600 },
	};
	const struct expected theirs = { "its own secret", ORDER, "dws_r2",
		UNAVAILABLE("keys_unreadable") };
	const struct expected other = { "another droplet's", ORDER, "dws_s",
		GENUINE_DROPLET("shipping") };
	const struct expected key = { "an installation's", ORDER, "wvt_a",
		GENUINE_INSTALLATION("dri_a") };
	const struct expected none = { "nobody's", ORDER, "dws_zz",
		UNAVAILABLE("keys_unreadable") };
	struct keys *k = *state;

	for (size_t i = 0; i <= LENGTH(bad); i++) {
		if (i < LENGTH(bad))
			file_write(k->directory, "reports", bad[i].text, bad[i].len, bad[i].mode);
		else
			assert_int_equal(unlink(path_in(k->directory, "reports")), 0);
		expect_signed(k, &theirs, at_acme);
		expect_signed(k, &other, at_acme);
		expect_signed(k, &key, at_acme);
		expect_signed(k, &none, at_acme);
	}
}

/* Goal: the same for a secrets file without the permission to read it. */
static void
test_secrets_forbidden(void **state)
{
	const struct expected e = { "forbidden", ORDER, "dws_r2", UNAVAILABLE("keys_unreadable") };
	struct keys *k = *state;

	assert_int_equal(chmod(path_in(k->directory, "reports"), 0), 0);
	expect_signed(k, &e, at_acme);
}

/* Goal: bounds of a secrets file: 16 secrets of 512 bytes are the most. */
static void
test_secrets_bounds(void **state)
{
	struct keys *k = *state;
	struct buf text = { 0 };
	struct secret_list *l;

	for (int i = 0; i < SECRETS_MAX; i++) {
		for (int c = 0; c < SECRET_LEN_MAX; c++)
			buf_addc(&text, (char)('a' + i));
		buf_addc(&text, '\n');
	}
	file_write(k->directory, "many", text.data, text.len, 0600);
	assert_non_null(l = secret_list_read(path_in(k->directory, "many")));
	assert_int_equal(l->n, SECRETS_MAX);
	assert_int_equal(strlen(l->secrets[15]), SECRET_LEN_MAX);
	assert_int_equal(l->secrets[0][0], 'a');
	secret_list_free(l);
	buf_adds(&text, "one more\n");
	file_write(k->directory, "many", text.data, text.len, 0600);
	assert_null(secret_list_read(path_in(k->directory, "many")));
	assert_int_equal(errno, EBADMSG);
	text.data[SECRET_LEN_MAX] = 'x';
	file_write(k->directory, "many", text.data, SECRET_LEN_MAX + 1, 0600);
	assert_null(secret_list_read(path_in(k->directory, "many")));
	assert_int_equal(errno, EBADMSG);
	buf_free(&text);
}

/* Goal: a byte order mark in front of the first secret is skipped, and nowhere else. */
static void
test_secrets_mark(void **state)
{
	struct keys *k = *state;
	struct secret_list *l;

	file_text(k->directory, "marked",
	    "\xef\xbb\xbf"
	    "dws_1\r\n\xef\xbb\xbf"
	    "dws_2\r\n",
	    0600);
	assert_non_null(l = secret_list_read(path_in(k->directory, "marked")));
	assert_int_equal(l->n, 2);
	assert_string_equal(l->secrets[0], "dws_1");
	assert_string_equal(l->secrets[1],
	    "\xef\xbb\xbf"
	    "dws_2");
	secret_list_free(l);
	file_text(k->directory, "marked", "\xef\xbb\xbf# newest first\ndws_1\n", 0600);
	assert_non_null(l = secret_list_read(path_in(k->directory, "marked")));
	assert_int_equal(l->n, 1);
	secret_list_free(l);
	file_text(k->directory, "marked", "\xef\xbb\xbf", 0600);
	assert_null(secret_list_read(path_in(k->directory, "marked")));
	assert_int_equal(errno, ENODATA);
}

/*
 * Goal: a secrets file that changes on disk counts as it is now, also one long cached, also as a
 * link.
 */
static void
test_secrets_change(void **state)
{
	struct expected e = { "at first", ORDER, "dws_r2", GENUINE_DROPLET("reports") };
	struct keys *k = *state;

	ahead = 3600;
	for (int round = 0; round < 2; round++)
		expect_signed(k, &e, at_acme);
	file_text(k->directory, "reports", "dws_r3\n", 0600);
	e.name = "the new one";
	e.key = "dws_r3";
	expect_signed(k, &e, at_acme);
	e = (struct expected){ "the old one", ORDER, "dws_r2", REFUSED("bad_signature") };
	expect_signed(k, &e, at_acme);
	file_text(k->directory, "next", "dws_r4\n", 0600);
	assert_int_equal(unlink(path_in(k->directory, "reports")), 0);
	e.want = (struct outcome)UNAVAILABLE("keys_unreadable");
	expect_signed(k, &e, at_acme);
	assert_int_equal(symlink("next", path_in(k->directory, "reports")), 0);
	e = (struct expected){ "through a link", ORDER, "dws_r4", GENUINE_DROPLET("reports") };
	expect_signed(k, &e, at_acme);
	assert_int_equal(chmod(path_in(k->directory, "next"), 0644), 0);
	e.want = (struct outcome)UNAVAILABLE("keys_unreadable");
	expect_signed(k, &e, at_acme);
}

/* Goal: a record that changes counts as it is now, also one long cached. */
static void
test_record_change(void **state)
{
	struct expected e = { "at first", ORDER, "wvt_a", GENUINE_INSTALLATION("dri_a") };
	struct keys *k = *state;
	struct installation *i;

	ahead = 3600;
	for (int round = 0; round < 2; round++)
		expect_signed(k, &e, at_acme);
	assert_non_null(i = installation_load(k->state->installations, "dri_a"));
	i->status = INSTALLATION_UNINSTALLED;
	assert_int_equal(installation_save(k->state->installations, i), 0);
	installation_free(i);
	e.name = "uninstalled since";
	e.want = (struct outcome)REFUSED("unknown_shop");
	expect_signed(k, &e, at_acme);
}

/*
 * Goal: a record that is damaged might have been the one: "unavailable", never a refusal for good.
 */
static void
test_record_damaged(void **state)
{
	struct expected e = { "damaged", ORDER, "wvt_a", UNAVAILABLE("keys_unreadable") };
	struct keys *k = *state;

	file_text(k->conf->state_dir, "installations/dri_a.json", "{\"status\":\"act", 0600);
	expect_signed(k, &e, at_acme);
	e = (struct expected){ "a droplet's secret", ORDER, "dws_r2", GENUINE_DROPLET("reports") };
	expect_signed(k, &e, at_acme);
	e = (struct expected){ "the body's token", SAYS("uninstalled", DRI("dri_a") WVT("wvt_a")),
		NULL, UNAVAILABLE("keys_unreadable") };
	expect_by(k, &e, &(struct given){ .shop = "acme" }, VERIFIED_BODY_TOKEN);
}

/* Goal: without a state directory droplet secrets still verify, and nothing is refused for good. */
static void
test_no_state(void **state)
{
	struct expected e = { "an installation's key", ORDER, "wvt_a",
		UNAVAILABLE("keys_unreadable") };
	struct keys *k = *state;

	k->authority.state = NULL;
	expect_signed(k, &e, at_acme);
	e = (struct expected){ "a droplet's secret", ORDER, "dws_r2", GENUINE_DROPLET("reports") };
	expect_signed(k, &e, at_acme);
	k->authority.state = k->state;
}

/* Goal: an installation whose shop has many old ones beside it is still found. */
static void
test_crowded_shop(void **state)
{
	const struct expected e = { "crowded", ORDER, "wvt_a", GENUINE_INSTALLATION("dri_a") };
	struct keys *k = *state;
	struct installation *gone = installation_load(k->state->installations, "dri_gone");
	char name[NAME_SIZE];

	assert_non_null(gone);
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "dri_%d", i);
		assert_int_equal(installation_set(&gone->record, name), 0);
		assert_int_equal(installation_save(k->state->installations, gone), 0);
		assert_int_equal(index_add(k->state->shops, "acme", gone->record), 0);
	}
	installation_free(gone);
	expect_signed(k, &e, at_acme);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bare, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_doubled, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_body_token, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_body_token_beside_signature, setup,
		    evidence_teardown),
		cmocka_unit_test_setup_teardown(test_secrets_unreadable, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_secrets_forbidden, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_secrets_bounds, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_secrets_mark, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_secrets_change, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_record_change, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_record_damaged, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_no_state, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_crowded_shop, setup, evidence_teardown),
	};

	permissions_apply();
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
