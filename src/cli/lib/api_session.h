#ifndef CLI_LIB_API_SESSION_H
#define CLI_LIB_API_SESSION_H

#include "cli/lib/cli.h"
#include "fluid/token.h"
#include "fluid/api.h"

/* What every command needs that calls Fluid's API as the company. */

struct api_session {
	const struct conf *conf;
	struct fluid_token token;
	struct fluid_api *api;
	struct fluid_error e; /* of the call made last */
};

/**
 * Read the company's token, and be ready to call. To be ended with
 * api_session_close() in every case.
 * Returns CLI_DONE, or the exit status after saying what is wrong.
 */
int api_session_open(struct api_session *k, const struct conf *conf);

void api_session_close(struct api_session *k);

/** Print the error of the call made last. Returns CLI_FAILED. */
int api_session_fail(const struct api_session *k);

/**
 * Print one line about a call: "fluid: 422: url: must be https"; where the fault is here and Fluid was
 * not asked, as cli_fail() does. Returns CLI_FAILED.
 */
int api_session_say(const struct fluid_error *e);

#endif
