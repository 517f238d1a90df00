#ifndef FLUID_API_H
#define FLUID_API_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/conf.h"
#include "fluid/error.h"
#include "fluid/token.h"
#include "http/response.h"

/* HTTP calls to Fluid. Every one of them is made here. For one thread at a time. */

/* Answers larger than this are an error, in bytes. */
enum { FLUID_ANSWER_MAX = 4 << 20 };

struct fluid_api;

struct fluid_request {
	const char *method;              /* GET, HEAD, POST, PUT, PATCH or DELETE */
	const char *url;                 /* whole; https, or http to a loopback address */
	const struct fluid_token *token; /* NULL: no Authorization */
	const char *body;                /* JSON; NULL for none */
	size_t body_len;
	const char *secret; /* a credential inside the body, or NULL */
	bool once;          /* no second try, whatever happens */
};

/**
 * Ready to call: reads ca_file. `c` is only used during this call.
 * Returns it (the caller ends it with fluid_api_free()), or NULL with the error set.
 */
struct fluid_api *fluid_api_new(const struct conf *c, struct fluid_error *e);

/**
 * Another one for the same addresses and with the same certificates, for another thread. `api` outlives it.
 * The caller ends it with fluid_api_free(). NULL: ENOMEM.
 */
struct fluid_api *fluid_api_another(const struct fluid_api *api);

void fluid_api_free(struct fluid_api *api);

/**
 * Nothing is to be called for a while: close what connections are left, and give back the memory that
 * they and their certificates took.
 */
void fluid_api_rest(struct fluid_api *api);

/** The address that API paths are added to, without a trailing slash. Owned by api. */
const char *fluid_api_address(const struct fluid_api *api);

/** The addresses for managing webhooks, in the order they are tried. Owned by api. */
char *const *fluid_api_webhooks(const struct fluid_api *api, size_t *n);

/**
 * Make a call. Redirects are not followed. GET and HEAD are tried up to three times when the
 * network or Fluid fails in a way that can pass; everything else only when nothing at all was sent.
 *
 * *a is {0} or was used before; the caller ends it with http_response_free().
 * Returns 0 when the answer is 2xx and here as a whole; else -1 with the error set. *a holds what was
 * answered in both cases, perhaps nothing.
 */
int fluid_api_call(struct fluid_api *api, const struct fluid_request *r, struct http_response *a,
    struct fluid_error *e);

/**
 * A call to a path of the API, as `fluidhook api` makes it: any method of the table, any path that
 * url_is_path() lets pass. As fluid_api_call() otherwise.
 */
int fluid_api_call_path(struct fluid_api *api, const char *method, const char *path,
    const struct fluid_token *token, const char *body, size_t body_len, struct http_response *a,
    struct fluid_error *e);

#endif
