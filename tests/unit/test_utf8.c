/* The check of UTF-8 (RFC 3629). No extra link flags. */
#include "support.h"

#include "base/utf8.h"

static const struct {
	const char *name;
	const char *text;
	bool valid;
} cases[] = {
	{ "empty", "", true },
	{ "plain", "plain text, longer than one word of the machine", true },
	{ "U+0080, least of two", "\xc2\x80", true },
	{ "U+07FF, most of two", "\xdf\xbf", true },
	{ "U+0800, least of three", "\xe0\xa0\x80", true },
	{ "U+D7FF, before the surrogates", "\xed\x9f\xbf", true },
	{ "U+E000, behind the surrogates", "\xee\x80\x80", true },
	{ "U+FFFF", "\xef\xbf\xbf", true },
	{ "U+10000, least of four", "\xf0\x90\x80\x80", true },
	{ "U+10FFFF, most of four", "\xf4\x8f\xbf\xbf", true },
	{ "mixed", "abcdefg\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 abcdefghijkl", true },
	{ "continuation alone", "\x80", false },
	{ "overlong NUL", "\xc0\x80", false },
	{ "overlong slash, two", "\xc0\xaf", false },
	{ "overlong, c1", "\xc1\xbf", false },
	{ "overlong, three", "\xe0\x9f\xbf", false },
	{ "overlong, four", "\xf0\x8f\xbf\xbf", false },
	{ "first surrogate", "\xed\xa0\x80", false },
	{ "last surrogate", "\xed\xbf\xbf", false },
	{ "above U+10FFFF", "\xf4\x90\x80\x80", false },
	{ "f5", "\xf5\x80\x80\x80", false },
	{ "fe", "\xfe", false },
	{ "ff behind eight plain bytes", "12345678\xff", false },
	{ "two cut short", "abc\xc3", false },
	{ "three cut short", "abc\xe2\x82", false },
	{ "four cut short", "abc\xf0\x9f\x98", false },
	{ "a plain byte inside three", "\xe2\x82z", false },
	{ "a lead inside four", "\xf0\x9f\xc3\xa9", false },
};

static bool
check_split(const char *text, size_t len, size_t at)
{
	struct utf8_check u = { 0 };

	return (utf8_check_feed(&u, text, at) == 0 &&
	    utf8_check_feed(&u, text + at, len - at) == 0 && utf8_check_finish(&u) == 0);
}

/* Goal: exactly the texts of RFC 3629 pass, wherever they are cut into two pieces. */
static void
test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		size_t len = strlen(cases[i].text);

		for (size_t at = 0; at <= len; at++)
			CHECK(check_split(cases[i].text, len, at) == cases[i].valid,
			    "%s, cut at %zu", cases[i].name, at);
	}
}

/* Encode a code point as its shape has it, valid or not. Returns the length. */
static size_t
encode(char out[4], unsigned long point)
{
	size_t more = point < 0x80 ? 0 : point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
	static const unsigned char leads[] = { 0, 0xc0, 0xe0, 0xf0 };

	for (size_t i = more; i > 0; i--, point >>= 6)
		out[i] = (char)(0x80 | (point & 0x3f));
	out[0] = (char)(leads[more] | point);
	return (more + 1);
}

/* Goal: every code point is judged right: all but the surrogates, up to U+10FFFF. */
static void
test_every_code_point(void **state)
{
	char text[4];

	(void)state;
	for (unsigned long point = 0; point < 0x1fffff; point++) {
		bool valid = point <= 0x10ffff && !(point >= 0xd800 && point <= 0xdfff);
		size_t len = encode(text, point);

		CHECK(check_split(text, len, 0) == valid, "U+%04lX", point);
	}
}

/* Goal: a text is cut at a whole character, and only where it is too long. */
static void
test_cut(void **state)
{
	static const struct {
		const char *text;
		size_t most, want;
	} cuts[] = {
		{ "", 0, 0 },
		{ "abc", 3, 3 },
		{ "abc", 4, 3 },
		{ "abc", 2, 2 },
		{ "abc", 0, 0 },
		{ "a\xc3\xa9", 2, 1 },
		{ "a\xc3\xa9", 3, 3 },
		{ "\xe2\x82\xac\xe2\x82\xac", 5, 3 },
		{ "\xe2\x82\xac", 2, 0 },
		{ "\xf0\x9f\x98\x80x", 4, 4 },
		{ "\xf0\x9f\x98\x80x", 3, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cuts); i++)
		CHECK(utf8_cut(cuts[i].text, strlen(cuts[i].text), cuts[i].most) == cuts[i].want,
		    "%s at %zu", cuts[i].text, cuts[i].most);
}

/* Goal: a byte order mark is found at the start only, and only a whole one. */
static void
test_mark(void **state)
{
	(void)state;
	assert_int_equal(utf8_mark("\xef\xbb\xbfx", 4), 3);
	assert_int_equal(utf8_mark("\xef\xbb\xbf", 3), 3);
	assert_int_equal(utf8_mark("\xef\xbb\xbf", 2), 0);
	assert_int_equal(utf8_mark("x\xef\xbb\xbf", 4), 0);
	assert_int_equal(utf8_mark(NULL, 0), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_every_code_point),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_mark),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
