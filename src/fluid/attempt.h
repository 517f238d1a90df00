#ifndef FLUID_ATTEMPT_H
#define FLUID_ATTEMPT_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/url.h"
#include "fluid/error.h"
#include "fluid/api.h"

/* One try of a call. For api.c alone. */

struct fluid_api {
	CURL *curl;
	bool is_another; /* all but curl is owned by the one that it was made of */
	char *api;
	char **webhooks;
	size_t n_webhooks;
	char *ca_file;
	struct buf ca; /* what is in ca_file */
	long timeout_ms;
};

/* What the callbacks of curl need, and what is learnt from a try. */
struct attempt {
	struct fluid_answer *answer;
	bool too_large;
	bool final; /* another try would fail the same way, or take too long */
	char error[CURL_ERROR_SIZE];
	char origin[URL_ORIGIN_SIZE];
};

/**
 * Make one try of the call. at: {0} with `answer` set, which must be empty.
 * Returns and sets the error as fluid_api_call().
 */
int attempt_make(struct fluid_api *t, const struct fluid_request *r, struct attempt *at,
    bool loopback, struct fluid_error *e);

/** Whether a method only reads, so that making the call twice does no harm. */
bool attempt_is_safe(const char *method);

#endif
