#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H

#include <stdbool.h>

#include "base/conf.h"
#include "store/state.h"

/**
 * The queue worker (contract sections 5 and 6): follows the journal, gets installations their
 * credentials, and runs hooks. Returns after SIGTERM or SIGINT (the hook that runs gets its time), or
 * with `once` when nothing is left that can be done now. conf_file: absolute, for the hooks.
 * Returns 0, also with `once` where another worker runs; or -1 after an error was logged: also with `once`
 * where the journal, a delivery or the hooks directory could not be read, or no hook could be started.
 */
int work(const struct conf *conf, const char *conf_file, struct state *state, bool once);

#endif
