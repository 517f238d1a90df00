#ifndef WORKER_SUBSCRIBE_H
#define WORKER_SUBSCRIBE_H

#include "base/conf.h"
#include "fluid/transport.h"
#include "store/state.h"

/* Subscribing an installation to the events that the configuration lists, with its own token. */

/**
 * Note that this installation wants its subscriptions, where the configuration has any. markers: the
 * folder queue/subscribe. Trouble is logged.
 */
void subscribe_want(const struct conf *conf, int markers, const char *record);

/**
 * Make the subscriptions that are missing at Fluid, and keep the webhooks' ids in the record. Looks at
 * what is there first, so doing it again makes none twice.
 * Returns 0 when all are there, or none is wanted any more; -1 to try later (logged); 1 when Fluid
 * refuses, so that it makes no sense to try again (logged).
 */
int subscribe_record(const struct conf *conf, struct transport *t, struct state *s, const char *record);

#endif
