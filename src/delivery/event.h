#ifndef DELIVERY_EVENT_H
#define DELIVERY_EVENT_H

#include <stdbool.h>
#include <stddef.h>

/* Event names as fluidhook writes them: resource.event, such as order.created. */

enum { EVENT_MAX_LEN = 128, EVENT_SIZE = EVENT_MAX_LEN + 1 };

/**
 * Join Fluid's `resource` and `event`. Known events and reserved ones become lower case ("Droplet" and
 * "installed" are droplet.installed). Returns 0, or -1 when these cannot be names.
 */
int event_join(char out[EVENT_SIZE], const char *resource, size_t resource_len, const char *event,
    size_t event_len);

/**
 * Read a name such as droplet_installed, order_external_id_synced or order.created. Underscores stand
 * on both sides, so known pairs decide, else the first one. Returns 0, or -1 when it is no event's name.
 */
int event_split(char out[EVENT_SIZE], const char *name, size_t len);

/** Whether the event is of the resource "fluidhook": only fluidhook itself makes these. */
bool event_is_reserved(const char *event);

/** The known events, "resource.event", one after the other; NULL behind the last. */
const char *event_known(size_t n);

#endif
