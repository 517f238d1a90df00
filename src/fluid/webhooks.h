#ifndef FLUID_WEBHOOKS_H
#define FLUID_WEBHOOKS_H

#include <stdbool.h>
#include <stddef.h>

#include "fluid/error.h"
#include "fluid/token.h"
#include "fluid/api.h"
#include "fluid/webhook.h"
#include "fluid/webhook_events.h"

/*
 * The webhooks that Fluid knows for a company. The configured addresses are tried in order: the
 * next one only after 404, 405 or 410, never after a call that may have changed something.
 */

/* What to create or to change. NULL: not said. */
struct webhook_values {
	const char *resource; /* of an update: where all the others are given too */
	const char *event;
	const char *url;
	const char *http_method; /* "post", "put" or "get" */
	const char *auth_token;
	const bool *active;
};

/** All webhooks of the company, not only ours: every page. Returns 0, or -1 with the error set. */
int webhooks_list(struct fluid_api *api, const struct fluid_token *token, struct webhook_list *out,
    struct fluid_error *e);

int webhooks_show(struct fluid_api *api, const struct fluid_token *token, const char *id,
    struct webhook *out, struct fluid_error *e);

/**
 * Create a webhook. resource, event and url are needed; active is true and http_method "post" where
 * they are not said. Returns 0, or -1 with the error set; FLUID_NO_ANSWER means that it may exist
 * now.
 */
int webhooks_create(struct fluid_api *api, const struct fluid_token *token,
    const struct webhook_values *v, struct webhook *out, struct fluid_error *e);

/** Change what `v` says of url, active, http_method and auth_token. Returns 0, or -1. */
int webhooks_update(struct fluid_api *api, const struct fluid_token *token, const char *id,
    const struct webhook_values *v, struct webhook *out, struct fluid_error *e);

int webhooks_delete(struct fluid_api *api, const struct fluid_token *token, const char *id,
    struct fluid_error *e);

/** What can be subscribed to. Returns 0, or -1 with the error set. */
int webhooks_events(struct fluid_api *api, const struct fluid_token *token,
    struct webhook_events *out, struct fluid_error *e);

#endif
