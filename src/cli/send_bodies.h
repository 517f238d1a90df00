#ifndef CLI_SEND_BODIES_H
#define CLI_SEND_BODIES_H

#include <stdbool.h>

#include "base/buf.h"

/* Bodies as Fluid sends them, for trying a receiver out. */

struct send_body {
	const char *event;        /* "droplet.installed" */
	bool v2;                  /* an exchange token in place of permanent tokens */
	const char *shop;         /* fluid_shop */
	const char *droplet_uuid; /* NULL for a fresh one */
};

/** Whether there is a body for an event. */
bool send_event_is_known(const char *event);

/** Whether an event is a droplet's installation or uninstallation: those carry no token headers. */
bool send_event_is_lifecycle(const char *event);

/**
 * Append a body with fresh ids and tokens to `out`. The event is known.
 * Returns 0, or -1 when out of memory.
 */
int send_body(struct buf *out, const struct send_body *b);

#endif
