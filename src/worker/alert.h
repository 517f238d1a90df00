#ifndef WORKER_ALERT_H
#define WORKER_ALERT_H

#include "base/buf.h"
#include "base/conf.h"
#include "store/entry.h"
#include "store/installation.h"
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

/**
 * The body of fluidhook.install_failed, which is the event of an install's own journal line once its record has failed:
 * added to `out`. i: that record, or NULL if there is none any more. Returns 0, or -1 with errno ENOMEM.
 */
int alert_install_failed(const struct entry *e, const struct installation *i, struct buf *out);

#endif
