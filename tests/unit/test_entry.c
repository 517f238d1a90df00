/* Lines of the journal: the exact bytes received can always be had back. No extra link flags. */
#include "support.h"

#include "store/entry.h"

static struct entry
example(void)
{
	return ((struct entry){
	    .delivery = "019ab0b4-0000-7000-8000-000000000000",
	    .received_at = "2026-11-23T08:30:50.123456Z",
	    .event = "order.created",
	    .installation = "dri_a",
	    .fluid_shop = "acme",
	    .id = "90784",
	    .id_is_number = true,
	    .identifier = "evt_1",
	    .verified_by = "signature",
	    .key = "installation",
	    .timestamp = "1700000000",
	    .signature = "00ff",
	    .fingerprint = "0123456789ab",
	    .droplet = "drp_a",
	    .sha256 = "e3b0",
	    .body = "{}",
	    .body_len = 2,
	});
}

static const char *
written(const struct entry *e)
{
	static struct buf line;

	buf_reset(&line);
	assert_int_equal(entry_write(e, &line), 0);
	assert_null(memchr(line.data, '\n', line.len));
	assert_int_equal(strlen(line.data), line.len);
	return (line.data);
}

/* Goal: a line has the members of the contract, in that order, on one line. */
static void
test_line(void **state)
{
	struct entry e = example();

	(void)state;
	assert_string_equal(written(&e),
	    quoted("{'delivery':'019ab0b4-0000-7000-8000-000000000000',"
		   "'received_at':'2026-11-23T08:30:50.123456Z','event':'order.created',"
		   "'installation':'dri_a','fluid_shop':'acme','id':90784,"
		   "'identifier':'evt_1','verified_by':'signature',"
		   "'key':'installation','timestamp':1700000000,'signature':'00ff',"
		   "'fingerprint':'0123456789ab','droplet':'drp_a','sha256':'e3b0','body':'{}'}"));
	e = (struct entry){ .delivery = "d",
		.received_at = "r",
		.event = "e",
		.verified_by = "none",
		.id = "x-1",
		.body = "",
		.body_len = 0 };
	assert_string_equal(written(&e),
	    quoted("{'delivery':'d','received_at':'r','event':'e',"
		   "'installation':null,'fluid_shop':null,'id':'x-1','identifier':null,"
		   "'verified_by':'none',"
		   "'key':null,'timestamp':null,'signature':null,'fingerprint':null,'droplet':null,"
		   "'sha256':null,'body':''}"));
}

/* Goal: any body that is valid UTF-8 comes back byte for byte, NUL and control bytes among them. */
static void
test_bodies(void **state)
{
	static const struct {
		const char *body;
		size_t len;
	} cases[] = {
		{ "", 0 },
		{ "\0", 1 },
		{ "a\0b\0", 4 },
		{ "{\n\t\"a\": \"\\u0000\\n\"\r\n}\n", 23 },
		{ "\"\\\"\\\\\\\"/\b\f\v\x01\x1f\x7f", 14 },
		{ "\xc3\xa9 \xe2\x80\xa8 \xe2\x80\xae \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf", 20 },
		{ "</script><!--", 13 },
	};
	struct buf texts = { 0 };

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct entry e = example(), back;
		const char *line;

		e.body = cases[i].body;
		e.body_len = cases[i].len;
		line = written(&e);
		buf_reset(&texts);
		assert_int_equal(entry_read(&back, line, strlen(line), &texts), 0);
		CHECK(back.body_len == cases[i].len, "case %zu: %zu bytes", i, back.body_len);
		assert_memory_equal(back.body, cases[i].body, cases[i].len);
		assert_string_equal(back.id, "90784");
		assert_true(back.id_is_number);
		assert_string_equal(back.timestamp, "1700000000");
		assert_string_equal(back.fingerprint, e.fingerprint);
		assert_string_equal(back.droplet, e.droplet);
		assert_string_equal(back.sha256, e.sha256);
	}
	buf_free(&texts);
}

/* Goal: a large body comes back, and an id that no integer holds. */
static void
test_large(void **state)
{
	enum { SIZE = 1 << 20 };
	char *body = malloc(SIZE);
	struct entry e = example(), back;
	struct buf line = { 0 }, texts = { 0 };

	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		body[i] = (char)(i * 31 % 128);
	e.body = body;
	e.body_len = SIZE;
	e.id = "123456789012345678901234567890";
	assert_int_equal(entry_write(&e, &line), 0);
	assert_null(memchr(line.data, '\n', line.len));
	assert_int_equal(entry_read(&back, line.data, line.len, &texts), 0);
	assert_int_equal(back.body_len, SIZE);
	assert_memory_equal(back.body, body, SIZE);
	assert_string_equal(back.id, e.id);
	free(body);
	buf_free(&line);
	buf_free(&texts);
}

/* Goal: a line that a crash cut anywhere is never taken for a delivery. */
static void
test_cut(void **state)
{
	struct entry e = example(), back;
	const char *line = written(&e);
	struct buf texts = { 0 };

	(void)state;
	for (size_t len = 0; len < strlen(line); len++) {
		buf_reset(&texts);
		CHECK(entry_read(&back, line, len, &texts) == -1, "%.*s", (int)len, line);
	}
	buf_free(&texts);
}

/* Goal: a line that an older version wrote is read; what it lacks is NULL. */
static void
test_older_line(void **state)
{
	const char *line = quoted(
	    "{'delivery':'d','received_at':'r','event':'e','installation':'i','fluid_shop':'s',"
	    "'id':1,'identifier':'x','verified_by':'signature','key':'droplet','timestamp':1,"
	    "'signature':'00','body':'{}'}");
	struct buf texts = { 0 };
	struct entry e;

	(void)state;
	assert_int_equal(entry_read(&e, line, strlen(line), &texts), 0);
	assert_string_equal(e.signature, "00");
	assert_null(e.fingerprint);
	assert_null(e.droplet);
	assert_null(e.sha256);
	buf_free(&texts);
}

/* Goal: lines that lack what every delivery has are refused, those of a later version are read. */
static void
test_other_lines(void **state)
{
	static const struct {
		const char *line;
		bool good;
	} cases[] = {
		{ "{'delivery':'d','received_at':'r','event':'e','body':'b'}", true },
		{ "{'new':{'delivery':'x'},'delivery':'d','received_at':'r','event':'e','body':'b',"
		  "'n':[1]}",
		    true },
		{ "{'received_at':'r','event':'e','body':'b'}", false },
		{ "{'delivery':'d','event':'e','body':'b'}", false },
		{ "{'delivery':'d','received_at':'r','body':'b'}", false },
		{ "{'delivery':'d','received_at':'r','event':'e'}", false },
		{ "{'delivery':'d','received_at':'r','event':'e','body':null}", false },
		{ "", false },
		{ "[]", false },
		{ "{}", false },
	};
	struct buf texts = { 0 };
	struct entry e;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		const char *line = quoted(cases[i].line);

		buf_reset(&texts);
		CHECK((entry_read(&e, line, strlen(line), &texts) == 0) == cases[i].good, "%s",
		    line);
		if (cases[i].good)
			assert_string_equal(e.delivery, "d");
	}
	buf_free(&texts);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_bodies),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_older_line),
		cmocka_unit_test(test_other_lines),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
