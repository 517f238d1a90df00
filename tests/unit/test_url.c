/* The grammar of addresses. No extra link flags. */
#include "support.h"

#include "base/url.h"

static const struct {
	const char *text;
	enum url_problem problem; /* of url_check() */
	bool loopback;
	unsigned port;
	const char *host, *path;
} cases[] = {
	{ "https://api.fluid.app/api/x", URL_OK, false, 443, "api.fluid.app", "/api/x" },
	{ "HTTPS://API.Fluid.App", URL_OK, false, 443, "api.fluid.app", "" },
	{ "https://a_b-c.example:8443?q=@", URL_OK, false, 8443, "a_b-c.example", "?q=@" },
	{ "https://a/x@y", URL_OK, false, 443, "a", "/x@y" },
	{ "https://a//b", URL_OK, false, 443, "a", "//b" },
	{ "https://127.0.0.1:1/x", URL_OK, true, 1, "127.0.0.1", "/x" },
	{ "http://127.255.1.2/x", URL_OK, true, 80, "127.255.1.2", "/x" },
	{ "http://LOCALHOST:65535/x", URL_OK, true, 65535, "localhost", "/x" },
	{ "http://[::1]:8080/x", URL_OK, true, 8080, "[::1]", "/x" },
	{ "http://[0:0:0:0:0:0:0:1]", URL_OK, true, 80, "[0:0:0:0:0:0:0:1]", "" },
	{ "https://[2001:DB8::1]/", URL_OK, false, 443, "[2001:db8::1]", "/" },
	{ .text = "http://api.fluid.app/x", .problem = URL_INSECURE },
	{ .text = "http://localhost.evil.example/x", .problem = URL_INSECURE },
	{ .text = "http://127.0.0.1.evil.example/x", .problem = URL_INSECURE },
	{ .text = "http://[::2]/x", .problem = URL_INSECURE },
	{ .text = "http://128.0.0.1/x", .problem = URL_INSECURE },
	/* Other programs read these as 127.0.0.1; nothing has to. */
	{ .text = "http://2130706433/", .problem = URL_INSECURE },
	{ .text = "http://127.1/", .problem = URL_INSECURE },
	{ .text = "http://[::ffff:127.0.0.1]/", .problem = URL_INSECURE },
	{ .text = "http://localhost@evil.example/x", .problem = URL_USER },
	{ .text = "https://user:password@api.fluid.app/", .problem = URL_USER },
	{ .text = "https://@a/", .problem = URL_USER },
	{ .text = "http://evil.example#@localhost/", .problem = URL_MALFORMED },
	{ .text = "http://evil.example\\@localhost/", .problem = URL_MALFORMED },
	{ .text = "https://a/x#y", .problem = URL_MALFORMED },
	{ .text = "https://a b/", .problem = URL_MALFORMED },
	{ .text = "https://a/\r\nX: y", .problem = URL_MALFORMED },
	{ .text = "https://a/\x7f", .problem = URL_MALFORMED },
	{ .text = "https://a/\xc3\xa9", .problem = URL_MALFORMED },
	{ .text = "https://[::1", .problem = URL_MALFORMED },
	{ .text = "https://[]/", .problem = URL_MALFORMED },
	{ .text = "https://[::1]x/", .problem = URL_MALFORMED },
	{ .text = "https://[fe80::1%25eth0]/", .problem = URL_MALFORMED },
	{ .text = "https://[1.2.3.4]/", .problem = URL_MALFORMED },
	{ .text = "https://%6cocalhost/", .problem = URL_MALFORMED },
	{ .text = "https://a..b/", .problem = URL_MALFORMED },
	{ .text = "https://.a/", .problem = URL_MALFORMED },
	{ .text = "https://", .problem = URL_MALFORMED },
	{ .text = "https:///x", .problem = URL_MALFORMED },
	{ .text = "https://:443/x", .problem = URL_MALFORMED },
	{ .text = "https://a:/x", .problem = URL_MALFORMED },
	{ .text = "https://a:0/x", .problem = URL_MALFORMED },
	{ .text = "https://a:65536/x", .problem = URL_MALFORMED },
	{ .text = "https://a:+1/x", .problem = URL_MALFORMED },
	{ .text = "https://a:1:2/x", .problem = URL_MALFORMED },
	{ .text = "https:/a/x", .problem = URL_MALFORMED },
	{ .text = "https:a/x", .problem = URL_MALFORMED },
	{ .text = "ftp://a/x", .problem = URL_MALFORMED },
	{ .text = "a/x", .problem = URL_MALFORMED },
	{ .text = "", .problem = URL_MALFORMED },
};

/* Goal: an address has one reading, and whatever two programs could read differently is refused. */
static void
test_check(void **state)
{
	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct url u;

		CHECK(url_check(&u, cases[i].text) == cases[i].problem, "%s", cases[i].text);
		if (cases[i].problem)
			continue;
		CHECK(u.loopback == cases[i].loopback, "%s: loopback", cases[i].text);
		CHECK(u.port == cases[i].port, "%s: port %u", cases[i].text, u.port);
		CHECK_TEXT(u.host, cases[i].host, cases[i].text);
		CHECK_TEXT(u.path, cases[i].path, cases[i].text);
	}
}

/* Goal: a host that does not fit is refused, never cut to another one. */
static void
test_long_host(void **state)
{
	char text[URL_HOST_SIZE + 16] = "https://";
	struct url u;

	(void)state;
	memset(text + 8, 'a', URL_HOST_SIZE - 1);
	assert_int_equal(url_parse(&u, text), URL_OK);
	assert_int_equal(strlen(u.host), URL_HOST_SIZE - 1);
	text[8 + URL_HOST_SIZE - 1] = 'a';
	assert_int_equal(url_parse(&u, text), URL_MALFORMED);
}

/* Goal: two URLs are the same if scheme, host, port and path are, whatever their query. */
static void
test_same(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} pairs[] = {
		{ "https://a.example/x", "HTTPS://A.example:443/x/?q=1", true },
		{ "https://a.example", "https://a.example/", true },
		{ "http://a.example:80/", "http://a.example", true },
		{ "https://a.example/x", "http://a.example/x", false },
		{ "https://a.example/x", "https://a.example:444/x", false },
		{ "https://a.example/x", "https://a.example/X", false },
		{ "https://a.example/x", "https://a.example/xy", false },
		{ "https://a.example/x", "https://b.example/x", false },
		{ "nonsense", "nonsense", false },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(pairs); i++) {
		CHECK(url_is_same(pairs[i].a, pairs[i].b) == pairs[i].same, "%s and %s", pairs[i].a,
		    pairs[i].b);
		CHECK(url_is_same(pairs[i].b, pairs[i].a) == pairs[i].same, "%s and %s", pairs[i].b,
		    pairs[i].a);
	}
}

/* Goal: what is shown of an address has no password, path or query. */
static void
test_origin(void **state)
{
	static const struct {
		const char *text, *origin;
	} shown[] = {
		{ "https://api.fluid.app/api/x?secret=1", "https://api.fluid.app" },
		{ "https://api.fluid.app:443", "https://api.fluid.app" },
		{ "https://api.fluid.app:80?x", "https://api.fluid.app:80" },
		{ "http://user:password@[::1]:8080/x", "http://[::1]:8080" },
		{ "http://user@other@a/x", "http://a" },
		{ "nonsense //", "?" },
	};
	char out[URL_ORIGIN_SIZE];

	(void)state;
	for (size_t i = 0; i < LENGTH(shown); i++) {
		url_origin(out, shown[i].text);
		CHECK_TEXT(out, shown[i].origin, shown[i].text);
	}
}

/* Goal: a path begins with one slash, and percent signs encode bytes. */
static void
test_path(void **state)
{
	static const struct {
		const char *path;
		bool good;
	} paths[] = {
		{ "/", true },
		{ "/api/x?page=1&q=a/../b", true },
		{ "/api/x/", true },
		{ "/a%20b", true },
		{ "/a%2", false },
		{ "/a%zz", false },
		{ "", false },
		{ "api", false },
		{ "//evil.example/x", false },
		{ "https://evil.example/x", false },
		{ "/a//b", false },
		{ "/a/../b", false },
		{ "/..", false },
		{ "/./a", false },
		{ "/a\\b", false },
		{ "/a#b", false },
		{ "/a b", false },
		{ "/a\nb", false },
	};
	char large[2050];

	(void)state;
	for (size_t i = 0; i < LENGTH(paths); i++)
		CHECK(url_is_path(paths[i].path) == paths[i].good, "%s", paths[i].path);
	memset(large, 'a', sizeof(large));
	large[0] = '/';
	large[2049] = '\0';
	assert_false(url_is_path(large));
	large[2048] = '\0';
	assert_true(url_is_path(large));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_long_host),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_origin),
		cmocka_unit_test(test_path),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
