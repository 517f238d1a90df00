#ifndef CLI_LIB_COMPANY_WEBHOOKS_H
#define CLI_LIB_COMPANY_WEBHOOKS_H

#include "cli/lib/api_session.h"
#include "fluid/webhooks.h"

/**
 * All webhooks of the company itself, without those of installations, as each looks alone: with its auth_token, if
 * Fluid tells it. The caller ends *out with webhook_list_free(). Returns 0, or -1 with the session's error set.
 */
int company_webhooks(struct api_session *k, struct webhook_list *out);

/** Whether a webhook's auth_token is this secret. */
bool company_webhook_has(const struct webhook *w, const char *secret);

#endif
