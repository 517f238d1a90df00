#include "http/headers.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

static int
append_line(struct curl_slist **headers, const char *line)
{
	struct curl_slist *more = curl_slist_append(*headers, line);

	if (more == NULL)
		return (-1);
	*headers = more;
	return (0);
}

void
http_headers_free(struct curl_slist *headers)
{
	for (struct curl_slist *h = headers; h; h = h->next)
		explicit_bzero(h->data, strlen(h->data));
	curl_slist_free_all(headers);
}

/* A line "Name: value". libcurl writes an empty value as "Name;". Returns 0, or -1: no memory. */
static int
append_header(struct curl_slist **headers, const char *name, const char *value)
{
	struct buf line = { 0 };
	int result;

	/* Room for all of it at once: growing would leave a copy of a secret behind. */
	result = buf_reserve(&line, strlen(name) + strlen(value) + 4);
	buf_addf(&line, "%s%s", name, *value ? ": " : ";");
	buf_adds(&line, value);
	if (result == 0)
		result = line.failed ? -1 : append_line(headers, line.data);
	buf_wipe(&line);
	return (result);
}

/* Neither a line break, which would begin another header, nor any other control character. */
static bool
is_value(const char *value)
{
	for (; *value; value++)
		if (iscntrl((unsigned char)*value) && *value != '\t')
			return (false);
	return (true);
}

static bool
is_name(const char *name)
{
	if (*name == '\0')
		return (false);
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '-' && *name != '_')
			return (false);
	return (true);
}

/* Printable ASCII without blanks. */
static bool
is_bearer(const char *bearer)
{
	const char *p = bearer;

	while (*p > ' ' && *p < 0x7f)
		p++;
	return (*bearer && *p == '\0');
}

struct curl_slist *
http_headers_new(const struct http_request *r, struct http_error *e)
{
	struct curl_slist *headers = NULL;
	struct buf value = { 0 };
	bool typed = false;

	if (r->bearer && !is_bearer(r->bearer)) {
		http_error_set(e, HTTP_LOCAL, "the token cannot be sent in a header");
		return (NULL);
	}
	for (const struct http_header *h = r->headers; h && h->name; h++) {
		if (!is_name(h->name) || !is_value(h->value)) {
			http_error_set(e, HTTP_LOCAL, "a header has a control character in it");
			goto err;
		}
		typed = typed || strcasecmp(h->name, "Content-Type") == 0;
		if (append_header(&headers, h->name, h->value))
			goto nomem;
	}
	/* libcurl adds an Expect, and a Content-Type that is wrong, unless it is told not to. */
	if (append_line(&headers, "Expect:") || (!typed && append_line(&headers, "Content-Type:")))
		goto nomem;
	if (r->bearer) {
		if (buf_reserve(&value, strlen(r->bearer) + sizeof("Bearer ")))
			goto nomem;
		buf_adds(&value, "Bearer ");
		buf_adds(&value, r->bearer);
		if (append_header(&headers, "Authorization", value.data))
			goto nomem;
	}
	buf_wipe(&value);
	return (headers);

nomem:
	http_error_set(e, HTTP_LOCAL, "out of memory");
err:
	buf_wipe(&value);
	http_headers_free(headers);
	return (NULL);
}
