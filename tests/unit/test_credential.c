/* Which members hold credentials. No extra link flags. */
#include "support.h"

#include "base/credential.h"

/* Goal: a name that means a token, a secret, a password or a key of an API is one, however it is spelled; others are none. */
static void
test_names(void **state)
{
	static const struct {
		const char *name;
		bool is;
	} names[] = {
		{ "token", true },
		{ "authentication_token", true },
		{ "AccessToken", true },
		{ "client_secret", true },
		{ "PASSWORD", true },
		{ "credentials", true },
		{ "api_key", true },
		{ "apiKey", true },
		{ "private_key", true },
		{ "", false },
		{ "toke", false },
		{ "key", false },
		{ "keyboard", false },
		{ "id", false },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(names); i++)
		CHECK(credential_is_name(names[i].name, strlen(names[i].name)) == names[i].is, "%s",
		    names[i].name);
	assert_false(credential_is_name("token", 4));
}

/* Goal: a member is found at any depth and however its name is spelled; a value or a word in it is none. */
static void
test_bodies(void **state)
{
	static const struct {
		const char *body;
		bool has;
	} bodies[] = {
		{ "{}", false },
		{ "{'a':'the token is a secret'}", false },
		{ "{'a':1,'b':[{'c':{'webhook_token':null}}]}", true },
		{ "{'\\u0074oken':1}", true },
		{ "{'a':'\\u0074oken'}", false },
		{ "{'TO\\u004bEN':1}", true },
		{ "{'a':'x\\\\u0041'}", false },
		/* It cannot be told: then it counts as one. */
		{ "{'a':'token", true },
		{ "['password']", true },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(bodies); i++) {
		const char *body = quoted(bodies[i].body);

		CHECK(credential_in_json(body, strlen(body)) == bodies[i].has, "%s", body);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bodies),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
