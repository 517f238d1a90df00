#ifndef CLI_COMPANY_H
#define CLI_COMPANY_H

#include "cli/lib/cli.h"
#include "fluid/token.h"
#include "fluid/transport.h"

/* What every command needs that calls Fluid's API as the company. */

struct company {
	struct conf *conf;
	struct fluid_token token;
	struct transport *transport;
	struct fluid_error e; /* of the call made last */
};

/**
 * Read the configuration and the company's token, and be ready to call. To be ended with
 * company_close() in every case.
 * Returns CLI_DONE, or the exit status after saying what is wrong.
 */
int company_open(struct company *k, const struct cli *c);

void company_close(struct company *k);

/** Print the error of the call made last. Returns CLI_FAILED. */
int company_fail(const struct company *k);

/**
 * Print one line about a call: "fluid: 422: url: must be https"; where the fault is here and Fluid was
 * not asked, as cli_fail() does. Returns CLI_FAILED.
 */
int company_say(const struct fluid_error *e);

#endif
