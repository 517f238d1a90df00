#ifndef HTTP_MULTI_H
#define HTTP_MULTI_H

#include <stdbool.h>
#include <stddef.h>

#include "http/authorities.h"
#include "http/error.h"
#include "http/request.h"
#include "http/response.h"

/*
 * Many requests at once in one thread, for a program with a loop around poll(2). The loop waits for http_multi_fd()
 * beside its own descriptors. When that is readable, it calls http_multi_run(), then http_multi_next() until that
 * returns false. Time-outs make the descriptor readable, too. Connections are kept for the next request.
 *
 * libcurl resolves names in threads of its own. They inherit the signal mask of http_multi_run(): the loop should
 * have the signals blocked that it handles, as with ppoll(2).
 */

struct http_multi;

/** The end of a request. */
struct http_result {
	void *user;                    /* what http_multi_start() got */
	struct http_response response; /* the caller's now, for http_response_free() */
	struct http_error error; /* failure HTTP_OK: the answer is whole, whatever its status */
};

/** ca_file: as http_client_new(). Returns it for http_multi_free(), or NULL with the error set. */
struct http_multi *http_multi_new(const char *ca_file, struct http_error *e);

/** End everything. What still runs is given up, and nothing is said about it. */
void http_multi_free(struct http_multi *m);

/** The descriptor to wait for, POLLIN. The same one as long as `m` lives. */
int http_multi_fd(const struct http_multi *m);

/**
 * Begin a request. Its body has to stay until http_multi_next() returns `user`, or http_multi_cancel(); all else is
 * copied. The first bytes are sent by http_multi_run().
 * Returns 0, or -1 with the error set: nothing was begun.
 */
int http_multi_start(struct http_multi *m, const struct http_request *r, void *user,
    struct http_error *e);

/** Send and receive what can be sent and received now. Does not wait. */
void http_multi_run(struct http_multi *m);

/** Get a request that has ended. Returns false if there is none. */
bool http_multi_next(struct http_multi *m, struct http_result *out);

/** Give a request up: http_multi_next() will not return it. Returns whether there was one with this `user`. */
bool http_multi_cancel(struct http_multi *m, const void *user);

/** How many run, or have ended and were not got by http_multi_next(). */
size_t http_multi_count(const struct http_multi *m);

#endif
