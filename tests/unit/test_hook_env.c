/* The environment of a hook: exactly the variables of the contract, each of a bounded size. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/hook_env.h"

#define CONF "/etc/fluidhook.conf"

static const struct target_call call = {
	.event = "order.created",
	.delivery = "d",
	.installation = "dri_1",
	.shop = "acme",
	.received_at = "2026-11-24T08:30:50.123456Z",
	.attempt = 3,
};

/* The value of a variable, or NULL. */
static const char *
value_of(char *env[HOOK_ENV_MAX], const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; env[i]; i++)
		if (strncmp(env[i], name, len) == 0 && env[i][len] == '=')
			return (env[i] + len + 1);
	return (NULL);
}

/* A text of so many bytes, for free(). */
static char *
text_of(size_t len)
{
	char *text = malloc(len + 1);

	assert_non_null(text);
	memset(text, 'x', len);
	text[len] = '\0';
	return (text);
}

/* Goal: exactly the eleven variables are there, once each, with what the call says. */
static void
test_all(void **state)
{
	static const char *const want[][2] = {
		{ "FLUIDHOOK_EVENT", "order.created" },
		{ "FLUIDHOOK_DELIVERY", "d" },
		{ "FLUIDHOOK_INSTALLATION", "dri_1" },
		{ "FLUIDHOOK_SHOP", "acme" },
		{ "FLUIDHOOK_RECEIVED_AT", "2026-11-24T08:30:50.123456Z" },
		{ "FLUIDHOOK_ATTEMPT", "3" },
		{ "FLUIDHOOK_REPLAY", "" },
		{ "FLUIDHOOK_CONF", "/etc/fluidhook.conf" },
		{ "PATH", "/bin" },
		{ "LANG", "C.UTF-8" },
	};
	char *env[HOOK_ENV_MAX];
	size_t n = 0;

	(void)state;
	setenv("PATH", "/bin", 1);
	unsetenv("LANG");
	assert_int_equal(hook_env_make(env, &call, "/home/fh", CONF), 0);
	while (env[n])
		n++;
	assert_int_equal(n, 11);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_non_null(value_of(env, want[i][0]));
		assert_string_equal(value_of(env, want[i][0]), want[i][1]);
	}
	assert_string_equal(value_of(env, "HOME"), "/home/fh");
	hook_env_free(env);
}

/* Goal: 1,024 bytes with the name and the NUL fit; one more, or 300,000 more, leave the value empty. */
static void
test_bounds(void **state)
{
	const size_t most = HOOK_VARIABLE_SIZE - sizeof("FLUIDHOOK_SHOP=");
	const size_t lengths[] = { most, most + 1, 300000 };
	char *env[HOOK_ENV_MAX];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char *text = text_of(lengths[i]);
		struct target_call one = call;

		one.shop = text;
		assert_int_equal(hook_env_make(env, &one, NULL, CONF), 0);
		assert_string_equal(value_of(env, "FLUIDHOOK_SHOP"), i == 0 ? text : "");
		hook_env_free(env);
		one = call;
		one.installation = one.received_at = text;
		setenv("PATH", text, 1);
		assert_int_equal(hook_env_make(env, &one, NULL, CONF), 0);
		for (size_t v = 0; env[v]; v++)
			assert_true(strlen(env[v]) < HOOK_VARIABLE_SIZE);
		if (lengths[i] == 300000)
			assert_string_equal(value_of(env, "PATH"), "/usr/local/bin:/usr/bin:/bin");
		hook_env_free(env);
		free(text);
	}
}

/* Goal: a configuration whose path does not fit is an error, as a shorter path would be another file. */
static void
test_conf(void **state)
{
	char *env[HOOK_ENV_MAX], *text = text_of(HOOK_CONF_MAX + 1);

	(void)state;
	assert_int_equal(hook_env_make(env, &call, NULL, text), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	hook_env_free(env);
	text[HOOK_CONF_MAX] = '\0';
	assert_int_equal(hook_env_make(env, &call, NULL, text), 0);
	assert_string_equal(value_of(env, "FLUIDHOOK_CONF"), text);
	hook_env_free(env);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_conf),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
