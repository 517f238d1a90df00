#ifndef HTTP_HEADERS_H
#define HTTP_HEADERS_H

#include <curl/curl.h>

#include "http/error.h"
#include "http/request.h"

/* The headers of a request, as libcurl wants them. For src/http alone. */

/** Returns the list for http_headers_free(), or NULL with the error set. */
struct curl_slist *http_headers_new(const struct http_request *r, struct http_error *e);

/** Headers can hold credentials: they are wiped. NULL: nothing. */
void http_headers_free(struct curl_slist *headers);

#endif
