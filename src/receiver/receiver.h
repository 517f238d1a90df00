#ifndef RECEIVER_RECEIVER_H
#define RECEIVER_RECEIVER_H

#include "base/conf.h"
#include "delivery/authenticate.h"
#include "store/store.h"

/* What requests are handled with: a configuration and all that was opened for it. */

struct receiver;

/** Takes the configuration over. NULL: ENOMEM. */
struct receiver *receiver_new(struct conf *conf);

/** One holder more, and one less: the last one ends it. */
struct receiver *receiver_hold(struct receiver *r);
void receiver_release(struct receiver *r);

const struct conf *receiver_conf(const struct receiver *r);
struct secrets *receiver_secrets(struct receiver *r);

/** The state directory. To be released with store_release(). NULL with errno set where it cannot be opened, which is logged. */
struct store *receiver_store(struct receiver *r);

/** This store does not work any more: open the directory again for the next request. */
void receiver_store_lost(struct receiver *r, struct store *s);

/**
 * See to the state directory: note in it that this process serves the socket `listener`
 * (store/receivers.h). Compare its indexes with its records (store/reindex.h), if that was not done
 * since it was opened, or if an index is no longer marked as complete. One thread calls this, again and
 * again. stop(): whether to leave the rest for later.
 */
void receiver_tend(struct receiver *r, int listener, bool (*stop)(void *user), void *user);

/** The same for a process that handles one request: only if an index is not marked as complete. */
void receiver_tend_once(struct receiver *r);

#endif
