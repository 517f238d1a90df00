/* JSON in and out. No extra link flags. */
#include "support.h"

#include "base/json.h"

/* What the parser reported, written as one line of text. */
static void
record(void *user, enum json_kind kind, const char *text, size_t len, unsigned depth)
{
	static const char marks[] = "nb#s{}[]k";

	buf_addf(user, "%u%c", depth, marks[kind]);
	for (size_t i = 0; i < len; i++)
		buf_addc(user, text[i] ? text[i] : '@');
	buf_addc(user, ' ');
}

static int
parse_split(const char *text, size_t len, size_t at, struct buf *out)
{
	struct json_parser *p = json_parser_new(record, out);
	int result;

	assert_non_null(p);
	buf_reset(out);
	buf_add(out, "", 0);
	json_parser_feed(p, text, at);
	json_parser_feed(p, text + at, len - at);
	result = json_parser_finish(p);
	json_parser_free(p);
	return (result);
}

/* Goal: every kind of value is reported with its exact text and depth, however the input is cut. */
static void
test_events(void **state)
{
	const char *text = quoted(
	    "{'a':null,'b':[true,false,-1.50e+10,123456789012345678901234567890],"
	    "'c':{'\\u0064\\n':'x\\u0000y','e':{}},'':'\\u00e9\xc3\xa9\\ud83d\\ude00\\/'}");
	static const char want[] =
	    "1{ 1ka 1n 1kb 2[ 2btrue 2bfalse 2#-1.50e+10 "
	    "2#123456789012345678901234567890 2] 1kc 2{ 2kd\n 2sx@y 2ke 3{ 3} 2} "
	    "1k 1s\xc3\xa9\xc3\xa9\xf0\x9f\x98\x80/ 1} ";
	struct buf out = { 0 };
	size_t len = strlen(text);

	(void)state;
	for (size_t at = 0; at <= len; at++) {
		assert_int_equal(parse_split(text, len, at, &out), 0);
		assert_string_equal(out.data, want);
	}
	buf_free(&out);
}

/* Goal: a surrogate without its pair makes no text that is not UTF-8, in values and in keys. */
static void
test_surrogates(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "{'a':'x\\udc00y'}", "1{ 1ka 1sx\xef\xbf\xbdy 1} " },
		{ "{'a':'\\udfff'}", "1{ 1ka 1s\xef\xbf\xbd 1} " },
		{ "{'a':'\xed\x95\x9c\\uDC00\\uDC00\xed\x95\x9c'}",
		    "1{ 1ka 1s\xed\x95\x9c\xef\xbf\xbd\xef\xbf\xbd\xed\x95\x9c 1} " },
		{ "{'\\udbff':1}", "1{ 1k? 1#1 1} " },
		{ "{'\\udc00':1}", "1{ 1k\xef\xbf\xbd 1#1 1} " },
	};
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *text = quoted(cases[i].text);

		for (size_t at = 0; at <= strlen(text); at++) {
			assert_int_equal(parse_split(text, strlen(text), at, &out), 0);
			assert_string_equal(out.data, cases[i].want);
		}
	}
	buf_free(&out);
}

/* Texts that are one whole object, and such as are not. */
static const struct {
	const char *text;
	bool whole;
} texts[] = {
	{ "{}", true },
	{ " \t\r\n{ } \n", true },
	{ "", false },
	{ " ", false },
	{ "{", false },
	{ "[]", false },
	{ "null", false },
	{ "1", false },
	{ "'a'", false },
	{ "true", false },
	{ "}", false },
	{ "{}{}", false },
	{ "{} x", false },
	{ "{},", false },
	{ "{}\n{}", false },
	{ "{'a'}", false },
	{ "{'a':}", false },
	{ "{'a':1,}", false },
	{ "{a:1}", false },
	{ "{'a':01}", false },
	{ "{'a':+1}", false },
	{ "{'a':.5}", false },
	{ "{'a':1.}", false },
	{ "{'a':1e}", false },
	{ "{'a':-}", false },
	{ "{'a':0x1}", false },
	{ "{'a':NaN}", false },
	{ "{'a':Infinity}", false },
	{ "{'a':nul}", false },
	{ "{'a':TRUE}", false },
	{ "{'a':[1,]}", false },
	{ "{'a':[1}]", false },
	{ "{'a':'b}", false },
	{ "{'a':'\t'}", false },
	{ "{'a':'\n'}", false },
	{ "{'a':'\\x'}", false },
	{ "{'a':'\\u12g4'}", false },
	{ "{'a':1}/* */", false },
	{ "/**/{}", false },
	{ "// x\n{}", false },
	{ "\v{}", false },
	{ "{}\f", false },
	{ "{\v'a':1}", false },
	{ "\xef\xbb\xbf{}", false },
	{ "{'a':'\xc0\xaf'}", false },
	{ "{'a':'\xed\xa0\x80'}", false },
	{ "{'a':'\xf4\x90\x80\x80'}", false },
	{ "{'\xff':1}", false },
	{ "{'a':'\xe2\x82'}", false },
	{ "{'a':1}\xc3", false },
};

/* Goal: one object and nothing else passes; yajl's own leniencies do not. */
static void
test_one_object(void **state)
{
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < LENGTH(texts); i++) {
		const char *text = quoted(texts[i].text);
		size_t len = strlen(text);

		for (size_t at = 0; at <= len; at++)
			CHECK((parse_split(text, len, at, &out) == 0) == texts[i].whole,
			    "%s, cut at %zu", text, at);
	}
	assert_int_equal(parse_split("{}\0", 3, 0, &out), -1);
	buf_free(&out);
}

/* Goal: 64 levels pass, 65 do not, of objects as of arrays. */
static void
test_depth(void **state)
{
	static const struct {
		const char *open, *inside, *close;
	} kinds[] = { { "{\"a\":", "1", "}" }, { "[", "", "]" } };
	struct buf text = { 0 }, out = { 0 };

	(void)state;
	for (size_t k = 0; k < LENGTH(kinds); k++)
		for (unsigned depth = JSON_MAX_DEPTH; depth <= JSON_MAX_DEPTH + 1; depth++) {
			buf_reset(&text);
			buf_adds(&text, "{\"a\":");
			for (unsigned i = 1; i < depth; i++)
				buf_adds(&text, kinds[k].open);
			buf_adds(&text, kinds[k].inside);
			for (unsigned i = 1; i < depth; i++)
				buf_adds(&text, kinds[k].close);
			buf_adds(&text, "}");
			CHECK((parse_split(text.data, text.len, text.len, &out) == 0) ==
				(depth == JSON_MAX_DEPTH),
			    "depth %u, kind %zu", depth, k);
		}
	buf_free(&text);
	buf_free(&out);
}

static void
on_member(void *user, const char *key, size_t key_len, enum json_kind kind, const char *text,
    size_t len)
{
	buf_add(user, key, key_len);
	buf_addf(user, "=%d:", (int)kind);
	buf_add(user, text ? text : "", len);
	buf_addc(user, ' ');
}

/* Goal: only the direct members of the outermost object are handed out. */
static void
test_members(void **state)
{
	const char *text = quoted("{'a':'x','b':{'c':1,'d':[2]},'e':[3,{'f':4}],'g':5,'h':null}");
	struct buf out = { 0 };

	(void)state;
	assert_int_equal(json_read_members(text, strlen(text), on_member, &out), 0);
	assert_string_equal(out.data, "a=3:x b=4: e=6: g=2:5 h=0: ");
	assert_int_equal(json_read_members("[1]", 3, on_member, &out), -1);
	assert_int_equal(json_read_members("{\"a\":1", 6, on_member, &out), -1);
	buf_free(&out);
}

/* Goal: what is written reads back as it was, on one line or indented. */
static void
test_writer(void **state)
{
	static const char compact[] =
	    "{\"s\":\"q\\\"b\\\\n\\nz\\u0000\xc3\xa9\",\"n\":null,"
	    "\"i\":-9223372036854775807,\"x\":123456789012345678901234567890,"
	    "\"a\":[true,false,{}]}";
	struct buf out = { 0 };
	struct json_writer *w;

	(void)state;
	for (int pretty = 0; pretty < 2; pretty++) {
		buf_reset(&out);
		assert_non_null(w = json_writer_new(&out, pretty));
		json_object(w);
		json_key(w, "s");
		json_string_len(w, "q\"b\\n\nz\0\xc3\xa9", 10);
		json_key(w, "n");
		json_string(w, NULL);
		json_key(w, "i");
		json_int(w, -9223372036854775807LL);
		json_key(w, "x");
		json_number(w, "123456789012345678901234567890");
		json_key(w, "a");
		json_array(w);
		json_bool(w, true);
		json_bool(w, false);
		json_object(w);
		json_object_end(w);
		json_array_end(w);
		json_object_end(w);
		assert_int_equal(json_writer_end(w), 0);
		if (!pretty)
			assert_string_equal(out.data, compact);
		else
			assert_non_null(strstr(out.data, "{\n  \"s\": \"q"));
	}
	buf_free(&out);
}

/* Goal: a writer that was used wrongly, or ran out of memory, says so at its end. */
static void
test_writer_fails(void **state)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);

	(void)state;
	json_object(w);
	json_int(w, 1);
	assert_int_equal(json_writer_end(w), -1);
	buf_reset(&out);
	w = json_writer_new(&out, false);
	json_object(w);
	assert_int_equal(buf_reserve(&out, SIZE_MAX / 2), -1);
	json_object_end(w);
	assert_int_equal(json_writer_end(w), -1);
	buf_free(&out);
}

/* Goal: each byte is written in the same way in a long string as in a short one, which yajl writes. */
static void
test_long_strings(void **state)
{
	enum { TIMES = 300 };
	char text[TIMES];
	struct buf shorter = { 0 }, longer = { 0 }, want = { 0 };
	struct json_writer *w;

	(void)state;
	for (int c = 0; c < 256; c++) {
		memset(text, c, sizeof(text));
		buf_reset(&shorter);
		w = json_writer_new(&shorter, false);
		assert_non_null(w);
		json_string_len(w, text, 1);
		assert_int_equal(json_writer_end(w), 0);
		buf_reset(&longer);
		w = json_writer_new(&longer, false);
		assert_non_null(w);
		json_array(w);
		json_string_len(w, text, sizeof(text));
		json_string_len(w, text, sizeof(text));
		json_array_end(w);
		assert_int_equal(json_writer_end(w), 0);
		buf_reset(&want);
		for (int n = 0; n < 2; n++) {
			buf_adds(&want, n ? ",\"" : "[\"");
			for (int i = 0; i < TIMES; i++)
				buf_add(&want, shorter.data + 1, shorter.len - 2);
			buf_adds(&want, n ? "\"]" : "\"");
		}
		assert_int_equal(longer.len, want.len);
		assert_memory_equal(longer.data, want.data, want.len);
	}
	buf_free(&shorter);
	buf_free(&longer);
	buf_free(&want);
}

/* Goal: a long string stands where a value may stand, and nowhere else. */
static void
test_long_string_in_its_place(void **state)
{
	char text[1000];
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);

	(void)state;
	memset(text, 'x', sizeof(text));
	assert_non_null(w);
	json_object(w);
	json_string_len(w, text, sizeof(text));
	json_object_end(w);
	assert_int_equal(json_writer_end(w), -1);
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_surrogates),
		cmocka_unit_test(test_one_object),
		cmocka_unit_test(test_depth),
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_writer),
		cmocka_unit_test(test_writer_fails),
		cmocka_unit_test(test_long_strings),
		cmocka_unit_test(test_long_string_in_its_place),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
