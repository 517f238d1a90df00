/* The one rule for what becomes a path (contract section 4). No extra link flags. */
#include "support.h"

#include "base/name.h"

/* Goal: of all bytes only letters, digits, dot, underscore and dash pass, and no dot in front. */
static void
test_every_byte(void **state)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

	(void)state;
	for (int c = 0; c < 256; c++) {
		char alone[1] = { (char)c }, inside[3] = { 'a', (char)c, 'b' };
		bool good = c && strchr(allowed, c);

		CHECK(name_is_safe(inside, 3) == good, "byte %02x inside", c);
		CHECK(name_is_safe(alone, 1) == (good && c != '.'), "byte %02x alone", c);
	}
}

/* Goal: 200 bytes are the most; hostile names do not pass. */
static void
test_names(void **state)
{
	static const char *const bad[] = { "", ".", "..", "../x", "/etc/passwd", "a/b", ".hidden",
		"a b", "a\nb", "\xe2\x80\xaex", "dri_\xf0\x9f\x98\x80", "a%2fb", "a\\b", "a;b",
		"~" };
	char name[NAME_MAX_LEN + 2];

	(void)state;
	for (size_t i = 0; i < LENGTH(bad); i++)
		CHECK(!name_is_safe(bad[i], strlen(bad[i])), "\"%s\"", bad[i]);
	memset(name, 'n', sizeof(name));
	assert_true(name_is_safe(name, NAME_MAX_LEN));
	assert_false(name_is_safe(name, NAME_MAX_LEN + 1));
	assert_true(name_is_safe("a..b", 4));
	assert_false(name_is_safe("a\0b", 3));
}

/* Goal: a slug and a host are the same shop; only one trailing .fluid.app goes. */
static void
test_shops(void **state)
{
	static const struct {
		const char *shop, *want;
	} cases[] = {
		{ "acme", "acme" },
		{ "ACME", "acme" },
		{ "acme.fluid.app", "acme" },
		{ "Acme.Fluid.App", "acme" },
		{ "fluid.fluid.app", "fluid" },
		{ "acme.fluid.app.fluid.app", "acme.fluid.app" },
		{ "fluid.app", "fluid.app" },
		{ "acme.example.com", "acme.example.com" },
		{ "acme.fluid.apps", "acme.fluid.apps" },
		{ "acmefluid.app", "acmefluid.app" },
		{ ".fluid.app", NULL },
		{ "", NULL },
		{ "../x.fluid.app", NULL },
		{ "a/b", NULL },
		{ ".a.fluid.app", NULL },
		{ "acme.fluid.app:443", NULL },
		{ "acm\xc3\xa9", NULL },
	};
	char out[NAME_SIZE], longest[NAME_MAX_LEN + 11];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		int result = name_of_shop(out, cases[i].shop, strlen(cases[i].shop));

		CHECK_TEXT(result == 0 ? out : NULL, cases[i].want, cases[i].shop);
	}
	memset(longest, 's', NAME_MAX_LEN);
	memcpy(longest + NAME_MAX_LEN, ".fluid.app", 11);
	assert_int_equal(name_of_shop(out, longest, NAME_MAX_LEN + 10), 0);
	assert_int_equal(strlen(out), NAME_MAX_LEN);
	assert_int_equal(name_of_shop(out, longest, NAME_MAX_LEN + 1), -1);
}

/* Goal: a record is called after its uuid, else after company and droplet. */
static void
test_installations(void **state)
{
	static char longest[NAME_SIZE], longer[NAME_SIZE + 1];
	const struct {
		const char *dri, *company, *droplet, *want;
	} cases[] = {
		{ "dri_abc", "42", "drp_x", "dri_abc" },
		{ NULL, "42", "drp_x", "company-42-drp_x" },
		{ NULL, "42", NULL, "company-42" },
		{ NULL, NULL, "drp_x", NULL },
		{ NULL, NULL, NULL, NULL },
		{ "", "42", NULL, NULL },
		{ "../../etc/passwd", "42", NULL, NULL },
		{ NULL, "4/2", NULL, NULL },
		{ NULL, "42", "../drp", NULL },
		{ ".dri", NULL, NULL, NULL },
		{ longest, NULL, NULL, longest },
		{ longer, NULL, NULL, NULL },
		{ NULL, longest, NULL, NULL },
	};
	char out[NAME_SIZE];

	(void)state;
	memset(longest, 'd', NAME_MAX_LEN);
	memset(longer, 'd', NAME_MAX_LEN + 1);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		int result = name_of_installation(out, cases[i].dri, cases[i].company,
		    cases[i].droplet);

		CHECK_TEXT(result == 0 ? out : NULL, cases[i].want, or_none(cases[i].dri));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_shops),
		cmocka_unit_test(test_installations),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
