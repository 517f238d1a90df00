#include "http/response.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The value in a line "Name: value\r\n" of `len` bytes, without blanks around it; NULL: another header. */
static const char *
value_of(const char *line, size_t *len, const char *name)
{
	size_t n = strlen(name), end = *len;

	if (end <= n || line[n] != ':' || strncasecmp(line, name, n) != 0)
		return (NULL);
	for (n++; n < end && (line[n] == ' ' || line[n] == '\t'); n++)
		;
	while (end > n && strchr(" \t\r\n", line[end - 1]))
		end--;
	*len = end - n;
	return (line + n);
}

bool
http_response_header(const struct http_response *r, const char *name, char *out, size_t size)
{
	const char *line = r->head.data, *end = line ? line + r->head.len : NULL, *value;
	bool found = false;

	while (line && line < end) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));
		size_t len = (size_t)((newline ? newline + 1 : end) - line), value_len = len;

		if ((value = value_of(line, &value_len, name)) != NULL) {
			snprintf(out, size, "%.*s", (int)value_len, value);
			found = true;
		}
		line += len;
	}
	return (found);
}

int64_t
http_response_date(const struct http_response *r)
{
	char date[64];

	return (
	    http_response_header(r, "Date", date, sizeof(date)) ? curl_getdate(date, NULL) : -1);
}

void
http_response_free(struct http_response *r)
{
	buf_wipe(&r->head);
	buf_wipe(&r->body);
	free(r->redirect);
	*r = (struct http_response){ 0 };
}
