/* Looking installations up and exchanging their tokens, against the stand-in for Fluid's API. */

#include "standin.h"

#include <time.h>

#include "fluid/installations.h"

#define ENDPOINT "/api/droplet_installations/exchange"
#define DIT "dit_abcdefghijklmnopqrstuvwxyz"

/* A token to exchange, fresh for each test: a spent one stays spent. */
static const char *
offer(struct world *w, const char *dri, const char *lives)
{
	static char token[64];
	static unsigned count;
	char text[512];

	snprintf(token, sizeof(token), "dex_test%u", ++count);
	snprintf(text, sizeof(text),
	    "{'exchange_token':'%s','dri':'%s','lives':%s,"
	    "'droplet_uuid':'drp_1','company_id':123,'shop':'acme.fluid.app','dit':'" DIT "',"
	    "'wvt':'wvt_key'}",
	    token, dri, lives);
	world_tell(w, "offers", text);
	return (token);
}

static enum exchange_outcome
exchange(struct world *w, struct fluid_api *t, const char *token, const char *dri,
    struct exchange *out)
{
	struct exchange_request r = {
		.endpoint = ENDPOINT,
		.exchange_token = token,
		.droplet_installation_uuid = dri,
		.fluid_company_id = "123",
	};

	return (installations_exchange(t, &r, out, &w->error));
}

/* Goal: an installation is read from an answer. */
static void
test_get(void **state)
{
	struct world *w = *state;
	struct fluid_token token = { (char *)DIT, (char *)"the record" };
	struct fluid_installation i;

	world_tell(w, "installations", "{'dri':'dri_1','droplet_uuid':'drp_1','dit':'" DIT "'}");
	CHECK(installations_get(w->t, &token, "dri_1", &i, &w->error) == 0, "%s", w->error.text);
	assert_string_equal(i.droplet_installation_uuid, "dri_1");
	assert_string_equal(i.droplet_uuid, "drp_1");
	assert_string_equal(i.fluid_company_id, "226157151");
	assert_true(i.fluid_company_id_number);
	assert_true(i.active);
	fluid_installation_free(&i);
	assert_string_equal(world_calls(w), "GET /api/droplet_installations/dri_1\n");
	assert_string_equal(world_header(w, "Authorization"), "Bearer " DIT);
}

/* Goal: an installation that cannot be looked up is an error with its reason. */
static void
test_get_fails(void **state)
{
	static const struct {
		const char *fault;
		enum fluid_failure failure;
		const char *text;
	} cases[] = {
		{ "{'shape':'401_message'}", FLUID_REFUSED, "the token is from the record" },
		{ "{'status':404}", FLUID_REFUSED, "fluid: 404: not found" },
		{ "{'times':3,'shape':'503_empty'}", FLUID_BUSY, "fluid: 503: unavailable" },
		{ "{'kind':'invalid'}", FLUID_NO_ANSWER, "not readable JSON" },
		{ "{'status':200,'body':{}}", FLUID_NO_ANSWER, "does not name an installation" },
		{ "{'status':200,'body':{'droplet_installation':{'uuid':'dri_2'}}}", FLUID_REFUSED,
		    "asked about dri_1, but the answer is about dri_2" },
	};
	struct world *w = *state;
	struct fluid_token token = { (char *)DIT, (char *)"the record" };
	struct fluid_installation i;

	world_tell(w, "installations", "{'dri':'dri_1','dit':'" DIT "'}");
	for (size_t n = 0; n < LENGTH(cases); n++) {
		world_reset(state);
		world_fault(w, cases[n].fault);
		CHECK(installations_get(w->t, &token, "dri_1", &i, &w->error) == -1, "%s",
		    cases[n].fault);
		CHECK(w->error.failure == cases[n].failure, "%s: %s", cases[n].fault,
		    w->error.text);
		CHECK(strstr(w->error.text, cases[n].text) != NULL, "%s: %s", cases[n].fault,
		    w->error.text);
		assert_null(i.droplet_installation_uuid);
	}
	world_reset(state);
	assert_int_equal(installations_get(w->t, &token, "../webhooks", &i, &w->error), -1);
	assert_string_equal(world_calls(w), "");
}

/* Whose a token is, where Fluid says so. */
static void
test_owner(void **state)
{
	static const struct {
		const char *fault;
		int result;
		const char *id, *shop;
	} cases[] = {
		{ NULL, 0, "226157151", "acme" },
		{ "{'status':200,'body':{'data':{'company':{'id':'7'}}}}", 0, "7", NULL },
		{ "{'status':200,'body':{'company':{'subdomain':'x'}}}", 0, NULL, "x" },
		{ "{'status':200,'body':{'data':{}}}", -1, NULL, NULL },
		{ "{'kind':'invalid'}", -1, NULL, NULL },
		{ "{'shape':'403_scope'}", -1, NULL, NULL },
		{ "{'status':404,'body':'<html></html>'}", -1, NULL, NULL },
	};
	struct world *w = *state;
	struct fluid_token token = { (char *)DIT, (char *)"the record" };
	struct fluid_installation i;

	world_tell(w, "installations", "{'dri':'dri_1','dit':'" DIT "'}");
	for (size_t n = 0; n < LENGTH(cases); n++) {
		world_reset(state);
		if (cases[n].fault)
			world_fault(w, cases[n].fault);
		CHECK(installations_owner(w->t, &token, &i, &w->error) == cases[n].result,
		    "%zu: %s", n, w->error.text);
		CHECK(cases[n].id ?
			i.fluid_company_id && strcmp(i.fluid_company_id, cases[n].id) == 0 :
			i.fluid_company_id == NULL,
		    "%zu", n);
		CHECK(cases[n].shop ? i.fluid_shop && strcmp(i.fluid_shop, cases[n].shop) == 0 :
				      i.fluid_shop == NULL,
		    "%zu", n);
		assert_true(i.fluid_company_id_number == (n == 0));
		fluid_installation_free(&i);
		assert_string_equal(world_calls(w), "GET /api/company/v1/companies/me\n");
		assert_string_equal(world_header(w, "Authorization"), "Bearer " DIT);
	}
}

/* Goal: an exchange gives the credentials of the installation. */
static void
test_exchange(void **state)
{
	struct world *w = *state;
	const char *token = offer(w, "dri_1", "60");
	struct exchange x;
	char want[128];

	CHECK(exchange(w, w->t, token, "dri_1", &x) == EXCHANGE_DONE, "%s", w->error.text);
	assert_string_equal(x.authentication_token, DIT);
	assert_string_equal(x.webhook_verification_token, "wvt_key");
	assert_string_equal(x.installation.droplet_installation_uuid, "dri_1");
	assert_string_equal(x.installation.droplet_uuid, "drp_1");
	assert_string_equal(x.installation.fluid_company_id, "123");
	assert_string_equal(x.installation.fluid_shop, "acme.fluid.app");
	exchange_free(&x);
	assert_string_equal(world_calls(w), "POST " ENDPOINT "\n");
	assert_null(world_header(w, "Authorization"));
	assert_string_equal(world_header(w, "Content-Type"), "application/json");
	snprintf(want, sizeof(want), "{\"exchange_token\":\"%s\"}", token);
	assert_string_equal(world_body(w), want);
	/* It can be spent once. */
	assert_int_equal(exchange(w, w->t, token, "dri_1", &x), EXCHANGE_REFUSED);
	assert_int_equal(w->error.status, 410);
	assert_null(x.authentication_token);
	assert_int_equal(exchange(w, w->t, offer(w, "dri_1", "-1"), "dri_1", &x), EXCHANGE_REFUSED);
	assert_int_equal(w->error.status, 410);
	assert_int_equal(exchange(w, w->t, "dex_unknown", "dri_1", &x), EXCHANGE_REFUSED);
	assert_int_equal(w->error.status, 404);
}

/* Credentials of somebody else are not taken, whoever answers with them. */
static void
test_exchange_for_another(void **state)
{
	struct world *w = *state;
	struct exchange_request by_company = { .endpoint = ENDPOINT, .fluid_company_id = "123" };
	struct exchange x;

	assert_int_equal(exchange(w, w->t, offer(w, "dri_2", "60"), "dri_1", &x), EXCHANGE_REFUSED);
	assert_string_equal(w->error.text,
	    "fluid: exchange: asked for dri_1, but the answer is about dri_2");
	assert_null(x.authentication_token);
	assert_null(x.installation.droplet_uuid);
	by_company.exchange_token = offer(w, "dri_3", "60");
	assert_int_equal(installations_exchange(w->t, &by_company, &x, &w->error), EXCHANGE_DONE);
	exchange_free(&x);
	by_company.exchange_token = offer(w, "dri_3", "60");
	by_company.fluid_company_id = "124";
	assert_int_equal(installations_exchange(w->t, &by_company, &x, &w->error),
	    EXCHANGE_REFUSED);
	by_company.exchange_token = offer(w, "dri_3", "60");
	by_company.fluid_company_id = NULL;
	assert_int_equal(installations_exchange(w->t, &by_company, &x, &w->error),
	    EXCHANGE_REFUSED);
}

/* What each failure says about the token, and that it is sent once whatever happens. */
static void
test_exchange_outcomes(void **state)
{
	static const struct {
		const char *fault;
		enum exchange_outcome want;
	} cases[] = {
		{ "{'shape':'503_empty'}", EXCHANGE_AGAIN },
		{ "{'shape':'500_html'}", EXCHANGE_UNKNOWN },
		{ "{'shape':'429_empty'}", EXCHANGE_AGAIN },
		{ "{'status':408}", EXCHANGE_AGAIN },
		{ "{'status':502}", EXCHANGE_UNKNOWN },
		{ "{'status':504}", EXCHANGE_UNKNOWN },
		{ "{'kind':'redirect','location':'https://evil.example/'}", EXCHANGE_AGAIN },
		/* Only these two are final, and only in Fluid's own words. */
		{ "{'shape':'404_null'}", EXCHANGE_REFUSED },
		{ "{'status':410,'body':{'error_message':'spent','errors':null}}",
		    EXCHANGE_REFUSED },
		{ "{'status':404}", EXCHANGE_AGAIN },
		{ "{'status':404,'body':'<html>no such page</html>'}", EXCHANGE_AGAIN },
		{ "{'status':404,'body':{'path':'/'}}", EXCHANGE_AGAIN },
		{ "{'status':410}", EXCHANGE_AGAIN },
		{ "{'status':400}", EXCHANGE_AGAIN },
		{ "{'shape':'401_message'}", EXCHANGE_AGAIN },
		{ "{'shape':'403_scope'}", EXCHANGE_AGAIN },
		{ "{'shape':'422_string'}", EXCHANGE_AGAIN },
		{ "{'kind':'reset'}", EXCHANGE_UNKNOWN },
		{ "{'kind':'close','done':true}", EXCHANGE_UNKNOWN },
		{ "{'kind':'half'}", EXCHANGE_UNKNOWN },
		{ "{'kind':'slow'}", EXCHANGE_UNKNOWN },
		{ "{'kind':'huge'}", EXCHANGE_UNKNOWN },
		{ "{'kind':'invalid'}", EXCHANGE_UNKNOWN },
		{ "{'status':200,'body':{'droplet_installation':"
		  "{'droplet_installation_uuid':'dri_1'},'credentials':{}}}",
		    EXCHANGE_UNKNOWN },
		{ "{'status':200,'body':{'droplet_installation':"
		  "{'droplet_installation_uuid':'dri_1'},'credentials':"
		  "{'authentication_token':'a\\r\\nb'}}}",
		    EXCHANGE_UNKNOWN },
		{ "{'status':200,'body':{'droplet_installation':"
		  "{'droplet_installation_uuid':'dri_1'},'credentials':"
		  "{'authentication_token':'dit_x','webhook_verification_token':null}}}",
		    EXCHANGE_DONE },
		{ "{'status':200,'body':{'authentication_token':'dit_x','installation_id':'dri_1'}}",
		    EXCHANGE_DONE },
		{ "{'status':200,'body':{'authentication_token':'dit_x','installation_id':'dri_2'}}",
		    EXCHANGE_REFUSED },
	};
	struct world *w = *state;
	struct exchange x;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *token;
		enum exchange_outcome got;

		world_reset(state);
		token = offer(w, "dri_1", "60");
		world_fault(w, cases[i].fault);
		got = exchange(w, world_api(w, cases[i].fault), token, "dri_1", &x);
		CHECK(got == cases[i].want, "%s: %d: %s", cases[i].fault, got, w->error.text);
		CHECK_TEXT(world_calls(w), "POST " ENDPOINT "\n", cases[i].fault);
		CHECK(strstr(w->error.text, token) == NULL, "%s", w->error.text);
		if (got != EXCHANGE_DONE)
			assert_null(x.authentication_token);
		exchange_free(&x);
	}
}

/* Goal: an exchange that cannot reach Fluid is to be retried, and one to another host is refused. */
static void
test_exchange_before_anything_is_sent(void **state)
{
	struct world *w = *state;
	struct fluid_api *t = api_to(w, "http://127.0.0.1:1", "");
	struct exchange_request r = { .exchange_token = "dex_x" };
	struct timespec begun, done;
	struct exchange x;

	/* At once: when to try again is the caller's to say. */
	clock_gettime(CLOCK_MONOTONIC, &begun);
	assert_int_equal(exchange(w, t, "dex_x", "dri_1", &x), EXCHANGE_AGAIN);
	clock_gettime(CLOCK_MONOTONIC, &done);
	assert_int_equal(w->error.failure, FLUID_NOT_SENT);
	assert_true(done.tv_sec - begun.tv_sec <= 1);
	fluid_api_free(t);
	r.endpoint = "@evil.example/exchange";
	assert_int_equal(installations_exchange(w->t, &r, &x, &w->error), EXCHANGE_REFUSED);
	r.endpoint = "//evil.example/exchange";
	assert_int_equal(installations_exchange(w->t, &r, &x, &w->error), EXCHANGE_REFUSED);
	r.endpoint = ENDPOINT;
	r.exchange_token = "";
	assert_int_equal(installations_exchange(w->t, &r, &x, &w->error), EXCHANGE_REFUSED);
	assert_string_equal(world_calls(w), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_get, world_reset),
		cmocka_unit_test_setup(test_get_fails, world_reset),
		cmocka_unit_test_setup(test_owner, world_reset),
		cmocka_unit_test_setup(test_exchange, world_reset),
		cmocka_unit_test_setup(test_exchange_for_another, world_reset),
		cmocka_unit_test_setup(test_exchange_outcomes, world_reset),
		cmocka_unit_test_setup(test_exchange_before_anything_is_sent, world_reset),
	};

	return (cmocka_run_group_tests(tests, world_setup, world_teardown));
}
