#ifndef FLUID_WEBHOOK_EVENTS_H
#define FLUID_WEBHOOK_EVENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "fluid/json_tree.h"

/* What can be subscribed to. */

struct webhook_event {
	char *name; /* "order.created" */
	bool deprecated;
};

/* In Fluid's order. Owned by the struct. */
struct webhook_events {
	struct webhook_event *items;
	size_t n;
};

/**
 * Read them out of an answer: "resources" has an array or an object of events for each resource.
 * Returns 0, or -1 with errno set: EBADMSG where there are no "resources", ENOMEM.
 */
int webhook_events_read(struct webhook_events *l, const struct json_node *root);

void webhook_events_free(struct webhook_events *l);

#endif
