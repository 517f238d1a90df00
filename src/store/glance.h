#ifndef STORE_GLANCE_H
#define STORE_GLANCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * Looks at files that each delivery depends on. In a thread that permits it, what was seen well counts for
 * GLANCE_MS, so that a busy receiver does not look again for every delivery. Only what was found in order
 * is noted. A judgement that ends in a refusal and relied on an earlier look has to be made afresh.
 */

enum { GLANCE_MS = 10 };

/* When something was last seen well. {0}: never. */
struct glance {
	atomic_int_fast64_t at;
};

/** Whether earlier looks count in this thread from now on. They do not until this is called. */
void glance_permit(bool recent);

/** Whether this thread has relied on an earlier look since it called glance_permit(). */
bool glance_relied(void);

/** The time, for the two functions below. To be asked for before the look. */
int64_t glance_now(void);

/** Whether the last look still counts. If not, the caller takes a look, and notes it if all is well. */
bool glance_is_recent(const struct glance *g, int64_t now);
void glance_note(struct glance *g, int64_t now);

/** This process has changed something: no look before now counts any more, in any thread. */
void glance_forget(void);

#endif
