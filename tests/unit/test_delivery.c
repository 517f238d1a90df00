/* What a delivery says, in every shape of fluid-wire.md. No extra link flags. */
#include "support.h"

#define V1 "'authentication_token':'dit_t','webhook_verification_token':'wvt_t'"
#define V2 \
	"'credentials':{'exchange_token':'dex_t','exchange_token_expires_at':" \
	"'2026-05-18T15:00:00Z','exchange_endpoint':'/api/droplet_installations/exchange'}"
#define WHO \
	"'droplet_installation_uuid':'dri_a','droplet_uuid':'drp_a','fluid_company_id':42," \
	"'fluid_shop':'acme.fluid.app','name':'Acme'"
#define INSTALLED "'resource':'droplet','event':'installed'"

/* What is asked of a shape: NULL where it says nothing. */
static const struct shape {
	const char *name, *body;
	const char *event, *record, *token, *exchange, *id;
} shapes[] = {
	{ "flat v1",
	    "{'event_name':'droplet_installed','company_id':7," INSTALLED ",'company':{" WHO "," V1
	    "}}",
	    "droplet.installed", "dri_a", "dit_t", NULL, NULL },
	{ "flat v2", "{" INSTALLED ",'company':{" WHO "," V2 "}}", "droplet.installed", "dri_a",
	    NULL, "dex_t", NULL },
	{ "enveloped v1",
	    "{'id':12,'identifier':'i','name':'droplet_installed','payload':{" INSTALLED
	    ",'company':{" WHO "," V1 "}},'timestamp':'2026-05-18T14:30:45Z'}",
	    "droplet.installed", "dri_a", "dit_t", NULL, "12" },
	{ "enveloped v2",
	    "{'id':'x9','payload':{'contract_version':'v2'," INSTALLED ",'company':{" WHO "," V2
	    "}}}",
	    "droplet.installed", "dri_a", NULL, "dex_t", "x9" },
	{ "both styles", "{" INSTALLED ",'company':{" WHO "," V1 "," V2 "}}", "droplet.installed",
	    "dri_a", "dit_t", "dex_t", NULL },
	{ "company before and after", "{'company':{" V2 "," WHO "}," INSTALLED "}",
	    "droplet.installed", "dri_a", NULL, "dex_t", NULL },
	{ "uninstall, minimal",
	    "{'resource':'droplet','event':'uninstalled','company':"
	    "{'droplet_installation_uuid':'dri_a'}}",
	    "droplet.uninstalled", "dri_a", NULL, NULL, NULL },
	{ "business",
	    "{'id':90784,'name':'order_created','payload':{'event_name':'order_created',"
	    "'company_id':4821,'resource':'order','event':'created','order':{'id':5,'name':'x',"
	    "'company':{'droplet_installation_uuid':'dri_wrong'}}}}",
	    "order.created", NULL, NULL, NULL, "90784" },
	{ "a root company wins",
	    "{'company':{'droplet_installation_uuid':'dri_root'},'resource':'a',"
	    "'event':'b','payload':{'resource':'c','event':'d','company':"
	    "{'droplet_installation_uuid':'dri_payload'}}}",
	    "a.b", "dri_root", NULL, NULL, NULL },
	{ "a root company that is null does not",
	    "{'company':null,'payload':{" INSTALLED ",'company':{" WHO "}}}", "droplet.installed",
	    "dri_a", NULL, NULL, NULL },
	{ "payload says nothing", "{" INSTALLED ",'payload':{'company':null,'x':1}}",
	    "droplet.installed", NULL, NULL, NULL, NULL },
	{ "payload is a string", "{" INSTALLED ",'payload':'{}','company':{" WHO "}}",
	    "droplet.installed", "dri_a", NULL, NULL, NULL },
	{ "payload is an array", "{" INSTALLED ",'payload':[{'company':{" WHO "}}]}",
	    "droplet.installed", NULL, NULL, NULL, NULL },
	{ "payload has only a company", "{" INSTALLED ",'payload':{'company':{" WHO "," V1 "}}}",
	    "droplet.installed", "dri_a", "dit_t", NULL, NULL },
	{ "payload has only a name", "{'payload':{'event_name':'user_created'}}", "user.created",
	    NULL, NULL, NULL, NULL },
	{ "payload inside payload",
	    "{'payload':{'resource':'a','event':'b','payload':{'resource':'c',"
	    "'event':'d','company':{" WHO "}}}}",
	    "a.b", NULL, NULL, NULL, NULL },
	{ "company inside company", "{" INSTALLED ",'company':{'company':{" WHO "}}}",
	    "droplet.installed", NULL, NULL, NULL, NULL },
	{ "company in an array", "{" INSTALLED ",'company':[{" WHO "}]}", "droplet.installed", NULL,
	    NULL, NULL, NULL },
	{ "credentials outside company", "{" INSTALLED "," V2 ",'company':{" WHO "}}",
	    "droplet.installed", "dri_a", NULL, NULL, NULL },
	{ "tokens outside company", "{" INSTALLED "," V1 ",'company':{" WHO "}}",
	    "droplet.installed", "dri_a", NULL, NULL, NULL },
	{ "no uuid", "{" INSTALLED ",'company':{'fluid_company_id':'42','droplet_uuid':'drp_a'}}",
	    "droplet.installed", "company-42-drp_a", NULL, NULL, NULL },
	{ "no uuid, no droplet",
	    "{" INSTALLED ",'company':{'fluid_company_id':42,'droplet_uuid':null,"
	    "'droplet_installation_uuid':null}}",
	    "droplet.installed", "company-42", NULL, NULL, NULL },
	{ "company_id is not the tenant", "{" INSTALLED ",'company_id':1,'company':{'name':'x'}}",
	    "droplet.installed", NULL, NULL, NULL, NULL },
	{ "escaped keys",
	    "{'\\u0072esource':'droplet','even\\u0074':'installed','\\u0063ompany':"
	    "{'droplet_installation_uuid':'dri\\u005fa'}}",
	    "droplet.installed", "dri_a", NULL, NULL, NULL },
	{ "hostile uuid", "{" INSTALLED ",'company':{'droplet_installation_uuid':'../../x'}}",
	    "droplet.installed", NULL, NULL, NULL, NULL },
};

static void
check_shape(const struct shape *s, const struct delivery *d)
{
	char record[NAME_SIZE];

	CHECK(delivery_is_well_formed(d), "%s", s->name);
	CHECK_TEXT(delivery_event(d), s->event, s->name);
	CHECK_TEXT(delivery_record(d, record) == 0 ? record : NULL, s->record, s->name);
	CHECK_TEXT(delivery_text(d, COMPANY_AUTHENTICATION_TOKEN), s->token, s->name);
	CHECK_TEXT(delivery_text(d, CREDENTIALS_TOKEN), s->exchange, s->name);
	CHECK_TEXT(delivery_text(d, FIELD_ID), s->id, s->name);
}

/* Goal: each shape says the same things, whether it comes whole, cut anywhere, or byte by byte. */
static void
test_shapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(shapes); i++) {
		const char *body = quoted(shapes[i].body);
		size_t len = strlen(body);
		struct delivery *d;

		for (size_t at = 0; at <= len; at++) {
			assert_non_null(d = delivery_new());
			delivery_feed(d, body, at);
			delivery_feed(d, body + at, len - at);
			delivery_finish(d);
			check_shape(&shapes[i], d);
			delivery_free(d);
		}
		assert_non_null(d = delivery_new());
		for (size_t at = 0; at < len; at++)
			delivery_feed(d, body + at, 1);
		delivery_finish(d);
		check_shape(&shapes[i], d);
		delivery_free(d);
	}
}

/* Goal: the event comes from the pair of the object that speaks, else the root's, else a name. */
static void
test_events(void **state)
{
	static const struct {
		const char *body, *event;
	} cases[] = {
		{ "{'resource':'a','event':'b','name':'c_d'}", "a.b" },
		{ "{'resource':'r','event':'s','payload':{'resource':'a','event':'b'}}", "a.b" },
		{ "{'resource':'r','event':'s','payload':{'resource':'a'}}", "r.s" },
		{ "{'event':'s','payload':{'resource':'a'},'name':'c_d'}", "c.d" },
		{ "{'name':'order_created'}", "order.created" },
		{ "{'name':'bot_message_created','event_name':'x_y'}", "bot_message.created" },
		{ "{'event_name':'order_external_id_synced'}", "order.external_id_synced" },
		{ "{'event_identifier':'order.created'}", "order.created" },
		{ "{'event_name':'a_b','event_identifier':'c_d'}", "a.b" },
		{ "{'payload':{'event_name':'a_b'},'name':'c_d'}", "c.d" },
		{ "{'payload':{'event_name':'a_b'},'event_name':'c_d'}", "a.b" },
		{ "{'resource':'droplet','event':null,'event_name':'droplet_installed'}",
		    "droplet.installed" },
		{ "{'resource':{'a':1},'event':['b'],'name':'c_d'}", "c.d" },
		{ "{'resource':'dro plet','event':'installed','event_name':'droplet_installed'}",
		    "droplet.installed" },
		{ "{'name':'Acme Inc','event_name':'droplet_installed'}", "droplet.installed" },
		{ "{'company':{'name':'x_y','resource':'a','event':'b'}}", NULL },
		{ "{'company':{},'payload':{'resource':'a','event':'b'}}", NULL },
		{ "{}", NULL },
		{ "{'resource':'a'}", NULL },
		{ "{'name':'created'}", NULL },
		{ "{'resource':'','event':'b'}", NULL },
		{ "{'resource':'a\\u0000','event':'b'}", NULL },
		{ "{'resource':'fluidhook','event':'probe'}", "fluidhook.probe" },
		{ "{'resource':1,'event':2}", NULL },
		{ "{'resource':1,'event':2,'name':3,'event_name':'c_d'}", "c.d" },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *body = quoted(cases[i].body);
		struct delivery *d = delivery_of(body, strlen(body));

		CHECK(delivery_is_well_formed(d), "%s", body);
		CHECK_TEXT(delivery_event(d), cases[i].event, body);
		CHECK(delivery_is_lifecycle(d) ==
			(cases[i].event && strcmp(cases[i].event, "droplet.installed") == 0),
		    "%s", body);
		delivery_free(d);
	}
}

/* Goal: values keep their type and exact text, numbers of any size among them. */
static void
test_values(void **state)
{
	static const struct {
		const char *value, *text;
		enum json_kind kind;
		size_t len;
	} cases[] = {
		{ "42", "42", JSON_NUMBER, 2 },
		{ "'42'", "42", JSON_STRING, 2 },
		{ "4294967297", "4294967297", JSON_NUMBER, 10 },
		{ "9223372036854775808", "9223372036854775808", JSON_NUMBER, 19 },
		{ "-9223372036854775808", "-9223372036854775808", JSON_NUMBER, 20 },
		{ "123456789012345678901234567890", "123456789012345678901234567890", JSON_NUMBER,
		    30 },
		{ "1.50", "1.50", JSON_NUMBER, 4 },
		{ "1E5", "1E5", JSON_NUMBER, 3 },
		{ "'a\\u0000b'", "a", JSON_STRING, 3 },
		{ "''", "", JSON_STRING, 0 },
		{ "null", NULL, JSON_NULL, 0 },
		{ "true", NULL, JSON_BOOL, 0 },
		{ "{'x':1}", NULL, JSON_OBJECT, 0 },
		{ "[1,'x']", NULL, JSON_ARRAY, 0 },
		{ "'\\u05d0 \xf0\x9f\x98\x80'", "\xd7\x90 \xf0\x9f\x98\x80", JSON_STRING, 7 },
	};
	char body[256];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct delivery_value v;
		struct delivery *d;

		snprintf(body, sizeof(body), "{'company':{'fluid_company_id':%s}}", cases[i].value);
		d = delivery_of(quoted(body), strlen(body));
		CHECK(delivery_is_well_formed(d), "%s", body);
		v = delivery_value(d, COMPANY_FLUID_COMPANY_ID);
		CHECK(v.present && v.kind == cases[i].kind, "%s: kind %d", body, (int)v.kind);
		CHECK_TEXT(v.text, cases[i].text, body);
		CHECK(v.text == NULL || v.len == cases[i].len, "%s: length %zu", body, v.len);
		CHECK_TEXT(delivery_text(d, COMPANY_FLUID_COMPANY_ID),
		    v.len && v.text && strlen(v.text) == v.len ? cases[i].text : NULL, body);
		CHECK(!delivery_value(d, COMPANY_SHOP).present, "%s", body);
		delivery_free(d);
	}
}

/* Goal: id and identifier are the envelope's, company_id can be asked for on both sides. */
static void
test_envelope(void **state)
{
	const char *body = quoted(
	    "{'id':'outer','identifier':'i','company_id':1,'payload':{'id':2,"
	    "'identifier':'x','company_id':3,'event_name':'a_b','name':'n'}}");
	struct delivery *d = delivery_of(body, strlen(body));

	(void)state;
	assert_string_equal(delivery_text(d, FIELD_ID), "outer");
	assert_string_equal(delivery_text(d, FIELD_IDENTIFIER), "i");
	assert_string_equal(delivery_company_id(d, false).text, "1");
	assert_string_equal(delivery_company_id(d, true).text, "3");
	delivery_free(d);
}

/* Goal: a key twice is a flaw where it decides something, and only there. */
static void
test_duplicates(void **state)
{
#define PAIR "'resource':'droplet','event':'installed',"
	static const struct {
		const char *body;
		bool good;
	} cases[] = {
		{ "{'a':1,'a':2}", true },
		{ "{'order':{'id':1,'id':2},'x':[{'company':1,'company':2}]}", true },
		{ "{'company':{'x':1,'x':2,'resource':'a','resource':'b'}}", true },
		{ "{'x':{'company':{},'company':{}}}", true },
		{ "{'id':1,'payload':{'event_name':'a_b','id':2}}", true },
		/* fields that decide nothing, as others have decided */
		{ "{'id':1,'id':2,'identifier':'a','identifier':'b','name':'order_created'}",
		    true },
		{ "{" PAIR "'name':'a_b','name':'c_d','event_name':'x_y','event_name':'z_z'}",
		    true },
		{ "{'company_id':1,'company_id':2,'name':'order_created'}", true },
		{ "{'resource':'a','event':'b','company':{},'payload':{'company':1,'company':2,"
		  "'resource':'c','resource':'d'}}",
		    true },
		{ "{'name':'order_created','company':{'fluid_shop':'a','fluid_shop':'b','name':'a',"
		  "'name':'b','authentication_token':'a','authentication_token':'b'}}",
		    true },
		{ "{" PAIR "'company':null,'payload':{'x':1,'event':'a','event':'b'}}", true },
		/* which event it is */
		{ "{'resource':'a','resource':'a'}", false },
		{ "{'event':'a','event':'b'}", false },
		{ "{'name':'a_b','name':'c_d'}", false },
		{ "{'resource':'a','name':'a_b','name':'c_d'}", false },
		{ "{'event_name':'a_b','event_name':'c_d'}", false },
		{ "{'payload':{'resource':'a','event':'b','event':'c'}}", false },
		/* which object speaks */
		{ "{" PAIR "'company':{},'company':{}}", false },
		{ "{" PAIR "'company':null,'company':{}}", false },
		{ "{" PAIR "'payload':{},'payload':{}}", false },
		{ "{'payload':{'company':{},'company':{}}}", false },
		{ "{" PAIR "'company':{},'\\u0063ompany':{}}", false },
		/* whose event it is */
		{ "{'company':{'droplet_installation_uuid':'a','droplet_installation_uuid':'b'}}",
		    false },
		{ "{'company':{'droplet_uuid':'a','x':{},'droplet_uuid':'b'}}", false },
		{ "{'company':{'fluid_company_id':1,'fluid_company_id':'1'}}", false },
		/* what becomes part of a record */
		{ "{" PAIR "'company':{'fluid_shop':'a','fluid_shop':'b'}}", false },
		{ "{" PAIR "'company':{'name':'a','name':'b'}}", false },
		{ "{" PAIR "'company':{'authentication_token':'a','authentication_token':'b'}}",
		    false },
		{ "{" PAIR "'company':{'webhook_verification_token':'a',"
		  "'webhook_verification_token':'a'}}",
		    false },
		{ "{" PAIR "'company':{'credentials':{},'credentials':{}}}", false },
		{ "{" PAIR "'company':{'credentials':{'exchange_token':'a','exchange_token':'b'}}}",
		    false },
		{ "{'payload':{" PAIR "'company':{'credentials':{'exchange_endpoint':'a',"
		  "'exchange_endpoint':'b'}}}}",
		    false },
	};
#undef PAIR

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *body = quoted(cases[i].body);
		struct delivery *d = delivery_new();

		delivery_feed(d, body, strlen(body));
		CHECK((delivery_finish(d) == 0) == cases[i].good, "%s", body);
		CHECK(delivery_is_well_formed(d) == cases[i].good, "%s", body);
		delivery_free(d);
	}
}

/* Goal: a value that cannot be used counts as absent: of another type, too long, with a NUL. */
static void
test_unusable(void **state)
{
	static const struct {
		enum delivery_field field;
		const char *value, *want;
	} cases[] = {
		{ COMPANY_SHOP, "'acme'", "acme" },
		{ COMPANY_SHOP, "5", NULL },
		{ COMPANY_SHOP, "['acme']", NULL },
		{ COMPANY_SHOP, "'a\\u0000b'", NULL },
		{ COMPANY_DRI, "7", NULL },
		{ COMPANY_DROPLET_UUID, "7", NULL },
		{ COMPANY_FLUID_COMPANY_ID, "7", "7" },
		{ COMPANY_FLUID_COMPANY_ID, "'7'", "7" },
		{ COMPANY_FLUID_COMPANY_ID, "true", NULL },
		{ COMPANY_VERIFICATION_TOKEN, "7", NULL },
		{ COMPANY_VERIFICATION_TOKEN, "'wvt\\u007f'", NULL },
		{ COMPANY_AUTHENTICATION_TOKEN, "'a b'", "a b" },
	};
	static const char *const keys[] = {
		[COMPANY_SHOP] = "fluid_shop",
		[COMPANY_DRI] = "droplet_installation_uuid",
		[COMPANY_DROPLET_UUID] = "droplet_uuid",
		[COMPANY_FLUID_COMPANY_ID] = "fluid_company_id",
		[COMPANY_VERIFICATION_TOKEN] = "webhook_verification_token",
		[COMPANY_AUTHENTICATION_TOKEN] = "authentication_token",
	};
	static const struct {
		enum delivery_field field;
		size_t most;
	} bounds[] = {
		{ COMPANY_SHOP, DELIVERY_TEXT_MAX },
		{ COMPANY_FLUID_COMPANY_ID, DELIVERY_TEXT_MAX },
		{ COMPANY_DROPLET_UUID, DELIVERY_TEXT_MAX },
		{ COMPANY_VERIFICATION_TOKEN, 512 },
	};
	char body[DELIVERY_TEXT_MAX + 256], text[DELIVERY_TEXT_MAX + 2];
	struct delivery *d;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		snprintf(body, sizeof(body), "{'company':{'%s':%s}}", keys[cases[i].field],
		    cases[i].value);
		d = delivery_of(quoted(body), strlen(body));
		CHECK(delivery_is_well_formed(d), "%s", body);
		CHECK_TEXT(delivery_text(d, cases[i].field), cases[i].want, body);
		delivery_free(d);
	}
	for (size_t i = 0; i < LENGTH(bounds); i++)
		for (size_t over = 0; over < 2; over++) {
			memset(text, 'x', sizeof(text));
			text[bounds[i].most + over] = '\0';
			snprintf(body, sizeof(body), "{'company':{'%s':'%s'}}",
			    keys[bounds[i].field], text);
			d = delivery_of(quoted(body), strlen(body));
			CHECK_TEXT(delivery_text(d, bounds[i].field), over ? NULL : text,
			    keys[bounds[i].field]);
			delivery_free(d);
		}
}

/* Goal: what is no object in valid UTF-8 is a flaw; what stood before it can still be asked for. */
static void
test_malformed(void **state)
{
	static const char *const tails[] = { "", "}x", "}{}", "}\v", "\f}", ",'n':'\xc0\xaf'}",
		",'n':'\xed\xa0\x80'}", ",'n':'\xf4\x90\x80\x80'}", ",'n':'\xff'}", ",}",
		",'n':tru}", ",'n':'\x01'}", "}\xef\xbb\xbf" };
	static const char *const whole[] = { "", "[]", "null", "'x'", "\xef\xbb\xbf{}", "\v{}",
		"x" };
	char body[256];
	struct delivery *d;

	(void)state;
	for (size_t i = 0; i < LENGTH(tails); i++) {
		snprintf(body, sizeof(body), "{" INSTALLED ",'company':{'fluid_shop':'acme'}%s",
		    tails[i]);
		d = delivery_of(quoted(body), strlen(body));
		CHECK(!delivery_is_well_formed(d), "%s", body);
		CHECK_TEXT(delivery_text(d, COMPANY_SHOP), "acme", body);
		delivery_free(d);
	}
	for (size_t i = 0; i < LENGTH(whole); i++) {
		d = delivery_of(quoted(whole[i]), strlen(whole[i]));
		CHECK(!delivery_is_well_formed(d), "%s", whole[i]);
		CHECK_TEXT(delivery_event(d), NULL, whole[i]);
		delivery_free(d);
	}
}

/* Goal: bodies nested 64 deep pass, deeper ones do not, wherever the depth is. */
static void
test_depth(void **state)
{
	static const char *const heads[] = { "{'x':", "{'company':{'x':",
		"{'payload':{'company':{'credentials':{'x':" };
	static const unsigned used[] = { 1, 2, 4 };
	struct buf body = { 0 };

	(void)state;
	for (size_t i = 0; i < LENGTH(heads); i++)
		for (unsigned depth = 64; depth <= 65; depth++) {
			struct delivery *d;

			buf_reset(&body);
			buf_adds(&body, quoted(heads[i]));
			for (unsigned n = used[i]; n < depth; n++)
				buf_addc(&body, '[');
			for (unsigned n = used[i]; n < depth; n++)
				buf_addc(&body, ']');
			for (unsigned n = 0; n < used[i]; n++)
				buf_addc(&body, '}');
			d = delivery_of(body.data, body.len);
			CHECK(delivery_is_well_formed(d) == (depth == 64), "%s %u", heads[i],
			    depth);
			delivery_free(d);
		}
	buf_free(&body);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_unusable),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_depth),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
