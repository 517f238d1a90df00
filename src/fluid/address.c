#include "fluid/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { PATH_MAX_LEN = 2048 };

/* Whether a URL has this part at all. */
static bool
has_part(CURLU *u, CURLUPart part)
{
	char *text = NULL;
	bool has = curl_url_get(u, part, &text, 0) == CURLUE_OK;

	curl_free(text);
	return (has);
}

static bool
is_loopback(const char *host)
{
	struct in_addr v4;

	if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return (true);
	return (inet_pton(AF_INET, host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127);
}

int
address_check(const char *url, bool *loopback, struct fluid_error *e)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL;
	const char *colon;
	int result = -1;

	if (u == NULL) {
		fluid_error_errno(e, "address");
		return (-1);
	}
	/* curl would take bytes that others refuse: what is not plain never gets that far. */
	for (const char *p = url; *p; p++) {
		if (*p <= ' ' || *p == 0x7f || *p == '\\' || *p == '#') {
			fluid_error_set(e, FLUID_LOCAL, "%s: not an address", url);
			goto out;
		}
	}
	/* Nor does curl mind one slash or three. */
	if ((colon = strstr(url, "://")) == NULL || colon[3] == '/' ||
	    curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK || *host == '\0' ||
	    colon != url + strlen(scheme)) {
		fluid_error_set(e, FLUID_LOCAL, "%s: not an address", url);
		goto out;
	}
	/* The URL is not shown: it would show the password as well. */
	if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD)) {
		fluid_error_set(e, FLUID_LOCAL, "%s: an address must not have a user name in it",
		    host);
		goto out;
	}
	*loopback = is_loopback(host);
	if (strcmp(scheme, "https") != 0 && !(strcmp(scheme, "http") == 0 && *loopback)) {
		fluid_error_set(e, FLUID_LOCAL,
		    "%s: must be https (http only to a loopback address)", url);
		goto out;
	}
	result = 0;
out:
	curl_free(host);
	curl_free(scheme);
	curl_url_cleanup(u);
	return (result);
}

static void
set_parts(CURLU *u, const char *url, char *parts[4])
{
	static const CURLUPart wanted[4] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT,
		CURLUPART_PATH };

	if (u == NULL || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK)
		return;
	for (size_t i = 0; i < 4; i++)
		curl_url_get(u, wanted[i], &parts[i], CURLU_DEFAULT_PORT);
}

static size_t
length_without_slash(const char *path)
{
	size_t len = strlen(path);

	return (len && path[len - 1] == '/' ? len - 1 : len);
}

bool
address_is_same(const char *a, const char *b)
{
	CURLU *u[2] = { curl_url(), curl_url() };
	char *of_a[4] = { NULL }, *of_b[4] = { NULL };
	bool same = true;

	set_parts(u[0], a, of_a);
	set_parts(u[1], b, of_b);
	for (size_t i = 0; i < 4; i++)
		same = same && of_a[i] && of_b[i];
	for (size_t i = 0; same && i < 3; i++)
		same = strcasecmp(of_a[i], of_b[i]) == 0;
	same = same && length_without_slash(of_a[3]) == length_without_slash(of_b[3]) &&
	    strncmp(of_a[3], of_b[3], length_without_slash(of_a[3])) == 0;
	for (size_t i = 0; i < 4; i++) {
		curl_free(of_a[i]);
		curl_free(of_b[i]);
	}
	curl_url_cleanup(u[0]);
	curl_url_cleanup(u[1]);
	return (same);
}

/* "", "." and ".." between slashes; only the last segment may be empty. */
static bool
is_bad_segment(const char *segment, size_t len, bool last)
{
	if (len == 0)
		return (!last);
	return ((len == 1 && segment[0] == '.') || (len == 2 && memcmp(segment, "..", 2) == 0));
}

bool
address_path_check(const char *path)
{
	const char *segment;
	size_t len = strlen(path), end;

	if (len > PATH_MAX_LEN || path[0] != '/')
		return (false);
	for (size_t i = 0; i < len; i++) {
		char c = path[i];

		if (!isalnum((unsigned char)c) && strchr("/-._~%?=&:@!$'()*+,;[]", c) == NULL)
			return (false);
		if (c == '%' &&
		    (!isxdigit((unsigned char)path[i + 1]) ||
			!isxdigit((unsigned char)path[i + 2])))
			return (false);
	}
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

void
address_origin(char out[ADDRESS_ORIGIN_SIZE], const char *url)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL, *port = NULL;

	if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK) {
		curl_url_get(u, CURLUPART_PORT, &port, 0);
		snprintf(out, ADDRESS_ORIGIN_SIZE, "%s://%s%s%s", scheme, host, port ? ":" : "",
		    port ? port : "");
	} else {
		snprintf(out, ADDRESS_ORIGIN_SIZE, "?");
	}
	curl_free(port);
	curl_free(host);
	curl_free(scheme);
	curl_url_cleanup(u);
}
