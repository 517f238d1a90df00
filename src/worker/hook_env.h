#ifndef WORKER_HOOK_ENV_H
#define WORKER_HOOK_ENV_H

#include "worker/target.h"

/* The environment of a hook (contract section 6). */

/*
 * HOOK_VARIABLE_SIZE: the most that one variable takes, as "NAME=value" with its NUL.
 * HOOK_CONF_MAX: the longest path of a configuration that fits.
 */
enum {
	HOOK_ENV_MAX = 16,
	HOOK_VARIABLE_SIZE = 1024,
	HOOK_CONF_MAX = HOOK_VARIABLE_SIZE - sizeof("FLUIDHOOK_CONF="),
};

/**
 * Fill in env with exactly the variables that the contract lists, and a NULL behind them. Each is at most
 * HOOK_VARIABLE_SIZE bytes: a longer value of the delivery's is left empty, and for a longer PATH, HOME or
 * LANG the default stands. home: NULL if it is not known. conf: the configuration file, absolute. The strings are for hook_env_free(), also after an error.
 * Returns 0, or -1 with errno set: ENOMEM; ENAMETOOLONG where the configuration's path is too long.
 */
int hook_env_make(char *env[HOOK_ENV_MAX], const struct target_call *call, const char *home,
    const char *conf);

void hook_env_free(char *env[HOOK_ENV_MAX]);

#endif
