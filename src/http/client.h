#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "http/authorities.h"
#include "http/error.h"
#include "http/request.h"
#include "http/response.h"

/* Requests one after the other, each waiting for its answer. A client is for one thread at a time. */

struct http_client;

/**
 * ca_file: whom to trust, as http_authorities_read(); read here. Returns it for http_client_free(), or NULL with
 * the error set.
 */
struct http_client *http_client_new(const char *ca_file, struct http_error *e);

/** Another one that trusts the same, for another thread. `c` outlives it. NULL: no memory. */
struct http_client *http_client_another(const struct http_client *c);

void http_client_free(struct http_client *c);

/**
 * Make a request. *r: empty, or used before; the caller ends it with http_response_free().
 * Returns 0 for any whole answer, whatever its status; else -1 with the error set, and *r holds what was answered,
 * perhaps nothing.
 */
int http_client_send(struct http_client *c, const struct http_request *q, struct http_response *r,
    struct http_error *e);

/** Nothing is called for a while: close the connections and give back the memory that they and their certificates use. */
void http_client_rest(struct http_client *c);

#endif
