#ifndef BASE_URL_H
#define BASE_URL_H

#include <stdbool.h>

/*
 * The one grammar of addresses: http or https, a host, perhaps a port, a path and a query (RFC 3986), in
 * printable ASCII. It is stricter than libcurl's: what two programs could read differently is refused.
 * No user name, no fragment, no backslash, no %-escape in the host, no zone of IPv6.
 */

enum { URL_HOST_SIZE = 256, URL_ORIGIN_SIZE = URL_HOST_SIZE + 16 };

struct url {
	bool https;
	bool loopback;            /* the host is this machine: localhost, 127.0.0.0/8, [::1] */
	char host[URL_HOST_SIZE]; /* in lower case; IPv6 stays in its brackets */
	unsigned port;            /* 443 or 80 where none is given */
	const char *path;         /* from the first "/" or "?" on, or ""; points into the text */
};

enum url_problem {
	URL_OK,
	URL_MALFORMED, /* not such an address */
	URL_USER, /* with a user name: it could hold a password, so the address must not be shown */
	URL_INSECURE, /* url_check(): http to another machine */
};

/** Read an address. u is set only where URL_OK is returned. The text must outlive u. */
enum url_problem url_parse(struct url *u, const char *text);

/** url_parse(), then whether it may be called: https, or http to a loopback address (contract section 2). */
enum url_problem url_check(struct url *u, const char *text);

/** What is wrong, as the end of a message: "not an address". */
const char *url_problem_text(enum url_problem problem);

/** Whether a host is this machine. As in struct url. */
bool url_host_is_loopback(const char *host);

/**
 * Whether two addresses lead to the same place: scheme, host, port and path are the same. The case of
 * scheme and host, a default port, a trailing slash and the query do not count.
 */
bool url_is_same(const char *a, const char *b);

/**
 * What may be shown of an address: "https://api.fluid.app", "http://[::1]:8080"; without a default port, a
 * user name, path and query. "?" where it is none.
 */
void url_origin(char out[URL_ORIGIN_SIZE], const char *text);

/**
 * Whether something is a path on a given host, with an optional query: it begins with a single slash and
 * has no scheme, host, fragment, backslash, dot segment, empty segment, blank or control character, and
 * at most 2048 bytes.
 */
bool url_is_path(const char *path);

#endif
