#ifndef FLUID_TOKEN_H
#define FLUID_TOKEN_H

#include <stdbool.h>

#include "base/conf.h"
#include "fluid/error.h"

/* A bearer token, and where it came from, so that a refusal can say which one to look at. */

enum { FLUID_TOKEN_MAX = 512 };

/* Both are owned by the struct; token_free() wipes the value. {0} is none. */
struct fluid_token {
	char *value;
	char *source; /* "/etc/fluidhook/company.token", "$FLUID_COMPANY_TOKEN" */
};

/**
 * The company's token: $FLUID_COMPANY_TOKEN where it is set, else the first line of the file that
 * `company_token` names, which must not be readable by others. To be called while the process may
 * still read the file, before it becomes another user.
 * Returns 0, or -1 with the error set.
 */
int token_company(struct fluid_token *t, const struct conf *c, struct fluid_error *e);

/** Whether there is a company token: in the environment, or in the file, which may be one that cannot be read. */
bool token_is_there(const struct conf *c);

/**
 * The token of an installation: `value` is copied, `record` is the name of its record.
 * Returns 0, or -1 with the error set (no token in the record; one that no header can carry).
 */
int token_installation(struct fluid_token *t, const char *value, const char *record,
    struct fluid_error *e);

void token_free(struct fluid_token *t);

#endif
