#ifndef WORKER_PROVISION_H
#define WORKER_PROVISION_H

#include <stdint.h>

#include "base/conf.h"
#include "store/state.h"

/*
 * Getting installations what they wait for from Fluid: permanent credentials for an exchange token, the
 * confirmation of an unsigned install, and subscriptions. What waits has a marker in queue/pending,
 * queue/unconfirmed or queue/subscribe. All that is called with the first comes first, always.
 */

struct provision;

/**
 * conf and state outlive it; state is used under its lock, beside other threads. NULL after an error
 * was logged.
 */
struct provision *provision_new(const struct conf *conf, struct state *state);

/** Ends the thread as well, once the call it is in has ended. */
void provision_free(struct provision *c);

/**
 * Do all of it in a thread from now on, so that nothing else can make an exchange late. Signals are to
 * be blocked. Returns 0, or -1 with errno set.
 */
int provision_start(struct provision *c);

/**
 * Without a thread: do all that is due now. Calls take up to the configured timeout each; SIGTERM
 * and SIGINT, which are to be blocked, end it before the next one. Returns how many records have got what they waited for, or never will.
 */
unsigned provision_run(struct provision *c);

/** An eventfd, readable when there are such records. */
int provision_resolved(const struct provision *c);

/**
 * This record is active, and wants the subscriptions of the configuration, if it has any. Returns 0, or
 * -1 after an error was logged: ask again.
 */
int provision_want(const struct provision *c, const char *record);

#endif
