#ifndef WORKER_SUBSCRIBE_H
#define WORKER_SUBSCRIBE_H

#include "base/conf.h"
#include "fluid/transport.h"
#include "store/state.h"

/* Subscribing an installation to the events that the configuration lists, with its own token. */

/**
 * Make the subscriptions that are missing at Fluid, and keep the webhooks' ids in the record. Looks at
 * what is there first, so doing it again makes none twice; for that, one process does it at a time. wait:
 * for the one that does it now; otherwise that is an error.
 * Returns 0 when all are there, or the installation is not active (any more); -1 with the error set,
 * FLUID_REFUSED where it makes no sense to try again.
 */
int subscribe_record(const struct conf *conf, struct transport *t, struct state *s,
    const char *record, bool wait, struct fluid_error *e);

#endif
