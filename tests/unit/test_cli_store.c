/* What the commands look for in the state directory: an installation by name or shop, deliveries, the use of secrets. */
#include "evidence.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/lib/installation_arg.h"
#include "cli/lib/journal_walk.h"
#include "cli/lib/last_use.h"
#include "store/index.h"

static int
setup(void **state)
{
	int result = evidence_setup(state);

	stderr_restore();
	return (result);
}

/* Goal: an argument means a record by its name, or a shop's only one; the rest is refused with a reason. */
static void
test_installation(void **state)
{
	static const struct {
		const char *argument, *record, *said;
	} cases[] = {
		{ "dri_b", "dri_b", "" },
		{ "dri_gone", "dri_gone", "" },
		{ "beta", "dri_b", "" },
		{ "Beta.fluid.app", "dri_b", "" },
		/* Of four, only one is active. */
		{ "acme", "dri_a", "" },
		{ "failing", "dri_failed", "" },
		{ "shared", NULL, "shared: several installations; name one of them:" },
		{ "nobody", NULL, "nobody: no installation and no shop of that name" },
		{ "../x", NULL, "\"../x\" is neither an installation nor a shop" },
		{ "", NULL, "\"\" is neither" },
	};
	struct keys *k = *state;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct installation *found;
		const char *said;

		capture_begin();
		found = installation_arg(k->conf, cases[i].argument);
		said = capture_end();
		CHECK_TEXT(found ? found->record : NULL, cases[i].record, cases[i].argument);
		CHECK(*cases[i].said ? strstr(said, cases[i].said) != NULL : !*said, "%s: %s",
		    cases[i].argument, said);
		installation_free(found);
	}
}

/* Goal: a shop whose installation is over is found in the records, since the index does not have it. */
static void
test_installation_over(void **state)
{
	struct keys *k = *state;
	struct installation *found;

	assert_int_equal(index_remove(k->state->shops, "old", "dri_old"), 0);
	assert_non_null(found = installation_arg(k->conf, "old"));
	CHECK_TEXT(found->record, "dri_old", "old");
	installation_free(found);
}

/* Goal: a record that cannot be read is not a missing one: the file and the reason are named. */
static void
test_installation_damaged(void **state)
{
	struct keys *k = *state;
	struct installation *found;
	const char *said;

	file_text(k->directory, "state/installations/dri_b.json", "{", 0600);
	capture_begin();
	found = installation_arg(k->conf, "dri_b");
	said = capture_end();
	CHECK(found == NULL && strstr(said, "dri_b.json: damaged: it is no installation record"),
	    "%s", said);
	capture_begin();
	found = installation_arg(k->conf, "beta");
	said = capture_end();
	CHECK(found == NULL && strstr(said, "dri_b.json: damaged"), "%s", said);
	CHECK(strstr(said, "no shop of that name") == NULL, "%s", said);
	CHECK_TEXT(installation_problem(EINVAL), "is no regular file", "EINVAL");
	CHECK_TEXT(installation_problem(EIO), strerror(EIO), "EIO");
}

/* A line of the journal. key: "droplet" or "installation". */
static void
add_line(struct buf *out, const char *uuid, const char *at, const char *event, const char *key,
    const char *secret)
{
	struct entry e = { .delivery = uuid,
		.received_at = at,
		.event = event,
		.fluid_shop = "acme",
		.verified_by = "signature",
		.key = key,
		.timestamp = "1700000000",
		.signature = "00",
		.body = "{}",
		.body_len = 2 };
	char print[FINGERPRINT_SIZE];

	if (secret) {
		secret_fingerprint(print, secret);
		e.fingerprint = print;
	}
	assert_int_equal(entry_write(&e, out), 0);
	buf_addc(out, '\n');
}

static void
write_day(struct keys *k, const char *name, const struct buf *text)
{
	file_write(k->directory, name, text->data, text->len, 0600);
}

/* Goal: the journal is walked from its end, and a damaged file is named once and costs only its bad lines. */
static void
test_walk(void **state)
{
	struct keys *k = *state;
	struct journal_walk w;
	struct buf text = { 0 }, seen = { 0 };
	struct entry e;
	const char *said;
	int opened;

	add_line(&text, "u1", "2023-11-13T22:13:20.000000Z", "order.created", "droplet", NULL);
	write_day(k, "state/journal/2023-11-13.jsonl", &text);
	buf_reset(&text);
	add_line(&text, "u2", "2023-11-14T22:13:20.000000Z", "order.updated", "droplet", NULL);
	buf_adds(&text, "{\"delivery\":1}\nnonsense\n");
	add_line(&text, "u3", "2023-11-14T22:13:21.000000Z", "order.created", "droplet", NULL);
	write_day(k, "state/journal/2023-11-14.jsonl", &text);
	capture_begin();
	opened = journal_walk_open(&w, k->conf);
	while (opened == 0 && journal_walk_previous(&w, &e))
		buf_addf(&seen, "%s ", e.delivery);
	journal_walk_close(&w);
	said = capture_end();
	assert_int_equal(opened, 0);
	CHECK_TEXT(seen.data, "u3 u2 u1 ", "order");
	CHECK(strstr(said, "journal/2023-11-14.jsonl: damaged") != NULL, "%s", said);
	CHECK(strstr(strstr(said, "damaged") + 1, "damaged") == NULL, "%s", said);

	buf_reset(&seen);
	assert_int_equal(journal_walk_open(&w, k->conf), 0);
	journal_walk_only(&w, journal_look_for("order.updated", NULL, NULL));
	capture_begin();
	while (journal_walk_previous(&w, &e))
		buf_addf(&seen, "%s ", e.delivery);
	capture_end();
	journal_walk_close(&w);
	CHECK_TEXT(seen.data, "u2 ", "only what is looked for");
	buf_free(&text);
	buf_free(&seen);
}

/* Goal: without a journal directory nothing is walked, and it is named. */
static void
test_walk_without_journal(void **state)
{
	struct keys *k = *state;
	struct journal_walk w;
	const char *said;
	int result;

	assert_int_equal(rmdir(path_in(k->directory, "state/journal")), 0);
	capture_begin();
	result = journal_walk_open(&w, k->conf);
	journal_walk_close(&w);
	said = capture_end();
	CHECK(result == -1 && strstr(said, "journal is missing"), "%s", said);
}

/* Goal: a secret's last use is the latest delivery under it as a droplet's secret, wherever its line stands. */
static void
test_last_use(void **state)
{
	struct keys *k = *state;
	struct last_use uses[3];
	struct buf text = { 0 };

	memset(uses, 0, sizeof(uses));
	secret_fingerprint(uses[0].fingerprint, "dws_a");
	secret_fingerprint(uses[1].fingerprint, "dws_b");
	secret_fingerprint(uses[2].fingerprint, "dws_c");
	uses[2].at = 5;
	add_line(&text, "u1", "2023-11-13T22:13:20.000000Z", "a.b", "droplet", "dws_b");
	write_day(k, "state/journal/2023-11-13.jsonl", &text);
	buf_reset(&text);
	add_line(&text, "u0", "2023-11-14T22:13:25.000000Z", "a.b", "droplet", "dws_a");
	add_line(&text, "u2", "2023-11-14T22:13:30.000000Z", "a.b", "droplet", "dws_a");
	add_line(&text, "u3", "2023-11-14T22:13:20.000000Z", "a.b", "droplet", "dws_a");
	add_line(&text, "u4", "2023-11-14T22:13:40.000000Z", "a.b", "installation", "dws_c");
	write_day(k, "state/journal/2023-11-14.jsonl", &text);
	assert_int_equal(last_use_find(k->conf, uses, 3), 0);
	assert_int_equal(uses[0].at, 1700000010);
	assert_int_equal(uses[1].at, 1700000000 - 86400);
	assert_int_equal(uses[2].at, 0);
	buf_free(&text);
}

/* Goal: if the journal cannot be read, no last use is told. */
static void
test_last_use_unreadable(void **state)
{
	struct keys *k = *state;
	struct last_use use = { .fingerprint = "111111111111" };
	const char *said;
	int result;

	assert_int_equal(mkdir(path_in(k->directory, "state/journal/2023-11-14.jsonl"), 0700), 0);
	capture_begin();
	result = last_use_find(k->conf, &use, 1);
	said = capture_end();
	CHECK(result == -1 && strstr(said, "journal/2023-11-14.jsonl"), "%d: %s", result, said);
	assert_int_equal(rename(path_in(k->directory, "state/journal"),
			     path_in(k->directory, "gone")),
	    0);
	capture_begin();
	result = last_use_find(k->conf, &use, 1);
	said = capture_end();
	CHECK(result == -1 && strstr(said, "state/journal: No such file"), "%d: %s", result, said);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_installation, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_installation_over, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_installation_damaged, setup,
		    evidence_teardown),
		cmocka_unit_test_setup_teardown(test_walk, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_walk_without_journal, setup,
		    evidence_teardown),
		cmocka_unit_test_setup_teardown(test_last_use, setup, evidence_teardown),
		cmocka_unit_test_setup_teardown(test_last_use_unreadable, setup, evidence_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
