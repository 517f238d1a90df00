/*
 * A struct and its JSON object, by one table of members (base/members.h).
 */
#include "support.h"

#include <errno.h>

#include "base/members.h"

static const char *const colours[] = { "red", "green" };

struct thing {
	char *text, *number, *id, *bytes, *secret, *optional, *former;
	bool id_is_number;
	size_t bytes_len;
	enum { RED, GREEN, NO_COLOUR } colour;
	int64_t since;
	struct timespec at, maybe;
};

#define OWN(field, kind, flags) MEMBER(struct thing, field, kind, flags)

static const struct member table[] = {
	OWN(text, MEMBER_TEXT, 0),
	OWN(number, MEMBER_NUMBER, 0),
	{ "id", MEMBER_ID, 0, offsetof(struct thing, id), offsetof(struct thing, id_is_number),
	    NULL, 0 },
	{ "bytes", MEMBER_BYTES, MEMBER_INTERNAL, offsetof(struct thing, bytes),
	    offsetof(struct thing, bytes_len), NULL, 0 },
	OWN(secret, MEMBER_TEXT, MEMBER_SECRET),
	OWN(optional, MEMBER_TEXT, MEMBER_WHERE_SET),
	OWN(former, MEMBER_TEXT, MEMBER_FORMER),
	{ "colour", MEMBER_CHOICE, 0, offsetof(struct thing, colour), 0, colours, LENGTH(colours) },
	OWN(since, MEMBER_SECONDS, 0),
	OWN(at, MEMBER_MICROS, 0),
	OWN(maybe, MEMBER_MICROS, MEMBER_WHERE_SET),
};

static const struct members members = { table, LENGTH(table) };

static const char full[] =
    "{\"text\":\"a\\\"b\",\"number\":12,\"id\":7,\"bytes\":\"x\\u0000y\",\"secret\":\"s\","
    "\"optional\":\"o\",\"colour\":\"green\",\"since\":\"1970-01-01T00:01:40Z\","
    "\"at\":\"1970-01-01T00:00:01.000002Z\",\"maybe\":\"1970-01-01T00:00:03.000000Z\"}";

static void
check_text(const struct thing *t,
    void (*put)(const struct members *m, const void *object, struct json_writer *w),
    const char *want)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);

	json_object(w);
	put(&members, t, w);
	json_object_end(w);
	assert_int_equal(json_writer_end(w), 0);
	assert_string_equal(out.data, want);
	buf_free(&out);
}

/* Goal: what is read is written the same, with strings of its own and with strings in one buffer. */
static void
test_round_trip(void **state)
{
	struct buf texts = { 0 };

	(void)state;
	for (int own = 0; own < 2; own++) {
		struct thing t = { .colour = NO_COLOUR };

		assert_int_equal(members_read(&members, &t, full, strlen(full),
				     own ? NULL : &texts),
		    0);
		assert_string_equal(t.text, "a\"b");
		assert_int_equal(t.bytes_len, 3);
		assert_memory_equal(t.bytes, "x\0y", 4);
		assert_true(t.id_is_number);
		assert_int_equal(t.colour, GREEN);
		assert_int_equal(t.since, 100);
		assert_int_equal(t.at.tv_nsec, 2000);
		check_text(&t, members_write, full);
		if (own)
			members_free(&members, &t);
		else
			buf_free(&texts);
	}
}

/* Goal: for people, secrets and what is internal are not shown, and what is not set is null. */
static void
test_print(void **state)
{
	struct thing t = { .colour = RED };

	(void)state;
	assert_int_equal(members_read(&members, &t, full, strlen(full), NULL), 0);
	check_text(&t, members_print,
	    "{\"text\":\"a\\\"b\",\"number\":12,\"id\":7,\"secret\":\"present\",\"optional\":\"o\","
	    "\"colour\":\"green\",\"since\":\"1970-01-01T00:01:40Z\","
	    "\"at\":\"1970-01-01T00:00:01.000002Z\",\"maybe\":\"1970-01-01T00:00:03.000000Z\"}");
	members_free(&members, &t);
	assert_null(t.text);
	t = (struct thing){ .colour = RED };
	check_text(&t, members_print,
	    "{\"text\":null,\"number\":null,\"id\":null,\"secret\":null,\"optional\":null,"
	    "\"colour\":\"red\",\"since\":null,\"at\":\"1970-01-01T00:00:00.000000Z\","
	    "\"maybe\":null}");
	check_text(&t, members_write,
	    "{\"text\":null,\"number\":null,\"id\":null,\"bytes\":null,\"secret\":null,"
	    "\"colour\":\"red\",\"since\":null,\"at\":\"1970-01-01T00:00:00.000000Z\"}");
}

/* Goal: values of another type are passed over, and so is what is no choice or no time; the last one counts. */
static void
test_odd(void **state)
{
	static const char odd[] =
	    "{\"text\":1,\"number\":\"1\",\"id\":true,\"bytes\":[1],\"secret\":{},\"colour\":\"blue\","
	    "\"since\":\"then\",\"at\":null,\"unknown\":\"u\",\"former\":\"f\",\"former\":\"g\","
	    "\"colour\":5,\"since\":\"this is no time, and far too long for one in any case\"}";
	struct thing t = { .colour = NO_COLOUR };

	(void)state;
	assert_int_equal(members_read(&members, &t, odd, strlen(odd), NULL), 0);
	assert_null(t.text);
	assert_null(t.number);
	assert_null(t.id);
	assert_null(t.bytes);
	assert_null(t.secret);
	assert_int_equal(t.colour, NO_COLOUR);
	assert_int_equal(t.since, 0);
	assert_string_equal(t.former, "g");
	t.colour = RED;
	check_text(&t, members_write,
	    "{\"text\":null,\"number\":null,\"id\":null,\"bytes\":null,\"secret\":null,"
	    "\"colour\":\"red\",\"since\":null,\"at\":\"1970-01-01T00:00:00.000000Z\"}");
	members_free(&members, &t);
}

/* Goal: a text id is written as one; what is no object is an error, and nothing is lost. */
static void
test_other(void **state)
{
	struct thing t = { .colour = RED };

	(void)state;
	assert_int_equal(members_read(&members, &t, "{\"id\":\"7\"}", 10, NULL), 0);
	assert_false(t.id_is_number);
	assert_string_equal(t.id, "7");
	assert_int_equal(members_read(&members, &t, "{\"text\":\"a\"", 11, NULL), -1);
	assert_int_equal(errno, EBADMSG);
	members_free(&members, &t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_odd),
		cmocka_unit_test(test_other),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
