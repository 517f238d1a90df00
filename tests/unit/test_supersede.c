/* Reinstalls, and installs that nobody signed (contract sections 3 and 4). No extra link flags. */
#include "lifecycles.h"

#include "store/index.h"

/* The event as one of another installation. */
static struct lifecycle_event
as(struct lifecycle_event e, const char *dri)
{
	e.record = e.droplet_installation_uuid = dri;
	return (e);
}

/* Goal: a reinstall that works makes the one before superseded, in whatever order they arrive. */
static void
test_reinstall(void **state)
{
	struct world *w = *state;

	for (int turned = 0; turned < 2; turned++) {
		struct lifecycle_event old = install_of("one", 0),
				       new = as(install_of("two", 10), "dri_b");

		world_renew(w);
		apply(w, turned ? &new : &old);
		assert_int_equal(apply(w, turned ? &old : &new),
		    turned ? INSTALLATION_SUPERSEDED : INSTALLATION_ACTIVE);
		check_status(w, "dri_a", INSTALLATION_SUPERSEDED, "old");
		check_status(w, "dri_b", INSTALLATION_ACTIVE, "new");
		apply(w, &old);
		check_status(w, "dri_a", INSTALLATION_SUPERSEDED, "old, twice");
		check_status(w, "dri_b", INSTALLATION_ACTIVE, "new");
	}
}

/* Goal: another droplet, another company, or one without a droplet is not superseded. */
static void
test_others_stay(void **state)
{
	struct world *w = *state;
	struct lifecycle_event a = install_of("one", 0), b = as(install_of("two", 10), "dri_b");
	struct lifecycle_event c = as(install_of("three", 20), "dri_c"),
			       d = as(install_of("four", 30), "dri_d");

	b.droplet_uuid = "drp_b";
	c.fluid_company_id = "43";
	d.droplet_uuid = NULL;
	apply(w, &a);
	apply(w, &b);
	apply(w, &c);
	apply(w, &d);
	check_status(w, "dri_a", INSTALLATION_ACTIVE, "other droplet");
	check_status(w, "dri_b", INSTALLATION_ACTIVE, "other company");
	check_status(w, "dri_c", INSTALLATION_ACTIVE, "no droplet");
	check_status(w, "dri_d", INSTALLATION_ACTIVE, "itself");
}

/* Goal: where neither names its droplet, it is the same one: the first of the configuration. */
static void
test_without_droplets(void **state)
{
	struct world *w = *state;
	struct lifecycle_event a = install_of("one", 0), b = as(install_of("two", 10), "dri_b");

	a.droplet_uuid = b.droplet_uuid = NULL;
	apply(w, &b);
	apply(w, &a);
	check_status(w, "dri_a", INSTALLATION_SUPERSEDED, "the older one");
	check_status(w, "dri_b", INSTALLATION_ACTIVE, "the newer one");
}

/*
 * Goal: a pending reinstall supersedes nothing until it works; a pending one behind it goes as
 * well.
 */
static void
test_pending_reinstall(void **state)
{
	struct world *w = *state;
	struct lifecycle_event old = install_of("one", 0),
			       waits = as(install_v2_of("two", 10), "dri_b");
	struct lifecycle_event works = as(install_of("three", 20), "dri_c");
	struct installation *i;

	apply(w, &old);
	assert_int_equal(apply(w, &waits), INSTALLATION_PENDING);
	check_status(w, "dri_a", INSTALLATION_ACTIVE, "beside a pending one");
	apply(w, &works);
	check_status(w, "dri_a", INSTALLATION_SUPERSEDED, "the old one");
	check_status(w, "dri_b", INSTALLATION_SUPERSEDED, "the pending one");
	assert_false(in_state(w, "queue/pending/dri_b"));
	waits = as(install_v2_of("four", 30), "dri_d");
	apply(w, &waits);
	check_status(w, "dri_c", INSTALLATION_ACTIVE, "beside the next pending one");
	/* what the worker does when an exchange succeeded */
	assert_non_null(i = record_of(w, "dri_d"));
	i->status = INSTALLATION_ACTIVE;
	assert_int_equal(state_lock(w->state), 0);
	assert_int_equal(lifecycle_supersede(w->state, i), 0);
	state_unlock(w->state);
	installation_free(i);
	check_status(w, "dri_c", INSTALLATION_SUPERSEDED, "behind an exchange");
	check_status(w, "dri_a", INSTALLATION_SUPERSEDED, "the oldest");
}

/* Goal: a failed installation is over when a newer one of its company works. */
static void
test_failed_before(void **state)
{
	struct world *w = *state;
	struct lifecycle_event old = install_v2_of("one", 0),
			       new = as(install_of("two", 10), "dri_b");
	struct installation *i;

	apply(w, &old);
	assert_non_null(i = record_of(w, "dri_a"));
	i->status = INSTALLATION_FAILED;
	installation_drop_credentials(i);
	assert_int_equal(installation_set(&i->reason, "exchange_expired"), 0);
	assert_int_equal(lifecycle_save(w->state, i), 0);
	installation_free(i);
	assert_true(in_state(w, "shops/acme/dri_a"));
	apply(w, &new);
	check_status(w, "dri_a", INSTALLATION_SUPERSEDED, "failed before");
	assert_false(in_state(w, "shops/acme/dri_a"));
	assert_null(strstr(record_text(w, "dri_a"), "exchange_expired"));
}

/*
 * Goal: where an installation of the company cannot be read, no other becomes active: there would be two.
 */
static void
test_unreadable_beside(void **state)
{
	struct world *w = *state;
	struct lifecycle_event old = install_of("one", 0), new = as(install_of("two", 10), "dri_b");
	enum installation_status status;
	char good[4096];

	apply(w, &old);
	snprintf(good, sizeof(good), "%s", record_text(w, "dri_a"));
	file_text(w->directory, "state/installations/dri_a.json", "{", 0600);
	assert_int_equal(state_lock(w->state), 0);
	assert_int_equal(lifecycle_apply(w->state, w->records, &new, &status), -1);
	state_unlock(w->state);
	assert_false(in_state(w, "installations/dri_b.json"));
	assert_true(in_state(w, "companies/42/dri_a"));
	file_text(w->directory, "state/installations/dri_a.json", good, 0600);
	apply(w, &new);
	check_status(w, "dri_a", INSTALLATION_SUPERSEDED, "once it can be read");
	check_status(w, "dri_b", INSTALLATION_ACTIVE, "once the other can be read");
}

/* Goal: nor does one become active while the index may lack the others. */
static void
test_index_not_complete(void **state)
{
	struct world *w = *state;
	struct lifecycle_event old = install_of("one", 0), new = as(install_of("two", 10), "dri_b");
	enum installation_status status;

	apply(w, &old);
	assert_int_equal(index_unmark(w->state), 0);
	assert_int_equal(index_remove(w->state->companies, "42", "dri_a"), 0);
	assert_int_equal(state_lock(w->state), 0);
	assert_int_equal(lifecycle_apply(w->state, w->records, &new, &status), -1);
	state_unlock(w->state);
	assert_false(in_state(w, "installations/dri_b.json"));
	assert_int_equal(index_add(w->state->companies, "42", "dri_a"), 0);
	assert_int_equal(index_mark(w->state), 0);
	apply(w, &new);
	check_status(w, "dri_a", INSTALLATION_SUPERSEDED, "once the index is complete");
	check_status(w, "dri_b", INSTALLATION_ACTIVE, "once the index is complete");
}

/* Goal: an unsigned install changes no record that was verified, whatever its status. */
static void
test_unsigned_about_ended(void **state)
{
	static const enum installation_status statuses[] = { INSTALLATION_ACTIVE,
		INSTALLATION_PENDING, INSTALLATION_FAILED, INSTALLATION_UNINSTALLED,
		INSTALLATION_SUPERSEDED };
	struct world *w = *state;
	struct lifecycle_event genuine = install_v2_of("one", 0), claim = install_of("two", 50);
	enum unsigned_verdict verdict;
	char delivery[UUID_SIZE], before[4096];
	struct installation *i;

	claim.trust = TRUST_NONE;
	claim.fluid_shop = claim.authentication_token = "forged";
	for (size_t n = 0; n < LENGTH(statuses); n++) {
		world_renew(w);
		apply(w, &genuine);
		assert_non_null(i = record_of(w, "dri_a"));
		i->status = statuses[n];
		assert_int_equal(installation_set(&i->reason, "exchange_expired"), 0);
		assert_int_equal(lifecycle_save(w->state, i), 0);
		installation_free(i);
		snprintf(before, sizeof(before), "%s", record_text(w, "dri_a"));
		assert_int_equal(state_lock(w->state), 0);
		assert_int_equal(lifecycle_unsigned(w->state, &claim, &verdict, delivery), 0);
		state_unlock(w->state);
		CHECK(verdict == UNSIGNED_KNOWN, "%s", installation_status_name(statuses[n]));
		apply(w, &claim);
		CHECK(strcmp(before, record_text(w, "dri_a")) == 0, "%s: %s",
		    installation_status_name(statuses[n]), record_text(w, "dri_a"));
	}
}

/* Goal: an unsigned install that Fluid denied leaves nothing in the record of a genuine one. */
static void
test_denied_gives_way(void **state)
{
	struct world *w = *state;
	struct lifecycle_event claim = install_of("forged", 500), install = install_of("two", 0);
	struct installation *i;

	claim.trust = TRUST_NONE;
	claim.fluid_shop = claim.droplet_uuid = "forged";
	install.name = install.fluid_shop = install.droplet_uuid = NULL;
	apply(w, &claim);
	/* as version 0.1 left it */
	assert_non_null(i = record_of(w, "dri_a"));
	i->status = INSTALLATION_FAILED;
	installation_drop_credentials(i);
	assert_int_equal(installation_set(&i->reason, "confirmation_refused"), 0);
	assert_int_equal(lifecycle_save(w->state, i), 0);
	installation_free(i);
	assert_int_equal(apply(w, &install), INSTALLATION_ACTIVE);
	assert_null(strstr(record_text(w, "dri_a"), "forged"));
}

/* Goal: a record that cannot be read may wait for confirmation; it keeps its place among the 100. */
static void
test_unreadable_waits(void **state)
{
	struct world *w = *state;
	struct lifecycle_event e = install_of("one", 0);
	enum unsigned_verdict verdict;
	char delivery[UUID_SIZE];

	e.trust = TRUST_NONE;
	apply(w, &e);
	file_text(w->directory, "state/installations/dri_a.json", "{", 0600);
	e = as(e, "dri_b");
	assert_int_equal(state_lock(w->state), 0);
	assert_int_equal(lifecycle_unsigned(w->state, &e, &verdict, delivery), 0);
	state_unlock(w->state);
	assert_int_equal(verdict, UNSIGNED_NEW);
	assert_true(in_state(w, "queue/unconfirmed/dri_a"));
}

/* Goal: an uninstall of a superseded installation ends it, and leaves the new one alone. */
static void
test_uninstall_old(void **state)
{
	struct world *w = *state;
	struct lifecycle_event old = install_of("one", 0), new = as(install_of("two", 10), "dri_b");
	struct lifecycle_event end = uninstall_of("three", 20);

	apply(w, &old);
	apply(w, &new);
	apply(w, &end);
	check_status(w, "dri_a", INSTALLATION_UNINSTALLED, "old");
	check_status(w, "dri_b", INSTALLATION_ACTIVE, "new");
}

static enum unsigned_verdict
judge(struct world *w, const struct lifecycle_event *e, char delivery[UUID_SIZE])
{
	enum unsigned_verdict verdict;

	assert_int_equal(state_lock(w->state), 0);
	assert_int_equal(lifecycle_unsigned(w->state, e, &verdict, delivery), 0);
	state_unlock(w->state);
	return (verdict);
}

static struct lifecycle_event
unsigned_of(const char *tag, int at)
{
	struct lifecycle_event e = install_of(tag, at);

	e.trust = TRUST_NONE;
	return (e);
}

/*
 * Goal: an unsigned install makes a record that opens nothing: no index, a marker, no second word.
 */
static void
test_unconfirmed(void **state)
{
	struct world *w = *state;
	struct lifecycle_event e = unsigned_of("one", 0), other = unsigned_of("two", 5);
	char delivery[UUID_SIZE] = "";

	assert_int_equal(judge(w, &e, delivery), UNSIGNED_NEW);
	assert_int_equal(apply(w, &e), INSTALLATION_UNCONFIRMED);
	check_status(w, "dri_a", INSTALLATION_UNCONFIRMED, "unsigned");
	assert_true(in_state(w, "queue/unconfirmed/dri_a"));
	assert_false(in_state(w, "queue/pending/dri_a"));
	assert_false(in_state(w, "shops/acme"));
	assert_false(in_state(w, "companies/42"));
	assert_int_equal(judge(w, &e, delivery), UNSIGNED_AGAIN);
	assert_string_equal(delivery, "one");
	assert_int_equal(judge(w, &other, delivery), UNSIGNED_BUSY);
}

/* Goal: an unsigned word about an installation that is known counts nothing. */
static void
test_unsigned_about_known(void **state)
{
	struct world *w = *state;
	struct lifecycle_event v1 = install_of("one", 0), v2 = as(install_v2_of("two", 0), "dri_b");
	struct lifecycle_event end = as(uninstall_of("three", 0), "dri_c"),
			       e = unsigned_of("four", 50);
	struct lifecycle_event newer = install_of("five", 10);
	char delivery[UUID_SIZE], before[4096];

	apply(w, &v1);
	v2.droplet_uuid = end.droplet_uuid = "drp_other";
	apply(w, &v2);
	apply(w, &end);
	assert_int_equal(judge(w, &e, delivery), UNSIGNED_KNOWN);
	e = as(e, "dri_b");
	assert_int_equal(judge(w, &e, delivery), UNSIGNED_KNOWN);
	e = as(e, "dri_c");
	assert_int_equal(judge(w, &e, delivery), UNSIGNED_KNOWN);
	newer = as(newer, "dri_e");
	apply(w, &newer);
	e = as(e, "dri_a");
	assert_int_equal(judge(w, &e, delivery), UNSIGNED_KNOWN);
	/* and if it were applied all the same, it would change nothing */
	snprintf(before, sizeof(before), "%s", record_text(w, "dri_a"));
	apply(w, &e);
	assert_string_equal(record_text(w, "dri_a"), before);
}

/* Goal: an unverified install gives way to one that Fluid signed, whatever time it claims. */
static void
test_unconfirmed_gives_way(void **state)
{
	struct world *w = *state;
	struct lifecycle_event claim = unsigned_of("one", 299), install = install_of("two", 0);
	struct lifecycle_event end = uninstall_of("three", 0), own = install_of("four", 400);
	struct installation *i;

	claim.authentication_token = "dit_forged";
	claim.fluid_shop = "forged";
	apply(w, &claim);
	own.trust = TRUST_INSTALLATION;
	assert_int_equal(apply(w, &own), INSTALLATION_UNCONFIRMED);
	assert_int_equal(apply(w, &install), INSTALLATION_ACTIVE);
	i = record_of(w, "dri_a");
	assert_string_equal(i->authentication_token, "dit_a");
	assert_string_equal(i->fluid_shop, "Acme.fluid.app");
	installation_free(i);
	assert_true(in_state(w, "shops/acme/dri_a"));
	assert_false(in_state(w, "shops/forged"));
	assert_false(in_state(w, "queue/unconfirmed/dri_a"));
	world_renew(w);
	apply(w, &claim);
	assert_int_equal(apply(w, &end), INSTALLATION_UNINSTALLED);
	check_status(w, "dri_a", INSTALLATION_UNINSTALLED, "signed uninstall");
	assert_false(in_state(w, "queue/unconfirmed/dri_a"));
	assert_null(strstr(record_text(w, "dri_a"), "forged"));
	assert_false(in_state(w, "shops/forged"));
	/* nor does the time it claimed keep out an install that is newer than the uninstall */
	install = install_of("five", 20);
	assert_int_equal(apply(w, &install), INSTALLATION_ACTIVE);
}

/* Goal: tokens of a forged claim do not survive in the record that Fluid's own word makes. */
static void
test_nothing_forged_stays(void **state)
{
	struct world *w = *state;
	struct lifecycle_event claim = unsigned_of("forged", 0), install = install_v2_of("two", 10);

	claim.authentication_token = "dit_forged";
	claim.webhook_verification_token = "wvt_forged";
	claim.exchange_endpoint = "/forged";
	claim.droplet_uuid = claim.fluid_shop = "forged";
	install.name = install.droplet_uuid = install.fluid_shop = NULL;
	apply(w, &claim);
	assert_int_equal(apply(w, &install), INSTALLATION_PENDING);
	assert_null(strstr(record_text(w, "dri_a"), "forged"));
	assert_true(in_state(w, "queue/pending/dri_a"));
}

/* Goal: at most 100 wait; one that is confirmed or gone makes room. */
static void
test_at_most_100(void **state)
{
	struct world *w = *state;
	struct lifecycle_event e = unsigned_of("one", 0), confirmed = install_of("two", 10);
	char name[16], delivery[UUID_SIZE];

	e.fluid_company_id = NULL;
	for (int i = 0; i < UNCONFIRMED_MAX; i++) {
		snprintf(name, sizeof(name), "dri_%d", i);
		e = as(e, name);
		assert_int_equal(judge(w, &e, delivery), UNSIGNED_NEW);
		apply(w, &e);
	}
	e = as(e, "dri_more");
	assert_int_equal(judge(w, &e, delivery), UNSIGNED_BUSY);
	confirmed = as(confirmed, "dri_50");
	apply(w, &confirmed);
	assert_int_equal(judge(w, &e, delivery), UNSIGNED_NEW);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reinstall, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_without_droplets, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_others_stay, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_pending_reinstall, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(test_failed_before, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_unreadable_beside, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(test_index_not_complete, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(test_unsigned_about_ended, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(test_denied_gives_way, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_unreadable_waits, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_uninstall_old, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_unconfirmed, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_unsigned_about_known, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(test_unconfirmed_gives_way, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(test_nothing_forged_stays, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(test_at_most_100, world_setup, world_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
