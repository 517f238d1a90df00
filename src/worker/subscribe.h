#ifndef WORKER_SUBSCRIBE_H
#define WORKER_SUBSCRIBE_H

#include "base/conf.h"
#include "fluid/api.h"
#include "store/state.h"

/* Subscribing an installation to the events that the configuration lists, with its own token. */

/* What became of a subscribing that failed. */
struct subscribe_failure {
	struct fluid_error e;
	bool is_news;    /* the record did not say so before */
	bool to_be_told; /* it is news, and nothing was told to the hooks within the last hour */
	char *errors;    /* as the record has them, or NULL; the caller frees it */
	char *shop;      /* of the record, or NULL; the caller frees it */
};

/**
 * Make the subscriptions that are missing at Fluid, and keep the webhooks' ids in the record. Each is made by
 * itself: one that fails does not keep the others from being made, and the record says which failed and why.
 * All get the installation's own subscription_auth_token, which is made and saved first.
 * Looks at what is there first, so doing it again makes none twice; for that, one process does it at a
 * time. wait: for the one that does it now; otherwise that is an error.
 * Returns 0 when all are there, or the installation is not active (any more); -1 with *f filled in.
 */
int subscribe_record(const struct conf *conf, struct fluid_api *t, struct state *s,
    const char *record, bool wait, struct subscribe_failure *f);

#endif
