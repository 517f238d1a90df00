/* Signatures and the comparison of secrets. No extra link flags. */
#include "support.h"

#include "delivery/signature.h"

/*
 * Goal: HMAC-SHA256 over timestamp "." body, with keys shorter and longer than a block; some of the
 * keys and texts of RFC 4231, the values made with another implementation.
 */
static void
test_compute(void **state)
{
	static char block[65], longer[132];
	const struct {
		const char *key, *timestamp, *body;
		size_t len;
		const char *want;
	} cases[] = {
		{ "Jefe", "1700000000", "what do ya want for nothing?", 28,
		    "1cdd0650c8be1cb0974b1788d458b1e781206cfef59b85faafc582d2e182c57e" },
		{ "dws_secret", "1700000000", "", 0,
		    "193253b3680fced7ace643464c5314eee6344bd6229b38813fa5175a0f269448" },
		{ longer, "1700000000", "Test Using Larger Than Block-Size Key - Hash Key First",
		    54, "90201a1be309d12d310db48ca0ca3da2afd523c404998a699bb1f8d0bf9feee4" },
		{ block, "1", "a\0b", 3,
		    "640bb6f34e96d122ef4cb4b3cd674519c436aff310f5f79fba8f0206cca9baf8" },
		{ "wvt_1vGG3sDMABi5jQ0z5OYnD4gcpn92trvnk", "1795422650", "{\"a\":1}\n", 8,
		    "075011e95cf0e335f347a48f01ec43fb5d2296706eb6510abb0eda811bf4e065" },
	};
	unsigned char digest[SIGNATURE_LEN], parsed[SIGNATURE_LEN];
	char hex[SIGNATURE_HEX_SIZE];

	(void)state;
	memset(block, 'k', 64);
	memset(longer, '\xaa', 131);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		signature_compute(digest, cases[i].key, cases[i].timestamp, cases[i].body,
		    cases[i].len);
		signature_hex(hex, digest);
		assert_string_equal(hex, cases[i].want);
		assert_int_equal(signature_parse(parsed, hex), 0);
		assert_true(signature_equal(digest, parsed));
	}
}

/* Goal: 64 hexadecimal digits of either case are a signature, and nothing else is. */
static void
test_parse(void **state)
{
#define TEN "0123456789"
#define SIXTY TEN TEN TEN TEN TEN TEN
	static const struct {
		const char *text;
		bool good;
	} cases[] = {
		{ SIXTY "abcd", true },
		{ SIXTY "ABCD", true },
		{ SIXTY "aBcD", true },
		{ "", false },
		{ "abcd", false },
		{ SIXTY "abc", false },
		{ SIXTY "abcde", false },
		{ SIXTY "ab", false },
		{ SIXTY "abcd\n", false },
		{ SIXTY "abcdef", false },
		{ " " SIXTY "abcd", false },
		{ SIXTY "abc ", false },
		{ " " SIXTY "abc", false },
		{ SIXTY "ab\n\n", false },
		{ SIXTY "abcg", false },
		{ "sha256=" SIXTY "abcd", false },
		{ "0x" SIXTY "ab", false },
		{ SIXTY "abcd, " SIXTY "abcd", false },
		{ SIXTY "ab\xc3\xa9", false },
		{ SIXTY "ab\v\v", false },
		{ SIXTY "ab\f\t", false },
	};
	unsigned char lower[SIGNATURE_LEN], upper[SIGNATURE_LEN], out[SIGNATURE_LEN];

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++)
		CHECK((signature_parse(out, cases[i].text) == 0) == cases[i].good, "\"%s\"",
		    cases[i].text);
	assert_int_equal(signature_parse(lower, SIXTY "abcd"), 0);
	assert_int_equal(signature_parse(upper, SIXTY "ABCD"), 0);
	assert_true(signature_equal(lower, upper));
	assert_int_equal(lower[0], 0x01);
	assert_int_equal(lower[31], 0xcd);
}

/* Goal: one bit anywhere makes a signature another one. */
static void
test_every_bit_counts(void **state)
{
	unsigned char a[SIGNATURE_LEN] = { 0 }, b[SIGNATURE_LEN] = { 0 };

	(void)state;
	assert_true(signature_equal(a, b));
	for (size_t bit = 0; bit < 8 * SIGNATURE_LEN; bit++) {
		b[bit / 8] ^= (unsigned char)(1 << bit % 8);
		CHECK(!signature_equal(a, b), "bit %zu", bit);
		b[bit / 8] = 0;
	}
}

/* Goal: secrets are equal only over their whole length; a prefix, also an empty one, is not. */
static void
test_secret_equal(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} cases[] = {
		{ "wvt_secret", "wvt_secret", true },
		{ "", "", true },
		{ "x", "x", true },
		{ "wvt_secret", "", false },
		{ "wvt_secret", "w", false },
		{ "wvt_secret", "wvt_secre", false },
		{ "wvt_secret", "wvt_secrets", false },
		{ "12345678", "123456789", false },
		{ "12345678a", "12345678b", false },
		{ "12345678aaaaaaaa", "12345678bbbbbbbb", false },
		{ "aaaaaaaa12345678", "bbbbbbbb12345678", false },
		{ "wvt_secret", "WVT_SECRET", false },
		{ "wvt_secret", "wvt_secreT", false },
		{ "wvt_secret", "xvt_secret", false },
		{ "wvt_secret ", "wvt_secret", false },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		CHECK(secret_equal(cases[i].a, cases[i].b) == cases[i].equal, "%s, %s", cases[i].a,
		    cases[i].b);
		CHECK(secret_equal(cases[i].b, cases[i].a) == cases[i].equal, "%s, %s", cases[i].b,
		    cases[i].a);
	}
}

/* Goal: the digests of FIPS 180-4. */
static void
test_sha256(void **state)
{
	char hex[SIGNATURE_HEX_SIZE];

	(void)state;
	sha256_hex(hex, NULL, 0);
	assert_string_equal(hex,
	    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	sha256_hex(hex, "abc", 3);
	assert_string_equal(hex,
	    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compute),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_every_bit_counts),
		cmocka_unit_test(test_secret_equal),
		cmocka_unit_test(test_sha256),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
