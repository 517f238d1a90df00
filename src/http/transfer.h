#ifndef HTTP_TRANSFER_H
#define HTTP_TRANSFER_H

#include <curl/curl.h>
#include <stdbool.h>

#include "http/authorities.h"
#include "http/error.h"
#include "http/request.h"
#include "http/response.h"

/* One request on one handle of libcurl. For src/http alone. */

struct http_transfer {
	CURL *curl;
	struct http_response *response;
	struct curl_slist *headers;
	uint32_t timeout_ms, connect_ms;
	size_t answer_max;
	bool system_authorities;
	bool too_large;      /* the answer's body is */
	bool head_too_large; /* the answer's headers are */
	char text[CURL_ERROR_SIZE];
};

/**
 * Set a handle up for a request. The handle, the authorities, the response (an empty one) and the request's body
 * have to stay until http_transfer_end(). Returns 0, or -1 with the error set; http_transfer_end() is then not to be
 * called.
 */
int http_transfer_begin(struct http_transfer *t, CURL *curl, const struct http_request *r,
    const struct http_authorities *a, struct http_response *response, struct http_error *e);

/**
 * Fill in the response and leave nothing of the request in the handle. code: what libcurl said. Returns 0 if the answer
 * is whole, or -1 with the error set.
 */
int http_transfer_end(struct http_transfer *t, CURLcode code, struct http_error *e);

#endif
