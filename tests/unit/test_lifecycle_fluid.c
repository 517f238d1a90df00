/*
 * What Fluid's answers make of a record (store/lifecycle_fluid.h).
 */
#include "lifecycles.h"

#include "store/lifecycle_fluid.h"

static struct installation *
record(enum installation_status status)
{
	struct installation *i = installation_new("dri_a");

	assert_non_null(i);
	i->status = status;
	installation_set(&i->droplet_installation_uuid, "dri_a");
	installation_set(&i->droplet_uuid, "drp_a");
	installation_set(&i->fluid_company_id, "42");
	installation_set(&i->fluid_shop, "Acme.fluid.app");
	i->installed_at = 1000;
	return (i);
}

static const struct lifecycle_answer right = { "dri_a", "drp_a", "42", true, "acme", true };

/* An answer that differs from the right one in one respect, and what it means. */
static const struct {
	const char *name;
	struct lifecycle_answer answer;
	bool agrees;
	enum lifecycle_confirmation confirmation;
} answers[] = {
	{ "all of it", { "dri_a", "drp_a", "42", true, "acme", true }, true, LIFECYCLE_CONFIRMED },
	{ "the shop's domain", { "dri_a", "drp_a", "42", true, "ACME.fluid.app", true }, true,
	    LIFECYCLE_CONFIRMED },
	{ "not active", { "dri_a", "drp_a", "42", true, "acme", false }, false, LIFECYCLE_DENIED },
	{ "another uuid", { "dri_b", "drp_a", "42", true, "acme", true }, false, LIFECYCLE_DENIED },
	{ "another droplet", { "dri_a", "drp_b", "42", true, "acme", true }, false,
	    LIFECYCLE_DENIED },
	{ "another company", { "dri_a", "drp_a", "43", true, "acme", true }, false,
	    LIFECYCLE_DENIED },
	{ "another shop", { "dri_a", "drp_a", "42", true, "acme2", true }, true, LIFECYCLE_DENIED },
	{ "a shop that is no name", { "dri_a", "drp_a", "42", true, "a/b", true }, true,
	    LIFECYCLE_DENIED },
	{ "no uuid", { NULL, "drp_a", "42", true, "acme", true }, true, LIFECYCLE_UNSAID },
	{ "no droplet", { "dri_a", NULL, "42", true, "acme", true }, true, LIFECYCLE_UNSAID },
	{ "no company", { "dri_a", "drp_a", NULL, true, "acme", true }, true, LIFECYCLE_UNSAID },
	{ "no shop", { "dri_a", "drp_a", "42", true, NULL, true }, true, LIFECYCLE_UNSAID },
	{ "nothing", { NULL, NULL, NULL, false, NULL, true }, true, LIFECYCLE_UNSAID },
	{ "no shop, another company", { "dri_a", "drp_a", "43", true, NULL, true }, false,
	    LIFECYCLE_DENIED },
};

/* Goal: an answer about another one contradicts; only one that says everything confirms. */
static void
test_compare(void **state)
{
	struct installation *i = record(INSTALLATION_UNCONFIRMED);

	(void)state;
	for (size_t n = 0; n < LENGTH(answers); n++) {
		CHECK(lifecycle_agrees(i, &answers[n].answer) == answers[n].agrees, "%s: agrees",
		    answers[n].name);
		CHECK(lifecycle_compare(i, &answers[n].answer) == answers[n].confirmation,
		    "%s: confirmation %d", answers[n].name,
		    lifecycle_compare(i, &answers[n].answer));
	}
	installation_set(&i->fluid_shop, NULL);
	assert_int_equal(lifecycle_compare(i, &right), LIFECYCLE_CONFIRMED);
	installation_free(i);
}

/* Goal: what the install did not say is added; what it said stays; a verified record keeps its name. */
static void
test_unsaid(void **state)
{
	const struct lifecycle_answer other = { "dri_b", "drp_b", "43", true, "other", true };
	struct installation *i = record(INSTALLATION_ACTIVE);

	(void)state;
	assert_int_equal(lifecycle_add_unsaid(i, &other), 0);
	assert_string_equal(i->droplet_installation_uuid, "dri_a");
	assert_string_equal(i->droplet_uuid, "drp_a");
	assert_string_equal(i->fluid_company_id, "42");
	assert_string_equal(i->fluid_shop, "Acme.fluid.app");
	assert_false(i->fluid_company_id_number);
	installation_set(&i->droplet_installation_uuid, NULL);
	installation_set(&i->droplet_uuid, NULL);
	installation_set(&i->fluid_company_id, NULL);
	installation_set(&i->fluid_shop, NULL);
	assert_int_equal(lifecycle_add_unsaid(i, &other), 0);
	assert_null(i->droplet_installation_uuid);
	assert_string_equal(i->droplet_uuid, "drp_b");
	assert_string_equal(i->fluid_company_id, "43");
	assert_true(i->fluid_company_id_number);
	assert_string_equal(i->fluid_shop, "other");
	i->status = INSTALLATION_UNCONFIRMED;
	assert_int_equal(lifecycle_add_unsaid(i, &other), 0);
	assert_string_equal(i->droplet_installation_uuid, "dri_b");
	installation_free(i);
}

/* Goal: an exchange is due for what has a token and can still use what it brings. */
static void
test_exchange(void **state)
{
	static const struct {
		enum installation_status status;
		bool waits;
	} cases[] = {
		{ INSTALLATION_PENDING, true },
		{ INSTALLATION_ACTIVE, true },
		{ INSTALLATION_UNCONFIRMED, true },
		{ INSTALLATION_FAILED, false },
		{ INSTALLATION_UNINSTALLED, false },
		{ INSTALLATION_SUPERSEDED, false },
	};
	struct installation *i = record(INSTALLATION_PENDING),
			    *asked = record(INSTALLATION_PENDING);

	(void)state;
	assert_false(lifecycle_waits_for_exchange(i));
	installation_set(&i->exchange_token, "dex");
	for (size_t n = 0; n < LENGTH(cases); n++) {
		i->status = cases[n].status;
		CHECK(lifecycle_waits_for_exchange(i) == cases[n].waits, "%s",
		    installation_status_name(i->status));
	}
	i->status = INSTALLATION_UNCONFIRMED;
	installation_set(&i->authentication_token, "dit");
	assert_false(lifecycle_waits_for_exchange(i));
	assert_int_equal(lifecycle_exchange_expires(i), 1600);
	installation_set(&i->exchange_token_expires_at, "nonsense");
	assert_int_equal(lifecycle_exchange_expires(i), 1600);
	installation_set(&i->exchange_token_expires_at, "1970-01-01T01:00:00Z");
	assert_int_equal(lifecycle_exchange_expires(i), 3600);
	/* Credentials of an install that is newer than the one that was asked for. */
	i->status = INSTALLATION_ACTIVE;
	assert_false(lifecycle_has_newer_credentials(i, asked));
	i->credentials_installed_at = 1001;
	assert_true(lifecycle_has_newer_credentials(i, asked));
	i->credentials_installed_at = 999;
	assert_false(lifecycle_has_newer_credentials(i, asked));
	installation_set(&i->exchange_token, NULL);
	assert_true(lifecycle_has_newer_credentials(i, asked));
	i->status = INSTALLATION_PENDING;
	assert_false(lifecycle_has_newer_credentials(i, asked));
	installation_free(i);
	installation_free(asked);
}

/* Goal: credentials make a record active; without a key the one at hand goes on. */
static void
test_credentials(void **state)
{
	struct installation *i = record(INSTALLATION_FAILED);

	(void)state;
	installation_set(&i->reason, "exchange_expired");
	assert_int_equal(lifecycle_set_credentials(i, "dit_1", "wvt_1"), 0);
	assert_int_equal(lifecycle_set_credentials(i, "dit_2", NULL), 0);
	assert_string_equal(i->authentication_token, "dit_2");
	assert_string_equal(i->webhook_verification_token, "wvt_1");
	lifecycle_activate(i);
	assert_int_equal(i->status, INSTALLATION_ACTIVE);
	assert_null(i->reason);
	installation_free(i);
}

/* Goal: a record that works goes on when an exchange has failed; another one has failed, and has no token. */
static void
test_fail(void **state)
{
	struct installation *i = record(INSTALLATION_ACTIVE);

	(void)state;
	installation_set(&i->authentication_token, "dit");
	installation_set(&i->exchange_token, "dex");
	assert_int_equal(lifecycle_fail(i, "exchange_refused"), 0);
	assert_int_equal(i->status, INSTALLATION_ACTIVE);
	assert_string_equal(i->authentication_token, "dit");
	assert_null(i->exchange_token);
	assert_null(i->reason);
	i->status = INSTALLATION_PENDING;
	assert_int_equal(lifecycle_fail(i, "exchange_refused"), 0);
	assert_int_equal(i->status, INSTALLATION_FAILED);
	assert_string_equal(i->reason, "exchange_refused");
	assert_null(i->authentication_token);
	installation_free(i);
}

/* Goal: a record that became active is in the indexes, has no marker, and an older one has ended. */
static void
test_complete(void **state)
{
	struct world *w = *state;
	struct lifecycle_event old = install_of("old", 0);
	struct installation *i;

	old.record = old.droplet_installation_uuid = "dri_old";
	assert_int_equal(apply(w, &old), INSTALLATION_ACTIVE);
	i = record(INSTALLATION_UNCONFIRMED);
	i->installed_at = T0 + 10;
	assert_int_equal(state_lock(w->state), 0);
	assert_int_equal(lifecycle_save(w->state, i), 0);
	assert_true(file_exists(w->directory, "state/queue/unconfirmed/dri_a"));
	lifecycle_activate(i);
	assert_int_equal(installation_save(w->state->installations, i), 0);
	assert_int_equal(lifecycle_complete(w->state, i), 0);
	assert_false(file_exists(w->directory, "state/queue/unconfirmed/dri_a"));
	assert_true(file_exists(w->directory, "state/companies/42/dri_a"));
	assert_false(file_exists(w->directory, "state/companies/42/dri_old"));
	assert_int_equal(i->status, INSTALLATION_ACTIVE);
	/* One that a newer one has outdone meanwhile. */
	i->installed_at = T0 - 10;
	installation_set(&i->authentication_token, "dit");
	old.at = T0 + 20;
	old.body_sha256 = old.delivery = "newer";
	state_unlock(w->state);
	assert_int_equal(apply(w, &old), INSTALLATION_ACTIVE);
	assert_int_equal(state_lock(w->state), 0);
	assert_int_equal(installation_save(w->state->installations, i), 0);
	assert_int_equal(lifecycle_complete(w->state, i), 0);
	assert_int_equal(i->status, INSTALLATION_SUPERSEDED);
	assert_null(i->authentication_token);
	state_unlock(w->state);
	installation_free(i);
}

/* Goal: the record of a denied install goes with its marker, and once more is fine. */
static void
test_remove(void **state)
{
	struct world *w = *state;
	struct installation *i = record(INSTALLATION_UNCONFIRMED);

	assert_int_equal(state_lock(w->state), 0);
	assert_int_equal(lifecycle_save(w->state, i), 0);
	for (int n = 0; n < 2; n++) {
		assert_int_equal(lifecycle_remove(w->state, i), 0);
		assert_false(file_exists(w->directory, "state/installations/dri_a.json"));
		assert_false(file_exists(w->directory, "state/queue/unconfirmed/dri_a"));
	}
	state_unlock(w->state);
	installation_free(i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_unsaid),
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_credentials),
		cmocka_unit_test(test_fail),
		cmocka_unit_test_setup_teardown(test_complete, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_remove, world_setup, world_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
