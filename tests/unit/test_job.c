/* What makes two deliveries the same (contract section 6). */
#include "support.h"

#include "worker/job.h"

#define BODY \
	"{\\\"id\\\":1,\\\"payload\\\":{\\\"resource\\\":\\\"order\\\",\\\"event\\\":\\\"created\\\"}}"
#define OTHER \
	"{\\\"id\\\":1,\\\"payload\\\":{\\\"event\\\":\\\"created\\\",\\\"resource\\\":\\\"order\\\"}}"
#define OF_7 "{\\\"resource\\\":\\\"order\\\",\\\"event\\\":\\\"created\\\",\\\"company_id\\\":7}"

static const struct follow_place place = { .name = "2026-11-23.jsonl" };

/* A line with these members. Called only with what is a string in the line, or null. */
static void
key_of(char key[RUNS_KEY_SIZE], const char *members, const char *body)
{
	struct buf line = { 0 };
	struct job job;

	buf_adds(&line,
	    "{\"delivery\":\"01a20b4e-0000-7000-8000-000000000001\","
	    "\"received_at\":\"2026-11-23T08:30:50.123456Z\",");
	if (strstr(members, "\"event\"") == NULL)
		buf_adds(&line, "\"event\":\"order.created\",");
	buf_adds(&line, members);
	buf_adds(&line, "\"body\":\"");
	buf_adds(&line, body);
	buf_adds(&line, "\"}");
	assert_int_equal(job_read(&job, line.data, line.len, &place), 0);
	assert_int_equal(job_identify(&job), 0);
	memcpy(key, job.item.key, RUNS_KEY_SIZE);
	assert_int_equal(strlen(key), RUNS_KEY_SIZE - 1);
	job_free(&job);
	buf_free(&line);
}

/* Goal: each part of the key counts, and nothing else does. */
static void
test_parts(void **state)
{
#define A "\"installation\":\"dri_a\",\"droplet\":\"drp_a\","
	static const struct {
		const char *members, *body;
		bool same;
	} cases[] = {
		{ A, BODY, true },
		{ A "\"fluid_shop\":\"b\",\"id\":9,\"identifier\":\"evt_9\",\"signature\":\"11\",",
		    BODY, true },
		{ A, OTHER, false },
		{ A "\"event\":\"order.updated\",", BODY, false },
		{ "\"installation\":\"dri_a\",\"droplet\":\"drp_b\",", BODY, false },
		{ "\"installation\":\"dri_a\",\"droplet\":null,", BODY, false },
		{ "\"installation\":\"dri_b\",\"droplet\":\"drp_a\",", BODY, false },
		{ "\"installation\":\"drp_a\",\"droplet\":\"dri_a\",", BODY, false },
		{ "\"fluid_shop\":\"dri_a\",\"droplet\":\"drp_a\",", BODY, false },
	};
	char key[RUNS_KEY_SIZE], want[RUNS_KEY_SIZE];

	(void)state;
	key_of(want, A, BODY);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		key_of(key, cases[i].members, cases[i].body);
		CHECK((strcmp(key, want) == 0) == cases[i].same, "case %zu", i);
	}
}

/* Goal: without an installation the company counts, and the shop only without a company. */
static void
test_owners(void **state)
{
	char a[RUNS_KEY_SIZE], b[RUNS_KEY_SIZE];

	(void)state;
	key_of(a, "\"fluid_shop\":\"a\",", BODY);
	key_of(b, "\"fluid_shop\":\"b\",", BODY);
	assert_string_not_equal(a, b);
	key_of(b, "", BODY);
	assert_string_not_equal(a, b);
	key_of(a, "\"fluid_shop\":\"a\",", OF_7);
	key_of(b, "\"fluid_shop\":\"b\",", OF_7);
	assert_string_equal(a, b);
}

/* Goal: lines of versions before 0.2, which do not have the digest, have the same key as those that do. */
static void
test_digest_of_the_line(void **state)
{
	char a[RUNS_KEY_SIZE], b[RUNS_KEY_SIZE];

	(void)state;
	key_of(a, "", "{}");
	key_of(b,
	    "\"sha256\":\"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",",
	    "{}");
	assert_string_equal(a, b);
	/* Where the body was removed later, the line still says which it was. */
	key_of(b,
	    "\"sha256\":\"44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\",", "");
	assert_string_equal(a, b);
}

/* Goal: the event whose hook is to run counts, not the one that came. */
static void
test_event_that_runs(void **state)
{
	static const char line[] =
	    "{\"delivery\":\"01a20b4e-0000-7000-8000-000000000001\",\"received_at\":\"\","
	    "\"event\":\"droplet.installed\",\"installation\":\"dri_a\",\"body\":\"{}\"}";
	char installed[RUNS_KEY_SIZE], old[RUNS_KEY_SIZE], older[RUNS_KEY_SIZE];
	struct job job;

	(void)state;
	assert_int_equal(job_read(&job, line, strlen(line), &place), 0);
	assert_int_equal(job_identify(&job), 0);
	memcpy(installed, job.item.key, sizeof(installed));
	assert_int_equal(job_old_key(&job, old), 0);
	snprintf(job.item.event, sizeof(job.item.event), "fluidhook.install_failed");
	assert_int_equal(job_identify(&job), 0);
	assert_string_not_equal(job.item.key, installed);
	/* Versions before 0.2 did not tell them apart. */
	assert_int_equal(job_old_key(&job, older), 0);
	assert_string_equal(old, older);
	assert_string_not_equal(old, installed);
	job_free(&job);
}

/* Goal: in the keys of versions before 0.2, the envelope's id stands for the body. */
static void
test_old_keys(void **state)
{
	static const struct {
		const char *members, *body;
	} cases[] = {
		{ "\"installation\":\"dri_a\",\"id\":1,\"identifier\":\"evt_1\",", BODY },
		{ "\"installation\":\"dri_a\",\"id\":1,\"identifier\":\"evt_2\",", OTHER },
	};
	char keys[2][RUNS_KEY_SIZE];
	struct buf line = { 0 };
	struct job job;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		buf_reset(&line);
		buf_adds(&line,
		    "{\"delivery\":\"d\",\"received_at\":\"\",\"event\":\"order.created\",");
		buf_adds(&line, cases[i].members);
		buf_adds(&line, "\"body\":\"");
		buf_adds(&line, cases[i].body);
		buf_adds(&line, "\"}");
		assert_int_equal(job_read(&job, line.data, line.len, &place), 0);
		assert_int_equal(job_old_key(&job, keys[i]), 0);
		job_free(&job);
	}
	assert_string_equal(keys[0], keys[1]);
	buf_free(&line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_owners),
		cmocka_unit_test(test_digest_of_the_line),
		cmocka_unit_test(test_event_that_runs),
		cmocka_unit_test(test_old_keys),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
