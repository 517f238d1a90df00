/* What a lifecycle event lacks for a record (contract section 3, 422). No extra link flags. */
#include "support.h"

#define DRI "'droplet_installation_uuid':'dri_a'"
#define TOKEN "'authentication_token':'dit_t'"

static const struct {
	const char *company;   /* the value of `company`; NULL: no such key */
	const char *installed; /* the field that an install lacks */
	const char *uninstalled;
} cases[] = {
	{ NULL, "company", "company" },
	{ "null", "company", "company" },
	{ "'x'", "company", "company" },
	{ "[]", "company", "company" },
	{ "{}", "droplet_installation_uuid", "droplet_installation_uuid" },
	{ "{" DRI "}", "authentication_token", NULL },
	{ "{" DRI "," TOKEN "}", NULL, NULL },
	{ "{'fluid_company_id':42," TOKEN "}", NULL, NULL },
	{ "{'fluid_company_id':'42','droplet_uuid':'drp_a'," TOKEN "}", NULL, NULL },
	{ "{'droplet_uuid':'drp_a'," TOKEN "}", "droplet_installation_uuid",
	    "droplet_installation_uuid" },
	{ "{'droplet_installation_uuid':null,'fluid_company_id':null," TOKEN "}",
	    "droplet_installation_uuid", "droplet_installation_uuid" },
	{ "{'droplet_installation_uuid':''," TOKEN "}", "droplet_installation_uuid",
	    "droplet_installation_uuid" },
	{ "{" DRI ",'droplet_uuid':null,'fluid_company_id':null,'fluid_shop':null,'name':null,"
	  "'webhook_verification_token':null," TOKEN "}",
	    NULL, NULL },
	/* names that become paths */
	{ "{'droplet_installation_uuid':'../x'," TOKEN "}", "droplet_installation_uuid",
	    "droplet_installation_uuid" },
	{ "{'droplet_installation_uuid':'.x'," TOKEN "}", "droplet_installation_uuid",
	    "droplet_installation_uuid" },
	{ "{'droplet_installation_uuid':'a\\u0000b','fluid_company_id':1," TOKEN "}",
	    "droplet_installation_uuid", "droplet_installation_uuid" },
	{ "{'fluid_company_id':'4/2'," TOKEN "}", "fluid_company_id", "fluid_company_id" },
	{ "{'fluid_company_id':1,'droplet_uuid':'drp a'," TOKEN "}", "droplet_uuid",
	    "droplet_uuid" },
	/* a value of a wrong type counts as absent */
	{ "{'droplet_installation_uuid':{},'fluid_company_id':1," TOKEN "}", NULL, NULL },
	{ "{'droplet_installation_uuid':true,'fluid_company_id':1," TOKEN "}", NULL, NULL },
	{ "{'droplet_installation_uuid':7," TOKEN "}", "droplet_installation_uuid",
	    "droplet_installation_uuid" },
	{ "{'fluid_company_id':[1]," TOKEN "}", "droplet_installation_uuid",
	    "droplet_installation_uuid" },
	{ "{'fluid_company_id':1,'droplet_uuid':{}," TOKEN "}", NULL, NULL },
	/* what is no part of the record's name may be unsafe */
	{ "{" DRI ",'fluid_company_id':'4/2'," TOKEN "}", NULL, NULL },
	{ "{" DRI ",'fluid_company_id':[1]," TOKEN "}", NULL, NULL },
	{ "{" DRI ",'droplet_uuid':'drp a'," TOKEN "}", NULL, NULL },
	{ "{" DRI ",'droplet_uuid':{}," TOKEN "}", NULL, NULL },
	{ "{" DRI ",'fluid_shop':'a/../b'," TOKEN "}", NULL, NULL },
	{ "{" DRI ",'fluid_shop':'.fluid.app'," TOKEN "}", NULL, NULL },
	{ "{" DRI ",'fluid_shop':'\\u202eacme'," TOKEN "}", NULL, NULL },
	{ "{" DRI ",'fluid_shop':5," TOKEN "}", NULL, NULL },
	{ "{" DRI ",'fluid_shop':'Acme.FLUID.app'," TOKEN "}", NULL, NULL },
	/* the company's name is any text */
	{ "{" DRI ",'name':'\\u202e\\ud83d\\ude00\\u0000/..'," TOKEN "}", NULL, NULL },
	/* credentials */
	{ "{" DRI ",'authentication_token':''}", "authentication_token", NULL },
	{ "{" DRI ",'authentication_token':null}", "authentication_token", NULL },
	{ "{" DRI ",'authentication_token':5}", "authentication_token", NULL },
	{ "{" DRI ",'authentication_token':{}}", "authentication_token", NULL },
	{ "{" DRI ",'authentication_token':'a\\u0000b'}", "authentication_token", NULL },
	{ "{" DRI ",'authentication_token':'a\\nb'}", "authentication_token", NULL },
	{ "{" DRI "," TOKEN ",'webhook_verification_token':''}", NULL, NULL },
	{ "{" DRI "," TOKEN ",'webhook_verification_token':7}", NULL, NULL },
	{ "{" DRI "," TOKEN ",'webhook_verification_token':'a\\r'}", NULL, NULL },
	{ "{" DRI ",'credentials':{'exchange_token':'dex_t','exchange_token_expires_at':1789}}",
	    NULL, NULL },
	{ "{" DRI ",'credentials':{'exchange_token':'dex_t','exchange_endpoint':['/x']}}", NULL,
	    NULL },
	{ "{" DRI "," TOKEN ",'credentials':'x'}", NULL, NULL },
	{ "{" DRI ",'credentials':{}}", "exchange_token", NULL },
	{ "{" DRI ",'credentials':{'exchange_token':null}}", "exchange_token", NULL },
	{ "{" DRI ",'credentials':{'exchange_token':1}}", "exchange_token", NULL },
	{ "{" DRI ",'credentials':{'exchange_token':'dex_t'}}", NULL, NULL },
	{ "{" DRI ",'credentials':null}", "authentication_token", NULL },
	{ "{" DRI "," TOKEN ",'credentials':{}}", NULL, NULL },
};

static const char *
lacks(const char *company, const char *event, bool enveloped)
{
	char body[1024];
	const char *field;
	struct delivery *d;

	snprintf(body, sizeof(body), "%s'resource':'droplet','event':'%s'%s%s}%s",
	    enveloped ? "{'payload':{" : "{", event, company ? ",'company':" : "",
	    company ? company : "", enveloped ? "}" : "");
	d = delivery_of(quoted(body), strlen(body));
	CHECK(delivery_is_well_formed(d), "%s", body);
	field = delivery_incomplete(d);
	delivery_free(d);
	return (field);
}

/*
 * Goal: the first field that is missing or unfit is named, for installs, uninstalls and envelopes.
 */
static void
test_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *name = or_none(cases[i].company);

		CHECK_TEXT(lacks(cases[i].company, "installed", false), cases[i].installed, name);
		CHECK_TEXT(lacks(cases[i].company, "installed", true), cases[i].installed, name);
		CHECK_TEXT(lacks(cases[i].company, "uninstalled", false), cases[i].uninstalled,
		    name);
		CHECK_TEXT(lacks(cases[i].company, "uninstalled", true), cases[i].uninstalled,
		    name);
	}
}

/* Goal: names end at 200 bytes and credentials at 512, exactly. */
static void
test_lengths(void **state)
{
	static const struct {
		const char *format, *field;
		int most;
	} bounds[] = {
		{ "{'droplet_installation_uuid':'%s'," TOKEN "}", "droplet_installation_uuid",
		    200 },
		{ "{" DRI ",'authentication_token':'%s'}", "authentication_token", 512 },
		{ "{" DRI ",'credentials':{'exchange_token':'%s'}}", "exchange_token", 512 },
		/* company- and two ids have to fit together */
		{ "{'fluid_company_id':'%s'," TOKEN "}", "droplet_installation_uuid", 192 },
	};
	char text[600], company[800];

	(void)state;
	for (size_t i = 0; i < LENGTH(bounds); i++)
		for (int over = 0; over < 2; over++) {
			const char *before = bounds[i].format, *at = strstr(before, "%s");

			memset(text, 'x', sizeof(text));
			text[bounds[i].most + over] = '\0';
			snprintf(company, sizeof(company), "%.*s%s%s", (int)(at - before), before,
			    text, at + 2);
			CHECK_TEXT(lacks(company, "installed", false),
			    over ? bounds[i].field : NULL, before);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_lengths),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
