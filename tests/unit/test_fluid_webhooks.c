/* Managing webhooks, against the stand-in for Fluid's API. */

#include "standin.h"

#include "fluid/webhooks.h"

static const struct webhook_values seed = {
	.resource = "droplet",
	.event = "installed",
	.url = "https://reportify.example.com/webhook",
};

static const char first_create[] = "POST /api/webhooks\n";

/* What is sent is the guide's curl line: no more, no less. */
static void
test_create_is_the_guides(void **state)
{
	struct world *w = *state;
	struct webhook made;

	CHECK(webhooks_create(w->t, &w->token, &seed, &made, &w->error) == 0, "%s", w->error.text);
	assert_string_equal(world_calls(w), first_create);
	assert_string_equal(world_body(w),
	    "{\"webhook\":{\"resource\":\"droplet\","
	    "\"event\":\"installed\",\"url\":\"https://reportify.example.com/webhook\","
	    "\"active\":true,\"http_method\":\"post\"}}");
	assert_string_equal(world_header(w, "Authorization"), "Bearer " COMPANY_TOKEN);
	assert_string_equal(world_header(w, "Content-Type"), "application/json");
	CHECK(strncmp(world_header(w, "User-Agent"), "fluidhook/", 10) == 0, "%s",
	    world_header(w, "User-Agent"));
	assert_null(world_header(w, "Expect"));
	assert_string_equal(made.resource, "droplet");
	assert_string_equal(made.event, "installed");
	assert_true(made.active);
	assert_true(webhook_is_id(made.id));
	webhook_free(&made);
}

/* Goal: a new webhook has all that was asked for. */
static void
test_create_with_everything(void **state)
{
	struct world *w = *state;
	const bool no = false;
	struct webhook_values v = { "order", "created", "https://example.com/\"\\\xc3\xa9", "put",
		"a secret of ours", &no };
	struct webhook made;

	CHECK(webhooks_create(w->t, &w->token, &v, &made, &w->error) == 0, "%s", w->error.text);
	world_calls(w);
	assert_string_equal(world_body(w),
	    "{\"webhook\":{\"resource\":\"order\","
	    "\"event\":\"created\",\"url\":\"https://example.com/\\\"\\\\\xc3\xa9\","
	    "\"active\":false,\"http_method\":\"put\",\"auth_token\":\"a secret of ours\"}}");
	assert_string_equal(made.auth_token, "a secret of ours");
	assert_string_equal(made.url, v.url);
	assert_false(made.active);
	webhook_free(&made);
}

/* Goal: an impossible webhook is refused before it is sent. */
static void
test_create_refuses_nonsense(void **state)
{
	struct world *w = *state;
	struct webhook_values v = seed;
	struct webhook made;

	v.url = NULL;
	assert_int_equal(webhooks_create(w->t, &w->token, &v, &made, &w->error), -1);
	assert_int_equal(w->error.failure, FLUID_LOCAL);
	v.url = "https://example.com/\xff";
	assert_int_equal(webhooks_create(w->t, &w->token, &v, &made, &w->error), -1);
	assert_string_equal(w->error.text, "fluid: url: not UTF-8");
	assert_string_equal(world_calls(w), "");
}

/* The next address only after 404, 405 and 410, and each only once. */
static void
test_next_address(void **state)
{
	static const int statuses[] = { 404, 405, 410 };
	struct world *w = *state;
	struct webhook made;
	char fault[128];

	for (size_t i = 0; i < LENGTH(statuses); i++) {
		world_reset(state);
		snprintf(fault, sizeof(fault), "{'path':'/api/webhooks','status':%d}", statuses[i]);
		world_fault(w, fault);
		CHECK(webhooks_create(w->t, &w->token, &seed, &made, &w->error) == 0, "%s",
		    w->error.text);
		webhook_free(&made);
		assert_string_equal(world_calls(w),
		    "POST /api/webhooks\nPOST /api/company/webhooks\n");
	}
	world_tell(w, "families", "{'families':[]}");
	world_tell(w, "forget", "{}");
	assert_int_equal(webhooks_create(w->t, &w->token, &seed, &made, &w->error), -1);
	assert_string_equal(world_calls(w), "POST /api/webhooks\nPOST /api/company/webhooks\n");
	CHECK(strncmp(w->error.text, "fluid: 404: no webhooks API at http://", 38) == 0 &&
		strstr(w->error.text, "/api/webhooks and http://") &&
		strstr(w->error.text, "/api/company/webhooks"),
	    "%s", w->error.text);
}

/* Whatever else goes wrong, there is one call: it may have created something. */
static void
test_no_second_create(void **state)
{
	static const struct {
		const char *fault;
		enum fluid_failure failure;
		const char *text; /* what the line has in it */
	} cases[] = {
		{ "{'shape':'422_object'}", FLUID_REFUSED, "fluid: 422: url: must be https" },
		{ "{'shape':'401_message'}", FLUID_REFUSED, "token is from the test" },
		{ "{'shape':'403_scope'}", FLUID_REFUSED, "webhooks.write" },
		{ "{'status':409}", FLUID_REFUSED, "fluid: 409: conflict" },
		{ "{'shape':'429_empty'}", FLUID_BUSY, "fluid: 429: too many requests" },
		{ "{'shape':'500_html'}", FLUID_BUSY,
		    "fluid: 500: internal error; the webhook may exist now" },
		{ "{'shape':'503_empty'}", FLUID_BUSY,
		    "fluid: 503: unavailable; the webhook may exist" },
		{ "{'status':408}", FLUID_BUSY, "the webhook may exist now" },
		{ "{'kind':'slow'}", FLUID_NO_ANSWER, "no answer within 2 s" },
		{ "{'kind':'reset'}", FLUID_NO_ANSWER, "may exist now" },
		{ "{'kind':'reset','done':true}", FLUID_NO_ANSWER, "may exist now" },
		{ "{'kind':'close','done':true}", FLUID_NO_ANSWER, "without an answer" },
		{ "{'kind':'half'}", FLUID_NO_ANSWER, "may exist now" },
		{ "{'kind':'huge'}", FLUID_NO_ANSWER, "larger than 4 MiB" },
		{ "{'kind':'invalid'}", FLUID_NO_ANSWER, "not readable JSON" },
		{ "{'status':201,'body':{}}", FLUID_NO_ANSWER, "may exist now" },
		{ "{'kind':'redirect','location':'https://evil.example/x?y'}", FLUID_REFUSED,
		    "redirected to https://evil.example," },
	};
	struct world *w = *state;
	struct webhook made;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		world_reset(state);
		world_fault(w, cases[i].fault);
		CHECK(webhooks_create(world_api(w, cases[i].fault), &w->token, &seed, &made,
			  &w->error) == -1,
		    "%s", cases[i].fault);
		CHECK_TEXT(world_calls(w), first_create, cases[i].fault);
		CHECK(w->error.failure == cases[i].failure, "%s: %d: %s", cases[i].fault,
		    w->error.failure, w->error.text);
		CHECK(strstr(w->error.text, cases[i].text) != NULL, "%s: %s", cases[i].fault,
		    w->error.text);
		assert_null(made.id);
	}
}

/* A connection that was kept from a call before and dies makes no second POST either. */
static void
test_no_second_create_on_a_kept_connection(void **state)
{
	struct world *w = *state;
	struct webhook_list l;
	struct webhook made;

	for (int i = 0; i < 5; i++) {
		world_reset(state);
		assert_int_equal(webhooks_list(w->t, &w->token, &l, &w->error), 0);
		webhook_list_free(&l);
		world_fault(w, "{'kind':'close','method':'POST'}");
		assert_int_equal(webhooks_create(w->t, &w->token, &seed, &made, &w->error), -1);
		assert_int_equal(w->error.failure, FLUID_NO_ANSWER);
		assert_string_equal(world_calls(w),
		    "GET /api/webhooks?page=1&per_page=100\nPOST /api/webhooks\n");
	}
}

/* Goal: a list of webhooks has those of every page. */
static void
test_list_every_page(void **state)
{
	struct world *w = *state;
	struct webhook_list l;

	world_tell(w, "webhooks", "{'count':250}");
	world_tell(w, "families", "{'families':['/api/company/webhooks']}");
	CHECK(webhooks_list(w->t, &w->token, &l, &w->error) == 0, "%s", w->error.text);
	assert_int_equal(l.n, 250);
	for (size_t i = 1; i < l.n; i++)
		assert_int_equal(strtoll(l.items[i].id, NULL, 10),
		    strtoll(l.items[i - 1].id, NULL, 10) + 1);
	assert_null(l.items[0].auth_token);
	webhook_list_free(&l);
	assert_string_equal(world_calls(w),
	    "GET /api/webhooks?page=1&per_page=100\n"
	    "GET /api/company/webhooks?page=1&per_page=100\n"
	    "GET /api/company/webhooks?page=2&per_page=100\n"
	    "GET /api/company/webhooks?page=3&per_page=100\n");
}

/* Where nothing says how many pages there are, the list ends with the page that has nothing new. */
static void
test_list_without_pagination(void **state)
{
	struct world *w = *state;
	struct webhook_list l;

	world_fault(w, "{'times':2,'status':200,'body':{'webhooks':[{'id':1},{'id':2}]}}");
	CHECK(webhooks_list(w->t, &w->token, &l, &w->error) == 0, "%s", w->error.text);
	assert_int_equal(l.n, 2);
	webhook_list_free(&l);
	world_reset(state);
	world_fault(w, "{'status':200,'body':{'webhooks':[{'id':1},{'id':2}]}}");
	world_fault(w, "{'status':200,'body':{'webhooks':[{'id':2},{'id':3}]}}");
	world_fault(w, "{'status':200,'body':{'webhooks':[]}}");
	CHECK(webhooks_list(w->t, &w->token, &l, &w->error) == 0, "%s", w->error.text);
	assert_int_equal(l.n, 3);
	webhook_list_free(&l);
}

/* A list that fails in the middle is no list, and is not gone on with elsewhere. */
static void
test_list_fails(void **state)
{
	static const struct {
		const char *fault;
		const char *text;
	} cases[] = {
		{ "{'status':200,'body':{'items':[]}}", "not a list of webhooks" },
		{ "{'status':200,'body':{'webhooks':[{'url':'x'}]}}", "not a webhook" },
		{ "{'status':200,'body':[]}", "not readable JSON" },
		{ "{'kind':'invalid'}", "not readable JSON" },
		{ "{'kind':'huge'}", "larger than 4 MiB" },
		{ "{'skip':1,'status':404}", "fluid: 404: not found" },
		{ "{'skip':1,'shape':'401_message'}", "fluid: 401: Unauthorized" },
	};
	struct world *w = *state;
	struct webhook_list l;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		world_reset(state);
		world_tell(w, "webhooks", "{'count':150}");
		world_fault(w, cases[i].fault);
		CHECK(webhooks_list(w->t, &w->token, &l, &w->error) == -1, "%s", cases[i].fault);
		CHECK(strstr(w->error.text, cases[i].text) != NULL, "%s: %s", cases[i].fault,
		    w->error.text);
		assert_null(l.items);
		CHECK(strstr(world_calls(w), "company") == NULL, "%s", cases[i].fault);
	}
}

/* Goal: a list that never ends is given up. */
static void
test_list_is_bounded(void **state)
{
	struct world *w = *state;
	struct webhook_list l;

	world_fault(w,
	    "{'times':1000000,'status':200,'body':{'webhooks':[],"
	    "'meta':{'pagination':{'total_pages':99999999999999999999}}}}");
	assert_int_equal(webhooks_list(w->t, &w->token, &l, &w->error), -1);
	CHECK(strstr(w->error.text, "does not end") != NULL, "%s", w->error.text);
}

/* Goal: a webhook is shown, changed and deleted by its id. */
static void
test_show_update_delete(void **state)
{
	struct world *w = *state;
	const bool no = false;
	struct webhook_values change = { .url = "https://example.com/new",
		.active = &no,
		.auth_token = "new secret",
		.resource = "never",
		.event = "sent" };
	struct webhook made, now;
	char want[256];

	assert_int_equal(webhooks_create(w->t, &w->token, &seed, &made, &w->error), 0);
	CHECK(webhooks_show(w->t, &w->token, made.id, &now, &w->error) == 0, "%s", w->error.text);
	assert_string_equal(now.url, seed.url);
	webhook_free(&now);
	world_tell(w, "forget", "{}");
	CHECK(webhooks_update(w->t, &w->token, made.id, &change, &now, &w->error) == 0, "%s",
	    w->error.text);
	assert_string_equal(now.url, change.url);
	assert_string_equal(now.auth_token, change.auth_token);
	assert_false(now.active);
	webhook_free(&now);
	snprintf(want, sizeof(want), "PUT /api/webhooks/%s\n", made.id);
	assert_string_equal(world_calls(w), want);
	assert_string_equal(world_body(w),
	    "{\"webhook\":{\"url\":\"https://example.com/new\","
	    "\"active\":false,\"auth_token\":\"new secret\"}}");
	CHECK(webhooks_delete(w->t, &w->token, made.id, &w->error) == 0, "%s", w->error.text);
	world_tell(w, "forget", "{}");
	assert_int_equal(webhooks_delete(w->t, &w->token, made.id, &w->error), -1);
	snprintf(want, sizeof(want), "DELETE /api/webhooks/%s\nDELETE /api/company/webhooks/%s\n",
	    made.id, made.id);
	assert_string_equal(world_calls(w), want);
	snprintf(want, sizeof(want), "fluid: 404: no webhook %s for this token", made.id);
	CHECK(strncmp(w->error.text, want, strlen(want)) == 0, "%s", w->error.text);
	webhook_free(&made);
}

/* Goal: an impossible id is refused before it is sent. */
static void
test_by_id_refuses_nonsense(void **state)
{
	struct world *w = *state;
	struct webhook_values none = { 0 };
	struct webhook now;

	assert_int_equal(webhooks_show(w->t, &w->token, "1/../2", &now, &w->error), -1);
	assert_int_equal(webhooks_delete(w->t, &w->token, "", &w->error), -1);
	assert_int_equal(webhooks_update(w->t, &w->token, "1", &none, &now, &w->error), -1);
	assert_string_equal(w->error.text, "fluid: nothing to change is given");
	assert_string_equal(world_calls(w), "");
}

/* Goal: Fluid's list of events is read. */
static void
test_events(void **state)
{
	struct world *w = *state;
	struct webhook_events l;
	bool installed = false;

	world_tell(w, "families", "{'families':['/api/company/webhooks']}");
	CHECK(webhooks_events(w->t, &w->token, &l, &w->error) == 0, "%s", w->error.text);
	for (size_t i = 0; i < l.n; i++) {
		installed |= strcmp(l.items[i].name, "droplet.installed") == 0;
		assert_int_equal(l.items[i].deprecated, strncmp(l.items[i].name, "rep.", 4) == 0);
	}
	assert_true(installed);
	webhook_events_free(&l);
	assert_string_equal(world_calls(w),
	    "GET /api/webhooks/resources\nGET /api/company/webhooks/resources\n");
	world_reset(state);
	world_fault(w, "{'status':200,'body':{'resources':null}}");
	assert_int_equal(webhooks_events(w->t, &w->token, &l, &w->error), -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_create_is_the_guides, world_reset),
		cmocka_unit_test_setup(test_create_with_everything, world_reset),
		cmocka_unit_test_setup(test_create_refuses_nonsense, world_reset),
		cmocka_unit_test_setup(test_next_address, world_reset),
		cmocka_unit_test_setup(test_no_second_create, world_reset),
		cmocka_unit_test_setup(test_no_second_create_on_a_kept_connection, world_reset),
		cmocka_unit_test_setup(test_list_every_page, world_reset),
		cmocka_unit_test_setup(test_list_without_pagination, world_reset),
		cmocka_unit_test_setup(test_list_fails, world_reset),
		cmocka_unit_test_setup(test_list_is_bounded, world_reset),
		cmocka_unit_test_setup(test_show_update_delete, world_reset),
		cmocka_unit_test_setup(test_by_id_refuses_nonsense, world_reset),
		cmocka_unit_test_setup(test_events, world_reset),
	};

	return (cmocka_run_group_tests(tests, world_setup, world_teardown));
}
