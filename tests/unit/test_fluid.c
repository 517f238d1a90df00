/* Fluid's API without a network: error lines, addresses, paths, tokens, what answers say. */

#include "support.h"

#include <errno.h>
#include <sys/stat.h>

#include "fluid/error.h"
#include "fluid/installations.h"
#include "fluid/json_tree.h"
#include "fluid/token.h"
#include "fluid/webhook.h"
#include "fluid/webhook_events.h"

/* Goal: each of Fluid's error shapes gives one message. */
static void
test_error_shapes(void **state)
{
	static const struct {
		long status;
		const char *body;
		const char *want;
	} cases[] = {
		{ 401, "{'message':'Unauthorized'}",
		    "fluid: 401: Unauthorized; the token is from /etc/t" },
		{ 403, "{'error':'Token does not have the required scope: webhooks.write'}",
		    "fluid: 403: Token does not have the required scope: webhooks.write" },
		{ 404, "{'error_message':'Webhook not found','errors':null,'meta':{}}",
		    "fluid: 404: Webhook not found" },
		{ 422, "{'error_message':'Invalid','errors':'url: must be https'}",
		    "fluid: 422: url: must be https" },
		{ 422, "{'error_message':'Invalid','errors':{'url':['must be https']}}",
		    "fluid: 422: url: must be https" },
		{ 422, "{'error_message':'No','errors':{'url':'must be https','event':['a','b']}}",
		    "fluid: 422: url: must be https; event: a; event: b" },
		{ 422, "{'error_message':'Invalid','errors':['Url must be https','x']}",
		    "fluid: 422: Url must be https; x" },
		{ 422, "{'errors':[{'field':'url','message':'must be https'}]}",
		    "fluid: 422: url: must be https" },
		{ 422, "{'errors':{'webhook':{'url':['must be https']}}}",
		    "fluid: 422: url: must be https" },
		{ 422, "{'errors':{'base':['no more than 10']}}", "fluid: 422: no more than 10" },
		{ 422, "{'errors':[],'error':'old style'}", "fluid: 422: old style" },
		{ 422, "{'errors':{},'message':'older style'}", "fluid: 422: older style" },
		{ 422, "{'error':{'message':'nested'}}", "fluid: 422: nested" },
		{ 422, "{'errors':[[[]],{},null,true]}", "fluid: 422: not accepted" },
		{ 500, "<html>We are sorry</html>", "fluid: 500: internal error" },
		{ 502, "", "fluid: 502: bad gateway" },
		{ 418, "[1]", "fluid: 418: no explanation" },
		{ 422, "{'error':'a\\u001b[31mb\\u0000c\\u009bd\\ne'}",
		    "fluid: 422: a\\x1b[31mb\\x00c\\x9bd\\x0ae" },
		{ 422, "{'error':'caf\\u00e9'}", "fluid: 422: caf\xc3\xa9" },
	};
	struct fluid_error_context ctx = { .token_source = "/etc/t" };
	struct fluid_error e;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *body = quoted(cases[i].body);

		assert_int_equal(fluid_error_answer(&e, cases[i].status, body, strlen(body), &ctx),
		    -1);
		CHECK_TEXT(e.text, cases[i].want, cases[i].body);
		assert_int_equal(e.status, cases[i].status);
	}
}

/* Goal: the status of an answer says what kind of failure it is. */
static void
test_error_kinds(void **state)
{
	static const struct {
		long status;
		enum fluid_failure want;
	} cases[] = {
		{ 302, FLUID_REFUSED },
		{ 400, FLUID_REFUSED },
		{ 401, FLUID_REFUSED },
		{ 404, FLUID_REFUSED },
		{ 408, FLUID_BUSY },
		{ 410, FLUID_REFUSED },
		{ 422, FLUID_REFUSED },
		{ 425, FLUID_BUSY },
		{ 429, FLUID_BUSY },
		{ 500, FLUID_BUSY },
		{ 503, FLUID_BUSY },
		{ 599, FLUID_BUSY },
	};
	struct fluid_error_context ctx = { .retry_after = 7 };
	struct fluid_error e;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		fluid_error_answer(&e, cases[i].status, NULL, 0, &ctx);
		CHECK(e.failure == cases[i].want, "%ld", cases[i].status);
		assert_int_equal(e.retry_after, 7);
		CHECK(strstr(e.text, "wait 7 s") != NULL, "%s", e.text);
	}
}

/* A line never quotes a credential of the call, however long the text around it is. */
static void
test_error_hides_secrets(void **state)
{
	static const char token[] = "dit_0123456789abcdef";
	struct fluid_error_context ctx = { .secrets = { token, "chosen-secret" } };
	struct fluid_error e;
	struct buf body = { 0 };

	(void)state;
	for (size_t fill = 0; fill < 700; fill++) {
		buf_reset(&body);
		buf_adds(&body, "{\"errors\":{\"auth_token\":[\"");
		for (size_t i = 0; i < fill; i++)
			buf_addc(&body, 'x');
		buf_addf(&body, "%s is bad, %s too\"]}}", token, "chosen-secret");
		fluid_error_answer(&e, 422, body.data, body.len, &ctx);
		CHECK(strstr(e.text, "dit_0") == NULL && strstr(e.text, "chosen") == NULL, "%s",
		    e.text);
		assert_true(strlen(e.text) < sizeof(e.text));
	}
	buf_free(&body);
}

/* Goal: an error message has a bound, however long the answer is. */
static void
test_error_is_bounded(void **state)
{
	static char large[100000];
	struct fluid_error_context ctx = { 0 };
	struct fluid_error e;
	struct buf body = { 0 };

	(void)state;
	memset(large, 'y', sizeof(large) - 1);
	buf_addf(&body, "{\"error\":\"%s\"}", large);
	fluid_error_answer(&e, 422, body.data, body.len, &ctx);
	assert_true(strlen(e.text) < sizeof(e.text));
	assert_string_equal(e.text + strlen(e.text) - 3, "...");
	fluid_error_hint(&e, "%s", large);
	assert_true(strlen(e.text) < sizeof(e.text));
	buf_reset(&body);
	buf_adds(&body, "{\"errors\":[");
	for (int i = 0; i < 50000; i++)
		buf_addf(&body, "%s\"\xf0\x9f\x98\x80\"", i ? "," : "");
	buf_adds(&body, "]}");
	fluid_error_answer(&e, 422, body.data, body.len, &ctx);
	assert_true(strlen(e.text) < sizeof(e.text));
	assert_null(strstr(e.text, "\\x"));
	fluid_error_set(&e, FLUID_LOCAL, "%s", "a\tb\xff");
	assert_string_equal(e.text, "fluid: a\\x09b\\xff");
	buf_free(&body);
}

/* Goal: an exchange endpoint is a plain path of bounded length. */
static void
test_exchange_endpoints(void **state)
{
	static const struct {
		const char *path;
		bool ok;
	} cases[] = {
		{ "/api/droplet_installations/exchange", true },
		{ "/api/x/", true },
		{ "/api/x?page=1", false },
		{ "/api/x?", false },
		{ "//evil.example/x", false },
		{ "/../x", false },
		{ "https://evil.example/x", false },
		{ "", false },
	};
	char large[4096];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		CHECK(exchange_endpoint_check(cases[i].path) == cases[i].ok, "%s", cases[i].path);
	memset(large, 'a', sizeof(large) - 1);
	large[0] = '/';
	large[600] = '\0';
	assert_false(exchange_endpoint_check(large));
}

/* Goal: the company token is the first token of its file, which others cannot read. */
static void
test_company_token(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		const char *want, *error;
	} cases[] = {
		{ "C-abc\n", 0600, "C-abc", NULL },
		{ "  C-abc \r\n", 0640, "C-abc", NULL },
		{ "# the token\n\nC-abc\nC-older\n", 0600, "C-abc", NULL },
		{ "C-abc", 0600, "C-abc", NULL },
		{ "\xef\xbb\xbf"
		  "C-abc\n",
		    0600, "C-abc", NULL },
		{ "\xef\xbb\xbf# the token\r\nC-abc\r\n", 0600, "C-abc", NULL },
		{ "C-abc\n", 0644, NULL, "open to other users" },
		{ "", 0600, NULL, "no token" },
		{ "# nothing\n", 0600, NULL, "no token" },
		{ "C-a bc\n", 0600, NULL, "not a token" },
		{ "C-a\x01\n", 0600, NULL, "not a token" },
		{ "C-\xc3\xa9\n", 0600, NULL, "not a token" },
	};
	char *directory = directory_make();
	struct conf conf = { 0 };
	struct fluid_token t = { 0 };
	struct fluid_error e;

	(void)state;
	unsetenv("FLUID_COMPANY_TOKEN");
	conf.company_token = strdup(path_in(directory, "company.token"));
	for (size_t i = 0; i < LENGTH(cases); i++) {
		file_text(directory, "company.token", cases[i].text, cases[i].mode);
		CHECK(token_company(&t, &conf, &e) == (cases[i].want ? 0 : -1), "%s: %s",
		    cases[i].text, e.text);
		CHECK_TEXT(t.value, cases[i].want, cases[i].text);
		if (cases[i].want)
			assert_string_equal(t.source, conf.company_token);
		else
			CHECK(strstr(e.text, cases[i].error) && strstr(e.text, conf.company_token),
			    "%s", e.text);
		token_free(&t);
	}
	setenv("FLUID_COMPANY_TOKEN", "C-env", 1);
	assert_int_equal(token_company(&t, &conf, &e), 0);
	assert_string_equal(t.value, "C-env");
	assert_string_equal(t.source, "$FLUID_COMPANY_TOKEN");
	token_free(&t);
	unsetenv("FLUID_COMPANY_TOKEN");
	free(conf.company_token);
	conf.company_token = NULL;
	assert_int_equal(token_company(&t, &conf, &e), -1);
	CHECK(strstr(e.text, "company_token") != NULL, "%s", e.text);
	directory_remove(directory);
}

/* Goal: an installation's token that is missing, too long or no header value is refused, and not shown. */
static void
test_installation_token(void **state)
{
	struct fluid_token t = { 0 };
	struct fluid_error e;
	char large[FLUID_TOKEN_MAX + 2];

	(void)state;
	assert_int_equal(token_installation(&t, "dit_x", "dri_1", &e), 0);
	assert_string_equal(t.value, "dit_x");
	assert_non_null(strstr(t.source, "dri_1"));
	token_free(&t);
	assert_int_equal(token_installation(&t, NULL, "dri_1", &e), -1);
	assert_string_equal(e.text, "fluid: the record of dri_1 has no authentication token");
	assert_int_equal(token_installation(&t, "dit_x\r\nX: y", "dri_1", &e), -1);
	assert_null(strstr(e.text, "dit_x"));
	memset(large, 'a', sizeof(large));
	large[FLUID_TOKEN_MAX + 1] = '\0';
	assert_int_equal(token_installation(&t, large, "dri_1", &e), -1);
	large[FLUID_TOKEN_MAX] = '\0';
	assert_int_equal(token_installation(&t, large, "dri_1", &e), 0);
	token_free(&t);
}

static struct json_node *
tree(const char *text)
{
	const char *json = quoted(text);

	return (json_tree_read(json, strlen(json)));
}

/* Goal: members of a JSON answer are found by name and type. */
static void
test_json_tree(void **state)
{
	struct json_node *root = tree(
	    "{'a':{'b':[1,'x\\u0000y',true,null,{}]},'c':12345678901234567890,'a':2,'':'e'}");
	const struct json_node *n;

	(void)state;
	assert_non_null(root);
	n = json_tree_get(json_tree_get(root, "a"), "b");
	assert_true(json_tree_is(n, JSON_ARRAY));
	n = n->child;
	assert_string_equal(json_tree_text(n), "1");
	assert_null(json_tree_string(n));
	n = n->next;
	assert_true(json_tree_is(n, JSON_STRING));
	assert_int_equal(n->len, 3);
	assert_null(json_tree_string(n));
	n = n->next;
	assert_string_equal(n->text, "true");
	n = n->next;
	assert_true(json_tree_is(n, JSON_NULL));
	n = n->next;
	assert_true(json_tree_is(n, JSON_OBJECT));
	assert_null(n->child);
	assert_null(n->next);
	assert_string_equal(json_tree_text(json_tree_get(root, "c")), "12345678901234567890");
	assert_string_equal(json_tree_string(json_tree_get(root, "")), "e");
	assert_null(json_tree_get(root, "d"));
	assert_null(json_tree_get(NULL, "d"));
	assert_null(json_tree_get(json_tree_get(root, "c"), "d"));
	json_tree_free(root);
	assert_null(tree("{'a':"));
	assert_int_equal(errno, EBADMSG);
	assert_null(tree("[1]"));
	assert_null(tree(""));
	assert_null(tree("{'a':{'b':[1,{'c':'d'}"));
}

/* Goal: a JSON answer with too many values is refused. */
static void
test_json_tree_is_bounded(void **state)
{
	struct buf text = { 0 };
	struct json_node *root;

	(void)state;
	buf_adds(&text, "{\"a\":[0");
	for (int i = 3; i < JSON_TREE_MAX; i++)
		buf_adds(&text, ",0");
	buf_adds(&text, "]}");
	root = json_tree_read(text.data, text.len);
	assert_non_null(root);
	json_tree_free(root);
	text.len -= 2;
	buf_adds(&text, ",0]}");
	assert_null(json_tree_read(text.data, text.len));
	assert_int_equal(errno, E2BIG);
	buf_free(&text);
}

/* Goal: a webhook is read from each form of Fluid's answers. */
static void
test_webhook(void **state)
{
	struct json_node *root = tree(
	    "{'id':4300000001,'company_id':7,'url':'https://a/',"
	    "'active':true,'resource':'order','event':'created','http_method':'post',"
	    "'auth_token':'s3cr3t',"
	    "'droplet_installation_uuid':null,'unknown':[1]}");
	struct json_writer *json;
	struct buf out = { 0 };
	struct webhook w;

	(void)state;
	assert_int_equal(webhook_read(&w, root), 0);
	assert_string_equal(w.id, "4300000001");
	assert_string_equal(w.auth_token, "s3cr3t");
	assert_true(w.active);
	assert_null(w.droplet_installation_uuid);
	json = json_writer_new(&out, false);
	webhook_write(&w, json);
	assert_int_equal(json_writer_end(json), 0);
	assert_null(strstr(out.data, "s3cr3t"));
	assert_non_null(strstr(out.data, "\"id\":4300000001,\"company_id\":7,"));
	assert_non_null(strstr(out.data, "\"has_auth_token\":true"));
	webhook_free(&w);
	json_tree_free(root);
	buf_free(&out);
	root = tree("{'url':'https://a/'}");
	assert_int_equal(webhook_read(&w, root), -1);
	assert_int_equal(errno, EBADMSG);
	json_tree_free(root);
	assert_true(webhook_is_id("0"));
	assert_false(webhook_is_id("01"));
	assert_false(webhook_is_id("../resources"));
	assert_false(webhook_is_id(""));
	assert_false(webhook_is_id(NULL));
	assert_false(webhook_is_id("123456789012345678901"));
}

/* Goal: Fluid's events are read from each form of its answers. */
static void
test_webhook_events(void **state)
{
	struct json_node *root = tree(
	    "{'resources':{'order':['created','updated'],"
	    "'cart':[{'event':'abandoned'},{'name':'updated'},7],"
	    "'rep':{'created':{},'updated':null},'none':null},'deprecated_resources':['rep']}");
	static const char *const want[] = { "order.created", "order.updated", "cart.abandoned",
		"cart.updated", "rep.created", "rep.updated" };
	struct webhook_events l;

	(void)state;
	assert_int_equal(webhook_events_read(&l, root), 0);
	assert_int_equal(l.n, LENGTH(want));
	for (size_t i = 0; i < l.n; i++) {
		assert_string_equal(l.items[i].name, want[i]);
		assert_int_equal(l.items[i].deprecated, i >= 4);
	}
	webhook_events_free(&l);
	json_tree_free(root);
	root = tree("{'resources':[]}");
	assert_int_equal(webhook_events_read(&l, root), -1);
	json_tree_free(root);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_shapes),
		cmocka_unit_test(test_error_kinds),
		cmocka_unit_test(test_error_hides_secrets),
		cmocka_unit_test(test_error_is_bounded),
		cmocka_unit_test(test_exchange_endpoints),
		cmocka_unit_test(test_company_token),
		cmocka_unit_test(test_installation_token),
		cmocka_unit_test(test_json_tree),
		cmocka_unit_test(test_json_tree_is_bounded),
		cmocka_unit_test(test_webhook),
		cmocka_unit_test(test_webhook_events),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
