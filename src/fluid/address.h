#ifndef FLUID_ADDRESS_H
#define FLUID_ADDRESS_H

#include <stdbool.h>

#include "fluid/error.h"

/* What may be called, and how an address is shown. */

enum { ADDRESS_ORIGIN_SIZE = 272 };

/**
 * Whether a URL may be called: https, or http to a loopback address (contract section 2); no user
 * name, no fragment. *loopback says whether the host is this machine.
 * Returns 0, or -1 with the error set.
 */
int address_check(const char *url, bool *loopback, struct fluid_error *e);

/**
 * Whether something is a path on the API's own host, with an optional query: it begins with a
 * single slash and has no scheme, host, fragment, backslash, dot segment, empty segment, blank or
 * control character.
 */
bool address_path_check(const char *path);

/**
 * Whether two addresses lead to the same place: scheme, host, port and path are the same. The case of
 * scheme and host, a default port, a trailing slash and the query do not count.
 */
bool address_is_same(const char *a, const char *b);

/** "https://api.fluid.app" of a URL, cut where it is too long; "?" where it is none. */
void address_origin(char out[ADDRESS_ORIGIN_SIZE], const char *url);

#endif
