#include "base/url.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/number.h"

enum { PATH_MAX_LEN = 2048, PORT_HTTP = 80, PORT_HTTPS = 443, PORT_MAX = 65535 };

bool
url_host_is_loopback(const char *host)
{
	char inner[INET6_ADDRSTRLEN];
	struct in6_addr v6;
	struct in_addr v4;
	size_t len = strlen(host);

	if (strcasecmp(host, "localhost") == 0)
		return (true);
	if (*host == '[' && len > 2 && len - 2 < sizeof(inner)) {
		snprintf(inner, sizeof(inner), "%.*s", (int)(len - 2), host + 1);
		return (inet_pton(AF_INET6, inner, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6));
	}
	return (inet_pton(AF_INET, host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127);
}

/* A name of letters, digits, "-", "_" and single dots, or an address: IPv6 in brackets. */
static bool
is_host(const char *host)
{
	char inner[INET6_ADDRSTRLEN];
	struct in6_addr v6;
	size_t len = strlen(host);

	if (*host == '[') {
		if (host[len - 1] != ']' || len - 2 >= sizeof(inner))
			return (false);
		snprintf(inner, sizeof(inner), "%.*s", (int)(len - 2), host + 1);
		return (inet_pton(AF_INET6, inner, &v6) == 1);
	}
	if (*host == '\0' || *host == '.' || strstr(host, ".."))
		return (false);
	for (; *host; host++)
		if (!isalnum((unsigned char)*host) && strchr("-._", *host) == NULL)
			return (false);
	return (true);
}

/* "host" or "host:port", len bytes. Returns whether it is well-formed. */
static bool
parse_authority(struct url *u, const char *text, size_t len)
{
	size_t host = *text == '[' ? strcspn(text, "]") + 1 : strcspn(text, ":");
	uint64_t port;

	if (host > len)
		host = len;
	if (host == 0 || host >= sizeof(u->host))
		return (false);
	for (size_t i = 0; i < host; i++)
		u->host[i] = (char)tolower((unsigned char)text[i]);
	u->host[host] = '\0';
	if (!is_host(u->host))
		return (false);
	u->port = u->https ? PORT_HTTPS : PORT_HTTP;
	if (host == len)
		return (true);
	if (text[host] != ':' ||
	    number_parse_len(text + host + 1, len - host - 1, 1, PORT_MAX, &port))
		return (false);
	u->port = (unsigned)port;
	return (true);
}

/* is_shown: the address is only shown, so that a user name is left out instead of refused. */
static enum url_problem
parse(struct url *u, const char *text, bool is_shown)
{
	struct url read = { .https = strncasecmp(text, "https://", 8) == 0 };
	const char *authority = text + (read.https ? 8 : 7), *at;
	size_t len;

	if (!read.https && strncasecmp(text, "http://", 7) != 0)
		return (URL_MALFORMED);
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p >= 0x7f || *p == '\\' || *p == '#')
			return (URL_MALFORMED);
	len = strcspn(authority, "/?");
	if ((at = memrchr(authority, '@', len)) != NULL) {
		if (!is_shown)
			return (URL_USER);
		len -= (size_t)(at + 1 - authority);
		authority = at + 1;
	}
	if (!parse_authority(&read, authority, len))
		return (URL_MALFORMED);
	read.path = authority + len;
	read.loopback = url_host_is_loopback(read.host);
	*u = read;
	return (URL_OK);
}

enum url_problem
url_parse(struct url *u, const char *text)
{
	return (parse(u, text, false));
}

enum url_problem
url_check(struct url *u, const char *text)
{
	enum url_problem problem = url_parse(u, text);

	if (problem)
		return (problem);
	return (u->https || u->loopback ? URL_OK : URL_INSECURE);
}

const char *
url_problem_text(enum url_problem problem)
{
	switch (problem) {
	case URL_USER:
		return ("an address must not have a user name in it");
	case URL_INSECURE:
		return ("must be https (http only to a loopback address)");
	case URL_MALFORMED:
		return ("not an address");
	case URL_OK:
		break;
	}
	return ("");
}

/* How long the path is without its query and its trailing slash. */
static size_t
path_len(const struct url *u)
{
	size_t len = strcspn(u->path, "?");

	return (len && u->path[len - 1] == '/' ? len - 1 : len);
}

bool
url_is_same(const char *a, const char *b)
{
	struct url of_a, of_b;

	return (url_parse(&of_a, a) == URL_OK && url_parse(&of_b, b) == URL_OK &&
	    of_a.https == of_b.https && of_a.port == of_b.port &&
	    strcmp(of_a.host, of_b.host) == 0 && path_len(&of_a) == path_len(&of_b) &&
	    memcmp(of_a.path, of_b.path, path_len(&of_a)) == 0);
}

void
url_origin(char out[URL_ORIGIN_SIZE], const char *text)
{
	struct url u;

	if (parse(&u, text, true))
		snprintf(out, URL_ORIGIN_SIZE, "?");
	else if (u.port == (u.https ? PORT_HTTPS : PORT_HTTP))
		snprintf(out, URL_ORIGIN_SIZE, "%s://%s", u.https ? "https" : "http", u.host);
	else
		snprintf(out, URL_ORIGIN_SIZE, "%s://%s:%u", u.https ? "https" : "http", u.host,
		    u.port);
}

/* "", "." and ".." between slashes; only the last segment may be empty. */
static bool
is_bad_segment(const char *segment, size_t len, bool last)
{
	if (len == 0)
		return (!last);
	return ((len == 1 && segment[0] == '.') || (len == 2 && memcmp(segment, "..", 2) == 0));
}

static bool
has_path_characters(const char *path, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = path[i];

		if (!isalnum((unsigned char)c) && strchr("/-._~%?=&:@!$'()*+,;[]", c) == NULL)
			return (false);
		if (c == '%' &&
		    (!isxdigit((unsigned char)path[i + 1]) ||
			!isxdigit((unsigned char)path[i + 2])))
			return (false);
	}
	return (true);
}

bool
url_is_path(const char *path)
{
	const char *segment;
	size_t len = strlen(path), end;

	if (len > PATH_MAX_LEN || path[0] != '/' || !has_path_characters(path, len))
		return (false);
	end = strcspn(path, "?");
	for (segment = path + 1;; segment += len + 1) {
		bool last;

		len = strcspn(segment, "/?");
		last = segment + len >= path + end;
		if (is_bad_segment(segment, len, last))
			return (false);
		if (last)
			return (true);
	}
}
