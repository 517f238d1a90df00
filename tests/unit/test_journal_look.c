/* The cheap look at a raw line: it never refuses a line that is wanted, and refuses nearly all others. */
#include "support.h"

#include "cli/lib/journal_look.h"

static bool
looks(struct journal_look look, const char *line)
{
	return (journal_look_at(&look, line, strlen(line)));
}

static const char line[] =
    "{\"delivery\":\"0190A8D4-1234-7abc-8def-0123456789ab\",\"event\":\"order.created\","
    "\"installation\":\"dri_1\",\"fluid_shop\":\"Acme.Fluid.app\",\"body\":\"{\\\"event\\\":\\\"a.b\\\"}\"}";

/* Goal: a line is taken by what stands in its members, whatever the case where it does not count. */
static void
test_members(void **state)
{
	static const struct {
		const char *event, *installation, *uuid;
		bool want;
	} table[] = {
		{ NULL, NULL, NULL, true },
		{ "order.created", NULL, NULL, true },
		{ "order", NULL, NULL, true },
		{ "orders", NULL, NULL, false },
		{ "a.b", NULL, NULL, false },
		{ NULL, "dri_1", NULL, true },
		{ NULL, "dri_2", NULL, false },
		{ NULL, "acme", NULL, true },
		{ NULL, "ACME.fluid.app", NULL, true },
		{ NULL, "acm", NULL, true },
		{ NULL, "cme", NULL, true }, /* not wanted: the parser sees it */
		{ NULL, "acmes", NULL, false },
		{ NULL, NULL, "0190a8d4", true },
		{ NULL, NULL, "0190a8d5", false },
		{ "order", "dri_1", "0190a8d4-1234-7ABC-8def-0123456789ab", true },
		{ "order", "dri_2", "0190a8d4", false },
		/* No safe names: the look cannot tell. */
		{ "a\"b", "\xc3\xa4", "../x", true },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(table); i++)
		CHECK(looks(journal_look_for(table[i].event, table[i].installation, table[i].uuid),
			  line) == table[i].want,
		    "case %zu", i);
}

/* Goal: members in another order, with blanks as other writers put them, are seen as well. */
static void
test_other_writers(void **state)
{
	static const char other[] =
	    "{ \"body\" : \"{}\", \"fluid_shop\" : \"acme\",\t\"event\":\t\"x.y\", \"installation\": \"dri_9\" }";

	(void)state;
	assert_true(looks(journal_look_for("x.y", "acme", NULL), other));
	assert_true(looks(journal_look_for("x", "dri_9", NULL), other));
	assert_false(looks(journal_look_for("x.z", "acme", NULL), other));
	assert_false(looks(journal_look_for(NULL, "acme2", NULL), other));
}

/* Goal: what is no whole object goes on to the parser, which says that it is damaged; an empty line does not. */
static void
test_damaged(void **state)
{
	struct journal_look look = journal_look_for("order", "dri_2", "0190");

	(void)state;
	assert_true(looks(look, "x"));
	assert_true(looks(look, "{\"delivery\":\"01"));
	assert_true(journal_look_at(&look, "\0\0\0\0", 4));
	assert_false(looks(look, ""));
	assert_false(looks(look, "{}"));
	assert_int_equal(look.lines, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_other_writers),
		cmocka_unit_test(test_damaged),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
