#ifndef WORKER_KEPT_H
#define WORKER_KEPT_H

#include <stdbool.h>

#include "base/conf.h"
#include "store/state.h"

/*
 * Requests that came before the key of their installation, and that the receiver has kept. They are
 * accepted once the key is there.
 */

struct kept;

/** state outlives it. NULL after an error was logged. */
struct kept *kept_new(struct state *state);

void kept_free(struct kept *k);

/**
 * Accept what can be accepted now. Costs two calls of stat(2) unless a record has changed, or a request was
 * kept, since the last time. A large number is dealt with in several calls.
 * Returns whether there is more to do at once. *accepted: how many were added to the journal.
 */
bool kept_run(struct kept *k, const struct conf *conf, unsigned *accepted);

#endif
