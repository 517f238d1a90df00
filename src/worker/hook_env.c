#include "worker/hook_env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct variable {
	const char *name, *value;
	const char *instead; /* of a value that is missing, empty or too long */
};

static bool
fits(const struct variable *v)
{
	return (strlen(v->name) + 1 + strlen(v->value) < HOOK_VARIABLE_SIZE);
}

int
hook_env_make(char *env[HOOK_ENV_MAX], const struct target_call *call, const char *home,
    const char *conf)
{
	char attempt[16];
	const struct variable variables[] = {
		{ "PATH", getenv("PATH"), "/usr/local/bin:/usr/bin:/bin" },
		{ "HOME", home, "/" },
		{ "LANG", getenv("LANG"), "C.UTF-8" },
		{ "FLUIDHOOK_EVENT", call->event, "" },
		{ "FLUIDHOOK_DELIVERY", call->delivery, "" },
		{ "FLUIDHOOK_INSTALLATION", call->installation, "" },
		{ "FLUIDHOOK_SHOP", call->shop, "" },
		{ "FLUIDHOOK_RECEIVED_AT", call->received_at, "" },
		{ "FLUIDHOOK_ATTEMPT", attempt, "" },
		{ "FLUIDHOOK_REPLAY", "", "" },
		{ "FLUIDHOOK_CONF", conf, NULL },
	};
	const size_t n = sizeof(variables) / sizeof(variables[0]);

	_Static_assert(sizeof(variables) / sizeof(variables[0]) < HOOK_ENV_MAX, "env is too small");
	memset(env, 0, HOOK_ENV_MAX * sizeof(*env));
	snprintf(attempt, sizeof(attempt), "%u", call->attempt);
	for (size_t i = 0; i < n; i++) {
		const struct variable *v = &variables[i];
		const char *value = v->value && *v->value && fits(v) ? v->value : v->instead;

		if (value == NULL) {
			errno = ENAMETOOLONG;
			return (-1);
		}
		if (asprintf(&env[i], "%s=%s", v->name, value) == -1) {
			env[i] = NULL;
			errno = ENOMEM;
			return (-1);
		}
	}
	return (0);
}

void
hook_env_free(char *env[HOOK_ENV_MAX])
{
	int saved = errno;

	for (size_t i = 0; i < HOOK_ENV_MAX; i++)
		free(env[i]);
	errno = saved;
}
