#include "receiver/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t
request_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

uint64_t
request_length(const char *text)
{
	unsigned long long length;

	if (text == NULL || *text == '\0')
		return (LENGTH_UNKNOWN);
	if (text[strspn(text, "0123456789")] != '\0')
		return (LENGTH_INVALID);
	errno = 0;
	length = strtoull(text, NULL, 10);
	return (errno || length > LENGTH_MAX ? LENGTH_MAX : length);
}

#define WANTED(name) name, sizeof(name) - 1

void
request_from_params(struct request *q, char *const *params)
{
	struct header length = { 0 }, type = { 0 }, encoding = { 0 }, method = { 0 }, id = { 0 };
	const struct {
		const char *name;
		size_t len;
		struct header *header;
	} wanted[] = {
		{ WANTED("REQUEST_METHOD"), &method },
		{ WANTED("CONTENT_TYPE"), &type },
		{ WANTED("CONTENT_LENGTH"), &length },
		{ WANTED("HTTP_CONTENT_ENCODING"), &encoding },
		{ WANTED("HTTP_X_REQUEST_ID"), &id },
		{ WANTED("HTTP_X_FLUID_SHOP"), &q->headers.shop },
		{ WANTED("HTTP_X_FLUID_TIMESTAMP"), &q->headers.timestamp },
		{ WANTED("HTTP_X_FLUID_SIGNATURE"), &q->headers.signature },
		{ WANTED("HTTP_X_FLUID_TOKEN"), &q->headers.token },
		{ WANTED("HTTP_AUTH_TOKEN"), &q->headers.auth_token },
	};
	const char *value;

	*q = (struct request){ .params = params };
	/* A header that came twice is a parameter that is there twice: all have to be looked at. */
	for (char *const *p = params; *p; p++) {
		if ((value = strchr(*p, '=')) == NULL)
			continue;
		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			if (wanted[i].len == (size_t)(value - *p) &&
			    memcmp(*p, wanted[i].name, wanted[i].len) == 0) {
				if (wanted[i].header->count++ == 0)
					wanted[i].header->value = value + 1;
				break;
			}
	}
	q->method = method.value ? method.value : "";
	q->content_type = type.value;
	q->content_encoding = encoding.value;
	q->length = request_length(length.value);
	q->request_id = id.value;
}
