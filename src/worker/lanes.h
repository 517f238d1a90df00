#ifndef WORKER_LANES_H
#define WORKER_LANES_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/handover.h"

/*
 * Whose turn it is (contract section 6). Each installation has a lane. The deliveries of a lane take turns in the order in
 * which they were added, one at a time, so that an installation never has more than one slot. Lanes take turns, too, so that one with
 * many deliveries does not delay the others. Retries are a second row of the lane: a delivery that waits does not delay
 * those behind it.
 */

enum lane_row { LANE_FRESH, LANE_RETRIES, N_LANE_ROWS };

struct lanes;

/** NULL: ENOMEM. */
struct lanes *lanes_new(void);

/** Calls drop() for all that are in a row. NULL is fine. */
void lanes_free(struct lanes *l, void (*drop)(struct handover *h));

/** Add one at the end of its owner's row. Returns 0, or -1 with errno ENOMEM. */
int lanes_add(struct lanes *l, const char *owner, enum lane_row row, struct handover *h);

/** How many are in rows. */
size_t lanes_count(const struct lanes *l);

/** How many of its owner's wait in the same row as this one, which may be in it. */
size_t lanes_behind(const struct handover *h, enum lane_row row);

/** Whether there is one of this row whose turn it is. */
bool lanes_is_ready(const struct lanes *l, enum lane_row row);

/** Take the one whose turn it is out of its row, or NULL. Its lane has no other turn before one of the next two calls. */
struct handover *lanes_take(struct lanes *l, enum lane_row row);

/** One that was taken is done. */
void lanes_end(struct lanes *l, struct handover *h);

/** One that was taken is to have the next turn of its lane, which rests until `until` (ms); 0: it does not rest. */
void lanes_put_back(struct lanes *l, struct handover *h, enum lane_row row, int64_t until);

/** Let lanes go on whose rest is over. now: ms. Returns when the next one's is, or 0. */
int64_t lanes_wake(struct lanes *l, int64_t now);

#endif
