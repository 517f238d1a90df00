#ifndef TESTS_UNIT_FCGI_CLIENT_H
#define TESTS_UNIT_FCGI_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Requests as a web server sends them (FastCGI specification), and signed as Fluid signs them. */

enum { FCGI_CLIENT_PARAMS = 12 };

/* The parameters of a POST, signed now with this key. */
struct fcgi_params {
	const char *text[FCGI_CLIENT_PARAMS]; /* "NAME=value", ended by NULL */
	char length[40], timestamp[60], signature[120];
};

void fcgi_sign(struct fcgi_params *p, const char *key, const char *body, size_t len);

/** Append a whole request; keep: the web server keeps the connection. */
void fcgi_add_request(struct buf *out, const char *const *params, const void *body, size_t len,
    bool keep);

/** Connect to a unix socket. Returns a descriptor; a failure fails the test. */
int fcgi_connect(const char *path);

void fcgi_send(int fd, const void *data, size_t len);

/**
 * Read an answer to its end, with a minute's patience. Returns its status, 0 where the connection ended before; the
 * text stays until the next call.
 */
int fcgi_answer(int fd, const char **text);

#endif
