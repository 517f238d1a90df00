/* Sealed values and their keys. Link with --wrap=getrandom. */
#include "support.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/seal.h"

#define KEY_A "00000000000000000000000000000000000000000000000000000000000000aa"
#define KEY_B "00000000000000000000000000000000000000000000000000000000000000BB"

static char *directory;
static const unsigned char *nonce; /* NULL: the kernel's */

ssize_t __real_getrandom(void *out, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);

ssize_t
__wrap_getrandom(void *out, size_t len, unsigned flags)
{
	if (nonce == NULL)
		return (__real_getrandom(out, len, flags));
	memcpy(out, nonce, len);
	return ((ssize_t)len);
}

static void
use(const char *text)
{
	file_text(directory, "seal.key", text, 0600);
	seal_use(NULL);
	seal_use(path_in(directory, "seal.key"));
}

static int
setup(void **state)
{
	(void)state;
	directory = directory_make();
	nonce = NULL;
	use(KEY_A "\n");
	return (0);
}

static int
teardown(void **state)
{
	(void)state;
	seal_use(NULL);
	directory_remove(directory);
	return (0);
}

/* Goal: what was sealed is opened to the same bytes, any bytes, and looks different each time. */
static void
test_round(void **state)
{
	static const struct {
		const char *data;
		size_t len;
	} cases[] = { { "", 0 }, { "cdt_secret", 10 }, { "a\0b\xff", 4 } };
	struct buf a = { 0 }, b = { 0 }, out = { 0 };

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		buf_reset(&a);
		buf_reset(&b);
		buf_reset(&out);
		assert_int_equal(seal_add(&a, "dri_1", "token", cases[i].data, cases[i].len), 0);
		assert_int_equal(seal_add(&b, "dri_1", "token", cases[i].data, cases[i].len), 0);
		assert_string_not_equal(a.data, b.data);
		assert_true(seal_is_sealed(a.data, a.len));
		assert_true(seal_is_current(a.data, a.len));
		assert_null(strstr(a.data, "secret"));
		buf_adds(&out, "before ");
		assert_int_equal(seal_open(&out, "dri_1", "token", a.data, a.len), 0);
		assert_int_equal(out.len, 7 + cases[i].len);
		assert_memory_equal(out.data + 7, cases[i].data, cases[i].len);
	}
	buf_free(&a);
	buf_free(&b);
	buf_wipe(&out);
}

/*
 * Goal: the bytes are those of RFC 8439 with this key, nonce and associated data, so that what is stored can
 * be opened by any other implementation. The expected value was made with Python's cryptography module.
 */
static void
test_known(void **state)
{
	static const unsigned char bytes[] = "twelve bytes";
	struct buf a = { 0 };

	(void)state;
	nonce = bytes;
	assert_int_equal(seal_add(&a, "dri_1", "authentication_token", "cdt_abc", 7), 0);
	assert_string_equal(a.data,
	    "sealed:2edc48fb:dHdlbHZlIGJ5dGVzA1blVNsT67Zid5Ph/K+xaMlCnD0emFA=");
	buf_free(&a);
}

/* Goal: a value opens only in its own place, and not if any of its characters was changed, or it was cut. */
static void
test_tampering(void **state)
{
	struct buf a = { 0 }, out = { 0 };

	(void)state;
	assert_int_equal(seal_add(&a, "dri_1", "token", "value", 5), 0);
	assert_int_equal(seal_open(&out, "dri_2", "token", a.data, a.len), -1);
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(seal_open(&out, "dri_1", "other", a.data, a.len), -1);
	assert_int_equal(errno, EBADMSG);
	/* Both names together are the same letters. */
	assert_int_equal(seal_open(&out, "dri_1t", "oken", a.data, a.len), -1);
	for (size_t i = 0; i < a.len; i++) {
		char was = a.data[i];

		a.data[i] = was == 'A' ? 'B' : 'A';
		CHECK(seal_open(&out, "dri_1", "token", a.data, a.len) == -1, "character %zu", i);
		a.data[i] = was;
		CHECK(seal_open(&out, "dri_1", "token", a.data, i) == -1, "cut at %zu", i);
	}
	assert_int_equal(out.len, 0);
	assert_int_equal(seal_open(&out, "dri_1", "token", a.data, a.len), 0);
	buf_free(&a);
	buf_wipe(&out);
}

/* Goal: the first key seals, all open; a key that is gone is ENOKEY, and a new one counts at once. */
static void
test_keys(void **state)
{
	struct buf a = { 0 }, b = { 0 }, out = { 0 };
	char id[SEAL_ID_SIZE], id_a[SEAL_ID_SIZE];

	(void)state;
	assert_int_equal(seal_ready(id_a), 0);
	assert_int_equal(seal_add(&a, "r", "f", "x", 1), 0);
	/* In the place of the old file, without seal_use(): it is read again for a key that is not known. */
	file_text(directory, "seal.key", "# new\n\n  " KEY_B " \r\n" KEY_A, 0600);
	assert_false(seal_has("ffffffff"));
	assert_int_equal(seal_add(&b, "r", "f", "y", 1), 0);
	seal_id_of(id, b.data, b.len);
	assert_string_not_equal(id, id_a);
	assert_false(seal_is_current(a.data, a.len));
	assert_true(seal_is_current(b.data, b.len));
	assert_int_equal(seal_open(&out, "r", "f", a.data, a.len), 0);
	assert_int_equal(seal_open(&out, "r", "f", b.data, b.len), 0);
	assert_string_equal(out.data, "xy");
	use(KEY_B);
	assert_int_equal(seal_open(&out, "r", "f", a.data, a.len), -1);
	assert_int_equal(errno, ENOKEY);
	assert_int_equal(seal_open(&out, "r", "f", b.data, b.len), 0);
	seal_use(NULL);
	assert_false(seal_is_on());
	assert_int_equal(seal_open(&out, "r", "f", b.data, b.len), -1);
	assert_int_equal(errno, ENOKEY);
	assert_int_equal(seal_add(&b, "r", "f", "y", 1), -1);
	assert_int_equal(errno, ENOKEY);
	buf_free(&a);
	buf_free(&b);
	buf_wipe(&out);
}

/* Goal: a file that is no key file has its own error, and nothing is sealed with what else is in it. */
static void
test_bad_files(void **state)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {
		{ "", ENODATA },
		{ "# nothing\n\n", ENODATA },
		{ "abc\n", EBADMSG },
		{ KEY_A "0\n", EBADMSG },
		{ KEY_A "\nx\n", EBADMSG },
		{ "zz000000000000000000000000000000000000000000000000000000000000aa\n", EBADMSG },
		{ KEY_A "\n" KEY_A "\n" KEY_A "\n" KEY_A "\n" KEY_A "\n" KEY_A "\n" KEY_A "\n" KEY_A
			"\n" KEY_A "\n",
		    E2BIG },
	};
	struct buf a = { 0 };

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		use(cases[i].text);
		CHECK(seal_add(&a, "r", "f", "x", 1) == -1 && errno == cases[i].error, "\"%s\": %s",
		    cases[i].text, strerror(errno));
		CHECK(a.len == 0, "\"%s\"", cases[i].text);
	}
	use(KEY_A);
	assert_int_equal(chmod(path_in(directory, "seal.key"), 0604), 0);
	seal_use(NULL);
	seal_use(path_in(directory, "seal.key"));
	assert_int_equal(seal_ready(NULL), -1);
	assert_int_equal(errno, EPERM);
	seal_use(path_in(directory, "missing"));
	assert_int_equal(seal_ready(NULL), -1);
	assert_int_equal(errno, ENOENT);
	assert_true(seal_is_on());
	buf_free(&a);
}

/* Goal: only a text of the whole form is sealed, and it names the key it was sealed with. */
static void
test_forms(void **state)
{
	static const char *const not_sealed[] = { "", "sealed", "sealed:", "sealed:12345678",
		"sealed:12345678:", "sealed:1234567:AAAA", "Sealed:12345678:AAAA", "cdt_x" };
	char id[SEAL_ID_SIZE];

	(void)state;
	for (size_t i = 0; i < LENGTH(not_sealed); i++)
		CHECK(!seal_is_sealed(not_sealed[i], strlen(not_sealed[i])), "\"%s\"",
		    not_sealed[i]);
	assert_true(seal_is_sealed("sealed:12345678:AAAA", 20));
	seal_id_of(id, "sealed:12345678:AAAA", 20);
	assert_string_equal(id, "12345678");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round, setup, teardown),
		cmocka_unit_test_setup_teardown(test_known, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tampering, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forms, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
