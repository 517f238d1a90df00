#ifndef WORKER_ALERT_H
#define WORKER_ALERT_H

#include "base/conf.h"
#include "store/state.h"

/*
 * Alerts: events of fluidhook's own (contract section 6), for the hooks that are named after them. They are
 * lines of the journal, so that they are retried and given up like deliveries.
 */

/**
 * Subscriptions of an installation were not made. shop: NULL where none is known. errors: which, and why.
 * Returns 0 when the hooks will be told, or -1 after an error was logged.
 */
int alert_subscription_failed(const struct conf *conf, struct state *s, const char *installation,
    const char *shop, const char *errors);

#endif
