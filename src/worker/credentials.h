#ifndef WORKER_CREDENTIALS_H
#define WORKER_CREDENTIALS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "store/state.h"

/*
 * Getting installations what they wait for from Fluid: permanent credentials for an exchange token, the
 * confirmation of an unsigned install, and subscriptions. What waits is in queue/pending,
 * queue/unconfirmed and queue/subscribe, by the name of its record.
 */

struct credentials;

/**
 * conf and state outlive it; state is used under its lock, beside other threads. subscriptions: a
 * folder's descriptor. NULL after an error was logged.
 */
struct credentials *credentials_new(const struct conf *conf, struct state *state, int subscriptions);

void credentials_free(struct credentials *c);

/**
 * Do all that is due now (unix seconds): exchanges first, then confirmations, then subscriptions. Calls
 * take up to the configured timeout each. *next is when something is due again, 0 when nothing waits.
 * *stop is looked at between calls. Returns how many records are settled now that were not before.
 */
unsigned credentials_run(struct credentials *c, int64_t *next, const atomic_bool *stop);

#endif
