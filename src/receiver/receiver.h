#ifndef RECEIVER_RECEIVER_H
#define RECEIVER_RECEIVER_H

#include "base/conf.h"
#include "delivery/authenticate.h"
#include "store/journal.h"
#include "store/records.h"
#include "store/state.h"

/* What requests are handled with: a configuration and all that was opened for it. */

/* The state directory, opened. One that went away is replaced by the next request. */
struct store {
	struct state *state;
	struct records *records;
	struct journal *journal;
	unsigned users;
};

struct receiver;

/** Takes the configuration over. NULL: ENOMEM. */
struct receiver *receiver_new(struct conf *conf);

/** One holder more, and one less: the last one ends it. */
struct receiver *receiver_hold(struct receiver *r);
void receiver_release(struct receiver *r);

const struct conf *receiver_conf(const struct receiver *r);
struct secrets *receiver_secrets(struct receiver *r);

/** The state directory. To be given back. NULL with errno set where it cannot be opened, which is logged. */
struct store *receiver_store(struct receiver *r);
void receiver_store_release(struct receiver *r, struct store *s);

/** This store does not work any more: open the directory again for the next request. */
void receiver_store_lost(struct receiver *r, struct store *s);

#endif
