#ifndef FLUID_WEBHOOK_H
#define FLUID_WEBHOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"
#include "fluid/json_tree.h"

/* One webhook as Fluid describes it. */

/* Strings are owned by the struct, and NULL where Fluid said null or nothing. */
struct webhook {
	char *id; /* decimal digits */
	char *company_id;
	char *droplet_installation_uuid;
	char *url;
	bool active;
	char *resource;
	char *event;
	char *event_identifier;
	char *http_method;
	char *auth_token; /* a secret; not said in lists */
	char *created_at;
	char *updated_at;
};

struct webhook_list {
	struct webhook *items;
	size_t n;
};

/** Read one out of an answer. Returns 0, or -1 with errno set: EBADMSG where it is none, ENOMEM. */
int webhook_read(struct webhook *w, const struct json_node *node);

/** As one JSON object; of the auth_token only that there is one. */
void webhook_write(const struct webhook *w, struct json_writer *json);

/** Whether a text is the id of a webhook: a decimal number. NULL is none. */
bool webhook_is_id(const char *s);

void webhook_free(struct webhook *w);
void webhook_list_free(struct webhook_list *l);

#endif
