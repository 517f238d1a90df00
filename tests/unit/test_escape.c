/* Text of unknown origin, made harmless. No extra link flags. */
#include "support.h"

#include "base/escape.h"

static const struct {
	const char *name, *text, *terminal, *quoted;
} cases[] = {
	{ "plain", "plain text, ~", "plain text, ~", "plain text, ~" },
	{ "empty", "", "", "" },
	{ "quote and backslash", "a\"b\\c", "a\"b\\c", "a\\\"b\\\\c" },
	{ "C0 and DEL", "a\n\x1b[2J\x7f", "a\\x0a\\x1b[2J\\x7f", "a\\x0a\\x1b[2J\\x7f" },
	{ "C1, as UTF-8", "\xc2\x9b", "\\x9b", "\\xc2\\x9b" },
	{ "first behind C1", "\xc2\xa0", "\xc2\xa0", "\\xc2\\xa0" },
	{ "letters", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
	    "\\xc3\\xa9\\xe2\\x82\\xac\\xf0\\x9f\\x98\\x80" },
	{ "not UTF-8 beside a letter", "\xc3\xa9\xff\xc3", "\xc3\xa9\\xff\\xc3",
	    "\\xc3\\xa9\\xff\\xc3" },
	{ "cut short", "\xe2\x82", "\\xe2\\x82", "\\xe2\\x82" },
	{ "surrogate", "\xed\xa0\x80", "\\xed\\xa0\\x80", "\\xed\\xa0\\x80" },
	{ "right to left",
	    "a\xe2\x80\xae"
	    "b",
	    "a\\u202eb", "a\\xe2\\x80\\xaeb" },
	{ "soft hyphen", "\xc2\xad", "\\u00ad", "\\xc2\\xad" },
	{ "byte order mark", "\xef\xbb\xbf", "\\ufeff", "\\xef\\xbb\\xbf" },
};

/* Goal: what a terminal or a quoted text must not get is escaped, and all else stays. */
static void
test_forms(void **state)
{
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		buf_reset(&out);
		buf_adds(&out, "");
		escape_add(&out, cases[i].text, strlen(cases[i].text), ESCAPE_TERMINAL);
		CHECK_TEXT(out.data, cases[i].terminal, cases[i].name);
		buf_reset(&out);
		escape_add(&out, cases[i].text, strlen(cases[i].text), ESCAPE_QUOTED);
		CHECK_TEXT(out.data, cases[i].quoted, cases[i].name);
	}
	buf_reset(&out);
	escape_add(&out, "a\0b", 3, ESCAPE_TERMINAL);
	assert_string_equal(out.data, "a\\x00b");
	buf_free(&out);
}

/* Goal: whatever the bytes, the result is printable, no longer than is promised, and no input is lost. */
static void
test_every_byte(void **state)
{
	char text[4] = "", piece[ESCAPE_SIZE];
	size_t n;

	(void)state;
	for (unsigned a = 0; a < 256; a++)
		for (unsigned b = 0; b < 256; b++)
			for (size_t len = 1; len <= 2; len++)
				for (int how = ESCAPE_TERMINAL; how <= ESCAPE_QUOTED; how++) {
					size_t used;

					text[0] = (char)a;
					text[1] = (char)b;
					used = escape_one(piece, &n, text, len,
					    (enum escape_how)how);
					CHECK(used >= 1 && used <= len, "%02x %02x", a, b);
					CHECK(n == strlen(piece) && n < ESCAPE_SIZE, "%02x %02x", a,
					    b);
					for (size_t i = 0; i < n; i++)
						CHECK((unsigned char)piece[i] >= 0x20 &&
							piece[i] != 0x7f,
						    "%02x %02x", a, b);
				}
}

/* Goal: a copy is cut before a whole escaped character, and the dots say so; what just fits is not cut. */
static void
test_copy(void **state)
{
	char out[10];

	(void)state;
	assert_true(escape_copy(out, sizeof(out), "123456789", 9, ESCAPE_TERMINAL));
	assert_string_equal(out, "123456789");
	assert_false(escape_copy(out, sizeof(out), "1234567890", 10, ESCAPE_TERMINAL));
	assert_string_equal(out, "123456...");
	assert_false(escape_copy(out, sizeof(out), "123\nabcd", 8, ESCAPE_TERMINAL));
	assert_string_equal(out, "123...");
	assert_false(escape_copy(out, sizeof(out), "12345\xf0\x9f\x98\x80z", 10, ESCAPE_TERMINAL));
	assert_string_equal(out, "12345...");
	assert_true(escape_copy(out, sizeof(out), "", 0, ESCAPE_TERMINAL));
	assert_string_equal(out, "");
	assert_false(escape_copy(out, 4, "12345", 5, ESCAPE_TERMINAL));
	assert_string_equal(out, "...");
}

/* Goal: in a URL, all but unreserved characters are percent-encoded. */
static void
test_url(void **state)
{
	struct buf out = { 0 };

	(void)state;
	escape_add_url(&out, "a-Z_0.9~ /?&%\xc3\xa9\0", 16);
	assert_string_equal(out.data, "a-Z_0.9~%20%2F%3F%26%25%C3%A9%00");
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_url),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
