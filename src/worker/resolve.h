#ifndef WORKER_RESOLVE_H
#define WORKER_RESOLVE_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/conf.h"
#include "fluid/api.h"
#include "store/reserve.h"
#include "store/state.h"

/* Getting one installation what it waits for from Fluid: its credentials, or its confirmation. */

/* Several threads settle at once, each with its own API handle and reserve, and never the same record. */
struct resolving {
	struct state *state; /* used under its lock, beside other threads */
	struct fluid_api *api;
	int became_active;       /* directory of markers for the records that may have */
	int reserves;            /* directory for the space set aside before an exchange */
	struct reserve *reserve; /* {.fd = -1} between records */
	int answers;             /* directory for what Fluid answers (worker/answer.h) */
	struct reserve *answer;  /* the same for that */
	const atomic_bool *stop;
};

enum resolved {
	RESOLVED,        /* it has got what it waited for, or never will */
	RESOLVE_LATER,   /* to be tried again */
	RESOLVE_ON,      /* one step is done, and the next can be done at once */
	RESOLVE_NOTHING, /* it waits for nothing (any more) */
};

/**
 * Do what this record waits for, if it does. markers: the directory in which it was found, which it leaves
 * once it waits for nothing. *deadline: unix seconds after which trying again is of no use, 0 for none.
 */
enum resolved resolve_record(const struct resolving *s, int markers, const char *record,
    int64_t *deadline);

/**
 * Take over the answer to an exchange that a worker has left behind which was killed, by the same rules as one that has
 * just arrived. RESOLVE_NOTHING: there is none. RESOLVE_LATER: there may be one, and Fluid is not to be asked meanwhile.
 */
enum resolved resolve_adopt(const struct resolving *s, const char *record);

/**
 * See to a record that became active: it is in the indexes, and older installations are superseded.
 * Returns 1 when it is active, 0 when it is not (any more) and needs nothing, or -1 to try again later.
 */
int resolve_active(const struct resolving *s, const char *record);

#endif
