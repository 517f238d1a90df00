/* What becomes of a delivery that was judged (contract section 3). Nothing is opened for it. */
#include "support.h"

#include <string.h>

#include "receiver/decide.h"

enum { NOW = 2000000000 };

#define COMPANY \
	"\"company\":{\"droplet_installation_uuid\":\"dri_1\",\"droplet_uuid\":\"drp_x\"," \
	"\"fluid_company_id\":1,\"fluid_shop\":\"a\",\"authentication_token\":\"cat_a\"}"

static const char install[] = "{\"resource\":\"droplet\",\"event\":\"installed\"," COMPANY "}",
		  order[] = "{\"resource\":\"order\",\"event\":\"created\"}";

struct world {
	char *directory;
	struct conf *conf;
	struct fluid_headers headers;
	struct intake in;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->directory = directory_make();
	w->conf = conf_make(w->directory,
	    "state_dir = state\n[droplet]\nuuid = drp_x\nsecrets = secrets\n");
	w->in.authority.conf = w->conf;
	w->in.headers = &w->headers;
	w->in.now.tv_sec = NOW;
	w->in.reason = "why";
	*state = w;
	return (w->conf == NULL);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	body_free(&w->in.body);
	conf_free(w->conf);
	directory_remove(w->directory);
	free(w);
	return (0);
}

static struct decision
decide_on(struct world *w, const char *body, enum verdict verdict)
{
	body_free(&w->in.body);
	buf_adds(&w->in.body.bytes, body);
	w->in.body.delivery = delivery_new();
	delivery_feed(w->in.body.delivery, body, strlen(body));
	delivery_finish(w->in.body.delivery);
	w->in.content = delivery_content(w->in.body.delivery);
	w->in.verdict = verdict;
	return (decide(&w->in));
}

static void
check_answered(struct decision d, int status, const char *word)
{
	assert_int_equal(d.action, ACTION_ANSWER);
	assert_int_equal(d.answer.status, status);
	assert_string_equal(d.answer.word, word);
}

/* Goal: what is verified and whole is accepted, and each flaw has its answer. */
static void
test_verified(void **state)
{
	struct world *w = *state;

	assert_int_equal(decide_on(w, install, VERDICT_GENUINE).action, ACTION_ACCEPT);
	assert_int_equal(decide_on(w, order, VERDICT_GENUINE).action, ACTION_ACCEPT);
	check_answered(decide_on(w, "{\"resource\":", VERDICT_GENUINE), 400, "malformed");
	check_answered(decide_on(w, "{}", VERDICT_GENUINE), 400, "no_event");
	check_answered(decide_on(w, "{\"resource\":\"fluidhook\",\"event\":\"x\"}",
			   VERDICT_GENUINE),
	    400, "reserved");
	check_answered(decide_on(w, "{\"resource\":\"fluidhook\",\"event\":\"probe\"}",
			   VERDICT_GENUINE),
	    200, "probe");
	check_answered(decide_on(w, "{\"resource\":\"droplet\",\"event\":\"installed\"}",
			   VERDICT_GENUINE),
	    422, "incomplete");
	w->in.evidence.applied = true;
	assert_int_equal(decide_on(w, install, VERDICT_GENUINE).action, ACTION_ACCEPT_APPLIED);
	w->in.evidence.foreign = true;
	check_answered(decide_on(w, install, VERDICT_GENUINE), 403, "unknown_droplet");
	check_answered(decide_on(w, "{}", VERDICT_GENUINE), 400, "no_event");
}

/* Goal: without authentication the answer does not depend on the body; what can recover gets 503. */
static void
test_not_verified(void **state)
{
	static const char *const bodies[] = { install, order, "{}", "{\"resource\":" };
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		check_answered(decide_on(w, bodies[i], VERDICT_NO_EVIDENCE), 401, "unauthorized");
		check_answered(decide_on(w, bodies[i], VERDICT_NOT_GENUINE), 401, "unauthorized");
		check_answered(decide_on(w, bodies[i], VERDICT_UNAVAILABLE), 503, "unavailable");
		check_answered(decide_on(w, bodies[i], VERDICT_STALE), 503, "unavailable");
	}
	assert_string_equal(decide_on(w, order, VERDICT_STALE).answer.reason, "why");
}

/* Goal: only a whole install of a configured droplet, and no large one, may wait for confirmation. */
static void
test_unsigned(void **state)
{
	struct world *w = *state;
	struct buf large = { 0 };

	w->conf->unsigned_installs = UNSIGNED_CONFIRM;
	assert_int_equal(decide_on(w, install, VERDICT_NO_EVIDENCE).action, ACTION_ACCEPT_UNSIGNED);
	check_answered(decide_on(w, install, VERDICT_NOT_GENUINE), 401, "unauthorized");
	check_answered(decide_on(w, order, VERDICT_NO_EVIDENCE), 401, "unauthorized");
	check_answered(decide_on(w,
			   "{\"resource\":\"droplet\",\"event\":\"installed\",\"company\":{"
			   "\"droplet_installation_uuid\":\"dri_1\",\"droplet_uuid\":\"drp_y\","
			   "\"fluid_company_id\":1,\"authentication_token\":\"cat_a\"}}",
			   VERDICT_NO_EVIDENCE),
	    401, "unauthorized");
	buf_addf(&large, "%.*s,\"x\":\"%65536d\"}", (int)strlen(install) - 1, install, 0);
	check_answered(decide_on(w, large.data, VERDICT_NO_EVIDENCE), 401, "unauthorized");
	assert_true(w->in.content->well_formed);
	buf_free(&large);
}

/* Goal: a request whose key is still to come is kept, and only if its signature is plausible and fresh. */
static void
test_kept(void **state)
{
	struct world *w = *state;
	struct decision d;

	w->in.evidence.waiting = true;
	w->in.evidence.timestamp = NOW;
	w->headers.signature = (struct header){
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 1
	};
	w->headers.timestamp = (struct header){ "2000000000", 1 };
	d = decide_on(w, order, VERDICT_NOT_GENUINE);
	assert_int_equal(d.action, ACTION_KEEP);
	assert_int_equal(d.answer.status, 503);
	assert_string_equal(d.answer.reason, "no_key_yet");
	w->in.evidence.timestamp = NOW - 301;
	check_answered(decide_on(w, order, VERDICT_NOT_GENUINE), 401, "unauthorized");
	w->in.evidence.timestamp = NOW;
	w->headers.signature.count = 2;
	check_answered(decide_on(w, order, VERDICT_NOT_GENUINE), 401, "unauthorized");
	w->headers.signature.count = 1;
	w->in.evidence.waiting = false;
	check_answered(decide_on(w, order, VERDICT_NOT_GENUINE), 401, "unauthorized");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_verified, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_verified, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unsigned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
