/*
 * Installs and uninstalls applied to records: idempotent, and in the order signed. No extra link
 * flags.
 */
#include "lifecycles.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/index.h"

/* Goal: an install makes an active record with its indexes; an uninstall ends it and its tokens. */
static void
test_install_uninstall(void **state)
{
	struct world *w = *state;
	struct lifecycle_event install = install_of("one", 0), uninstall = uninstall_of("two", 10);
	struct installation *i;

	assert_int_equal(apply(w, &install), INSTALLATION_ACTIVE);
	check_status(w, "dri_a", INSTALLATION_ACTIVE, "installed");
	assert_true(in_state(w, "shops/acme/dri_a"));
	assert_true(in_state(w, "companies/42/dri_a"));
	assert_false(in_state(w, "queue/pending/dri_a"));
	assert_int_equal(apply(w, &uninstall), INSTALLATION_UNINSTALLED);
	check_status(w, "dri_a", INSTALLATION_UNINSTALLED, "uninstalled");
	i = record_of(w, "dri_a");
	assert_int_equal(i->installed_at, T0);
	assert_int_equal(i->uninstalled_at, T0 + 10);
	assert_string_equal(i->name, "one");
	assert_string_equal(i->delivery, "two");
	installation_free(i);
}

/* Goal: applying anything a second time leaves the file as it is, byte for byte and inode. */
static void
test_idempotent(void **state)
{
	struct world *w = *state;
	struct lifecycle_event events[] = { install_of("one", 0), uninstall_of("two", 10),
		install_of("three", 20), install_v2_of("four", 30) };
	char first[4096];
	struct stat a, b;

	for (size_t i = 0; i < LENGTH(events); i++) {
		enum installation_status status = apply(w, &events[i]);

		snprintf(first, sizeof(first), "%s", record_text(w, "dri_a"));
		assert_int_equal(stat(path_in(w->directory, "state/installations/dri_a.json"), &a),
		    0);
		for (int round = 0; round < 3; round++) {
			struct lifecycle_event again = events[i];

			/* received again, under a delivery id of its own, perhaps signed again */
			again.delivery = "again";
			again.received_at.tv_sec += 100 + round;
			if (events[i].installed)
				again.at += round;
			CHECK(apply(w, &again) == status, "event %zu, round %d", i, round);
			assert_string_equal(record_text(w, "dri_a"), first);
		}
		assert_int_equal(stat(path_in(w->directory, "state/installations/dri_a.json"), &b),
		    0);
		assert_int_equal(a.st_ino, b.st_ino);
	}
}

static const int orders[6][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 },
	{ 2, 1, 0 } };

/* The record's text up to the digests of its installs, which are in the order of their arrival. */
static const char *
text_before_digests(struct world *w)
{
	static char text[4096];
	char *end;

	snprintf(text, sizeof(text), "%s", record_text(w, "dri_a"));
	if ((end = strstr(text, "\"install_digests\"")) != NULL)
		*end = '\0';
	return (text);
}

/*
 * Goal: install, uninstall, install, in any order of arrival and each twice, make one same record.
 */
static void
test_orders_converge(void **state)
{
	struct world *w = *state;
	struct lifecycle_event events[] = { install_of("one", 0), uninstall_of("two", 10),
		install_of("three", 20) };
	char first[4096] = "";

	for (size_t o = 0; o < LENGTH(orders); o++) {
		world_renew(w);
		for (size_t n = 0; n < 6; n++)
			apply(w, &events[orders[o][n % 3]]);
		check_status(w, "dri_a", INSTALLATION_ACTIVE, "at the end");
		if (o == 0)
			snprintf(first, sizeof(first), "%s", text_before_digests(w));
		CHECK(strcmp(first, text_before_digests(w)) == 0, "order %zu: %s", o,
		    text_before_digests(w));
	}
	assert_non_null(strstr(first, "\"uninstalled_at\": null"));
}

/* Goal: two events of one installation end the same way whatever their order of arrival. */
static void
test_pairs(void **state)
{
	static const struct {
		const char *name;
		int installed, uninstalled; /* seconds */
		enum installation_status want;
	} cases[] = {
		{ "uninstall later", 0, 10, INSTALLATION_UNINSTALLED },
		{ "install later", 10, 0, INSTALLATION_ACTIVE },
		{ "the same second", 5, 5, INSTALLATION_UNINSTALLED },
		{ "one second later", 6, 5, INSTALLATION_ACTIVE },
	};
	struct world *w = *state;

	for (size_t i = 0; i < LENGTH(cases); i++)
		for (int turned = 0; turned < 2; turned++) {
			struct lifecycle_event a = install_of("one", cases[i].installed);
			struct lifecycle_event b = uninstall_of("two", cases[i].uninstalled);

			world_renew(w);
			apply(w, turned ? &b : &a);
			apply(w, turned ? &a : &b);
			check_status(w, "dri_a", cases[i].want, cases[i].name);
		}
}

/*
 * Goal: an uninstall of an unknown installation is remembered; a retry of the old install stays
 * out.
 */
static void
test_late_install(void **state)
{
	struct world *w = *state;
	struct lifecycle_event uninstall = uninstall_of("two", 10), late = install_of("one", 0);
	struct lifecycle_event retried = install_of("one", 60), news = install_of("three", 60);

	assert_int_equal(apply(w, &uninstall), INSTALLATION_UNINSTALLED);
	assert_int_equal(apply(w, &late), INSTALLATION_UNINSTALLED);
	check_status(w, "dri_a", INSTALLATION_UNINSTALLED, "late install");
	world_renew(w);
	apply(w, &late);
	apply(w, &uninstall);
	assert_int_equal(apply(w, &retried), INSTALLATION_UNINSTALLED);
	check_status(w, "dri_a", INSTALLATION_UNINSTALLED, "the same bytes signed again");
	assert_int_equal(apply(w, &news), INSTALLATION_ACTIVE);
}

/* Goal: v2 waits with its exchange token and a marker; permanent tokens end the waiting. */
static void
test_pending(void **state)
{
	struct world *w = *state;
	struct lifecycle_event v2 = install_v2_of("one", 0), v1 = install_of("two", 10);
	struct lifecycle_event later = install_v2_of("three", 20),
			       uninstall = uninstall_of("four", 30);
	struct installation *i;

	assert_int_equal(apply(w, &v2), INSTALLATION_PENDING);
	assert_true(in_state(w, "queue/pending/dri_a"));
	i = record_of(w, "dri_a");
	assert_string_equal(i->exchange_token, "dex_a");
	assert_string_equal(i->exchange_endpoint, "/api/droplet_installations/exchange");
	assert_string_equal(i->exchange_token_expires_at, "2026-05-18T15:00:00Z");
	assert_null(i->authentication_token);
	installation_free(i);
	assert_int_equal(apply(w, &v1), INSTALLATION_ACTIVE);
	assert_false(in_state(w, "queue/pending/dri_a"));
	assert_null(strstr(record_text(w, "dri_a"), "exchange"));
	/* One that works goes on working, with the new exchange token kept for the worker. */
	assert_int_equal(apply(w, &later), INSTALLATION_ACTIVE);
	i = record_of(w, "dri_a");
	assert_string_equal(i->authentication_token, "dit_a");
	assert_string_equal(i->webhook_verification_token, "wvt_a");
	assert_string_equal(i->exchange_token, "dex_a");
	installation_free(i);
	assert_true(in_state(w, "queue/pending/dri_a"));
	assert_int_equal(apply(w, &uninstall), INSTALLATION_UNINSTALLED);
	check_status(w, "dri_a", INSTALLATION_UNINSTALLED, "while waiting");
	assert_false(in_state(w, "queue/pending/dri_a"));
}

/* Goal: a body with both styles is active at once; what it leaves out stays as it was. */
static void
test_credentials(void **state)
{
	struct world *w = *state;
	struct lifecycle_event both = install_v2_of("one", 0), bare = install_of("two", 10);
	struct installation *i;

	both.authentication_token = "dit_both";
	both.webhook_verification_token = "wvt_both";
	assert_int_equal(apply(w, &both), INSTALLATION_ACTIVE);
	assert_null(strstr(record_text(w, "dri_a"), "dex_a"));
	bare.webhook_verification_token = bare.name = bare.fluid_shop = NULL;
	assert_int_equal(apply(w, &bare), INSTALLATION_ACTIVE);
	i = record_of(w, "dri_a");
	assert_string_equal(i->authentication_token, "dit_a");
	assert_string_equal(i->webhook_verification_token, "wvt_both");
	assert_string_equal(i->name, "one");
	assert_string_equal(i->fluid_shop, "Acme.fluid.app");
	installation_free(i);
}

/* Goal: an installation's own word changes nothing in its record, and makes no record. */
static void
test_own_word(void **state)
{
	struct world *w = *state;
	struct lifecycle_event first = install_of("one", 0), own = install_of("two", 10);
	struct lifecycle_event stranger = install_of("three", 20);
	char before[4096];

	apply(w, &first);
	own.trust = stranger.trust = TRUST_INSTALLATION;
	own.authentication_token = "dit_two";
	snprintf(before, sizeof(before), "%s", record_text(w, "dri_a"));
	assert_int_equal(apply(w, &own), INSTALLATION_ACTIVE);
	assert_string_equal(record_text(w, "dri_a"), before);
	stranger.record = stranger.droplet_installation_uuid = "dri_new";
	apply(w, &stranger);
	assert_false(in_state(w, "installations/dri_new.json"));
	stranger.installed = false;
	apply(w, &stranger);
	assert_false(in_state(w, "installations/dri_new.json"));
}

/* Goal: its own word does not bring an installation back that Fluid ended. */
static void
test_own_word_cannot_revive(void **state)
{
	struct world *w = *state;
	struct lifecycle_event first = install_of("one", 0), end = uninstall_of("two", 10);
	struct lifecycle_event own = install_of("three", 20);

	apply(w, &first);
	apply(w, &end);
	own.trust = TRUST_INSTALLATION;
	assert_int_equal(apply(w, &own), INSTALLATION_UNINSTALLED);
	own.trust = TRUST_NONE;
	assert_int_equal(apply(w, &own), INSTALLATION_UNINSTALLED);
}

/* Goal: a shop or company that changes takes the index entries along. */
static void
test_moves(void **state)
{
	struct world *w = *state;
	struct lifecycle_event first = install_of("one", 0), moved = install_of("two", 10);

	apply(w, &first);
	moved.fluid_shop = "beta";
	moved.fluid_company_id = "43";
	moved.fluid_company_id_number = false;
	apply(w, &moved);
	assert_true(in_state(w, "shops/beta/dri_a"));
	assert_true(in_state(w, "companies/43/dri_a"));
	assert_false(in_state(w, "shops/acme/dri_a"));
	assert_false(in_state(w, "companies/42/dri_a"));
	assert_non_null(strstr(record_text(w, "dri_a"), "\"fluid_company_id\": \"43\""));
}

/* Goal: what failed, or was superseded, is still newer than what was signed before it. */
static void
test_order_through_statuses(void **state)
{
	static const enum installation_status between[] = { INSTALLATION_FAILED,
		INSTALLATION_PENDING, INSTALLATION_SUPERSEDED };
	struct world *w = *state;
	struct lifecycle_event first = install_of("one", 0), end = uninstall_of("two", 10);
	struct lifecycle_event second = install_v2_of("three", 20), older = install_of("four", 15);
	struct lifecycle_event newer = install_of("five", 30);
	struct installation *i;

	for (size_t n = 0; n < LENGTH(between); n++) {
		world_renew(w);
		first.at = T0;
		apply(w, &first);
		apply(w, &end);
		apply(w, &second);
		assert_non_null(i = record_of(w, "dri_a"));
		i->status = between[n];
		if (between[n] != INSTALLATION_PENDING)
			installation_drop_credentials(i);
		assert_int_equal(lifecycle_save(w->state, i), 0);
		installation_free(i);
		/* the first install's bytes, as they were and signed anew; and an older install */
		assert_int_equal(apply(w, &first), between[n]);
		first.at = T0 + 40;
		assert_int_equal(apply(w, &first), between[n]);
		assert_int_equal(apply(w, &older), between[n]);
		check_status(w, "dri_a", between[n], "after older installs");
		assert_null(strstr(record_text(w, "dri_a"), "dit_a"));
		/* the older uninstall once more, and one between: neither undoes the install */
		assert_int_equal(apply(w, &end), between[n]);
		end.at = T0 + 19;
		assert_int_equal(apply(w, &end), between[n]);
		end.at = T0 + 10;
		assert_int_equal(apply(w, &newer), INSTALLATION_ACTIVE);
	}
}

/* Goal: of two installs of one second the one received later wins, whichever is applied first. */
static void
test_same_second(void **state)
{
	struct world *w = *state;
	struct lifecycle_event a = install_of("one", 0), b = install_of("two", 0);

	a.authentication_token = "dit_one";
	b.authentication_token = "dit_two";
	b.received_at.tv_nsec += 1000;
	for (int turned = 0; turned < 2; turned++) {
		world_renew(w);
		apply(w, turned ? &b : &a);
		apply(w, turned ? &a : &b);
		CHECK(strstr(record_text(w, "dri_a"), "dit_two"), "turned %d", turned);
		apply(w, &a);
		CHECK(strstr(record_text(w, "dri_a"), "dit_two"), "turned %d, again", turned);
	}
}

/*
 * Goal: an uninstall that arrives after a newer install whose exchange waits, or has failed, ends the
 * older credentials that the installation goes on with.
 */
static void
test_uninstall_between(void **state)
{
	struct world *w = *state;
	struct lifecycle_event first = install_of("one", 0), end = uninstall_of("two", 10);
	struct lifecycle_event second = install_v2_of("three", 20), v1 = install_of("four", 30);
	struct installation *i;

	apply(w, &first);
	assert_int_equal(apply(w, &second), INSTALLATION_ACTIVE);
	assert_int_equal(apply(w, &end), INSTALLATION_PENDING);
	assert_null(strstr(record_text(w, "dri_a"), "dit_a"));
	assert_null(strstr(record_text(w, "dri_a"), "wvt_a"));
	assert_non_null(strstr(record_text(w, "dri_a"), "dex_a"));
	assert_true(in_state(w, "queue/pending/dri_a"));
	world_renew(w);
	apply(w, &first);
	apply(w, &second);
	assert_non_null(i = record_of(w, "dri_a"));
	installation_drop_exchange(i);
	assert_int_equal(lifecycle_save(w->state, i), 0);
	installation_free(i);
	assert_int_equal(apply(w, &end), INSTALLATION_FAILED);
	assert_non_null(strstr(record_text(w, "dri_a"), "credentials_ended"));
	assert_null(strstr(record_text(w, "dri_a"), "dit_a"));
	/* credentials of the newer install are not ended by it */
	world_renew(w);
	apply(w, &first);
	apply(w, &second);
	apply(w, &v1);
	assert_int_equal(apply(w, &end), INSTALLATION_ACTIVE);
	assert_non_null(strstr(record_text(w, "dri_a"), "dit_a"));
}

/* Goal: the indexes have active, pending and failed installations, and none that is over. */
static void
test_ended_leave_indexes(void **state)
{
	static const struct {
		enum installation_status status;
		const char *reason;
		bool indexed;
	} cases[] = {
		{ INSTALLATION_ACTIVE, NULL, true },
		{ INSTALLATION_PENDING, NULL, true },
		{ INSTALLATION_FAILED, "exchange_expired", true },
		{ INSTALLATION_FAILED, "confirmation_refused", false },
		{ INSTALLATION_UNCONFIRMED, NULL, false },
		{ INSTALLATION_UNINSTALLED, NULL, false },
		{ INSTALLATION_SUPERSEDED, NULL, false },
	};
	struct world *w = *state;
	struct lifecycle_event first = install_of("one", 0);
	struct installation *i;

	for (size_t n = 0; n < LENGTH(cases); n++) {
		world_renew(w);
		apply(w, &first);
		assert_non_null(i = record_of(w, "dri_a"));
		i->status = cases[n].status;
		assert_int_equal(installation_set(&i->reason, cases[n].reason), 0);
		assert_int_equal(lifecycle_save(w->state, i), 0);
		installation_free(i);
		CHECK(in_state(w, "shops/acme/dri_a") == cases[n].indexed, "case %zu", n);
		CHECK(in_state(w, "companies/42/dri_a") == cases[n].indexed, "case %zu", n);
	}
}

/* Goal: an entry that a crash left in the indexes goes when the delivery is repeated. */
static void
test_stale_entries(void **state)
{
	struct world *w = *state;
	struct lifecycle_event first = install_of("one", 0), moved = install_of("two", 10);
	struct lifecycle_event end = uninstall_of("three", 20), other = install_of("four", 30);

	apply(w, &first);
	moved.fluid_shop = "beta";
	moved.fluid_company_id = "43";
	apply(w, &moved);
	assert_int_equal(index_add(w->state->shops, "acme", "dri_a"), 0);
	assert_int_equal(index_add(w->state->companies, "42", "dri_a"), 0);
	apply(w, &moved);
	assert_false(in_state(w, "shops/acme/dri_a"));
	assert_false(in_state(w, "companies/42/dri_a"));
	assert_true(in_state(w, "shops/beta/dri_a"));
	end.fluid_shop = NULL;
	end.fluid_company_id = NULL;
	apply(w, &end);
	assert_false(in_state(w, "shops/beta/dri_a"));
	assert_int_equal(index_add(w->state->shops, "beta", "dri_a"), 0);
	assert_int_equal(index_add(w->state->companies, "43", "dri_a"), 0);
	apply(w, &end);
	assert_false(in_state(w, "shops/beta/dri_a"));
	assert_false(in_state(w, "companies/43/dri_a"));
	/* and when another installation of the company looks for those that it supersedes */
	assert_int_equal(index_add(w->state->companies, "42", "dri_a"), 0);
	assert_int_equal(index_add(w->state->companies, "42", "dri_none"), 0);
	other.record = other.droplet_installation_uuid = "dri_b";
	apply(w, &other);
	assert_false(in_state(w, "companies/42/dri_a"));
	assert_false(in_state(w, "companies/42/dri_none"));
	assert_true(in_state(w, "companies/42/dri_b"));
}

/* Goal: what is left unfinished by a crash, an index entry say, is made good by applying again. */
static void
test_heals(void **state)
{
	struct world *w = *state;
	struct lifecycle_event old = install_of("one", 0), new = install_of("two", 10);
	struct installation *i;

	apply(w, &old);
	new.record = new.droplet_installation_uuid = "dri_b";
	apply(w, &new);
	/* as if the crash came between dri_b's record and dri_a's */
	assert_non_null(i = record_of(w, "dri_a"));
	i->status = INSTALLATION_ACTIVE;
	assert_int_equal(installation_set(&i->authentication_token, "dit_a"), 0);
	assert_int_equal(lifecycle_index(w->state, i), 0);
	assert_int_equal(installation_save(w->state->installations, i), 0);
	installation_free(i);
	assert_int_equal(apply(w, &new), INSTALLATION_ACTIVE);
	check_status(w, "dri_a", INSTALLATION_SUPERSEDED, "after the second time");
}

/* Goal: a record that is damaged is neither overwritten nor taken for none. */
static void
test_damaged(void **state)
{
	struct world *w = *state;
	struct lifecycle_event e = install_of("one", 0);
	enum installation_status status;
	enum unsigned_verdict verdict;
	char delivery[UUID_SIZE];

	file_text(w->directory, "state/installations/dri_a.json", "{\"status\":", 0600);
	assert_int_equal(state_lock(w->state), 0);
	assert_int_equal(lifecycle_apply(w->state, w->records, &e, &status), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(lifecycle_unsigned(w->state, &e, &verdict, delivery), -1);
	state_unlock(w->state);
	assert_string_equal(record_text(w, "dri_a"), "{\"status\":");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_install_uninstall, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(test_idempotent, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_orders_converge, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_pairs, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_late_install, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_pending, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_credentials, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_own_word, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_own_word_cannot_revive, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(test_moves, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_order_through_statuses, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(test_same_second, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_uninstall_between, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(test_ended_leave_indexes, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(test_stale_entries, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_heals, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_damaged, world_setup, world_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
