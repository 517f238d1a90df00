#include "receiver/body.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* yajl scans a token that spans chunks again from its start: large chunks keep that cheap. */
enum { CHUNK = 64 * 1024 };

/* Where no length is announced. */
#define UNKNOWN UINT64_MAX

/* The announced length. Web servers pass "" on where a chunked body has none. Returns 0, or -1. */
static int
parse_length(const char *text, uint64_t *out)
{
	*out = UNKNOWN;
	if (text == NULL || *text == '\0')
		return (0);
	if (text[strspn(text, "0123456789")] != '\0')
		return (-1);
	errno = 0;
	*out = strtoull(text, NULL, 10);
	if (errno)
		*out = UNKNOWN - 1;
	return (0);
}

/* Read to the end, or to the first byte that is one too many. Returns 0, or -1 when it broke off. */
static int
read_bytes(struct body *b, struct request *q, uint64_t most)
{
	ssize_t n;

	while (b->bytes.len <= most) {
		if (buf_reserve(&b->bytes, 1))
			return (-1);
		size_t room = b->bytes.cap - b->bytes.len - 1;

		n = q->read(q->source, b->bytes.data + b->bytes.len, room < CHUNK ? room : CHUNK);
		if (n <= 0)
			return ((int)n);
		delivery_feed(b->delivery, b->bytes.data + b->bytes.len, (size_t)n);
		b->bytes.len += (size_t)n;
		b->bytes.data[b->bytes.len] = '\0';
	}
	return (0);
}

enum body_result
body_read(struct body *b, struct request *q, uint64_t most)
{
	uint64_t length;
	bool odd;

	*b = (struct body){ .delivery = NULL };
	odd = parse_length(q->content_length, &length) != 0;
	if (length != UNKNOWN && length > most)
		return (BODY_TOO_LARGE);
	if ((b->delivery = delivery_new()) == NULL ||
	    (length != UNKNOWN && buf_reserve(&b->bytes, (size_t)length + 1)))
		return (BODY_UNAVAILABLE);
	if (read_bytes(b, q, length < most ? length : most))
		odd = true;
	if (b->bytes.failed)
		return (BODY_UNAVAILABLE);
	if (b->bytes.len > most)
		return (BODY_TOO_LARGE);
	delivery_finish(b->delivery);
	return (odd || (length != UNKNOWN && b->bytes.len != length) ? BODY_TRUNCATED : BODY_WHOLE);
}

void
body_free(struct body *b)
{
	delivery_free(b->delivery);
	buf_wipe(&b->bytes);
	*b = (struct body){ .delivery = NULL };
}
