#include "receiver/body.h"

#include <errno.h>

/*
 * yajl scans a token that spans chunks again from its start. What arrives in small pieces is therefore
 * collected to a chunk before it is parsed.
 */
enum { CHUNK = 64 * 1024 };

/* Parse what was received since the last time. */
static void
parse(struct body *b, size_t *parsed)
{
	delivery_feed(b->delivery, b->bytes.data + *parsed, b->bytes.len - *parsed);
	*parsed = b->bytes.len;
}

/*
 * Read to the end, or to the first byte that is one too many. Returns BODY_WHOLE at the end of the
 * stream.
 */
static enum body_result
read_bytes(struct body *b, struct request *q, uint64_t most)
{
	size_t parsed = 0;
	ssize_t n;

	do {
		if (buf_reserve(&b->bytes, 1))
			return (BODY_UNAVAILABLE);
		size_t room = b->bytes.cap - b->bytes.len - 1;

		n = q->read(q->source, b->bytes.data + b->bytes.len, room < CHUNK ? room : CHUNK);
		if (n == -1)
			return (errno == ETIMEDOUT ? BODY_LATE : BODY_TRUNCATED);
		b->bytes.len += (size_t)n;
		b->bytes.data[b->bytes.len] = '\0';
		if (b->bytes.len > most)
			return (BODY_EXCESS);
		if (b->bytes.len - parsed >= CHUNK)
			parse(b, &parsed);
	} while (n > 0);
	if (b->bytes.len > parsed)
		parse(b, &parsed);
	return (BODY_WHOLE);
}

enum body_result
body_read(struct body *b, struct request *q, uint64_t most)
{
	enum body_result result;

	*b = (struct body){ .delivery = NULL };
	if (q->length == LENGTH_INVALID)
		return (BODY_EXCESS);
	if (q->length != LENGTH_UNKNOWN && q->length > most)
		return (BODY_TOO_LARGE);
	if ((b->delivery = delivery_new()) == NULL ||
	    (q->length != LENGTH_UNKNOWN && buf_reserve(&b->bytes, (size_t)q->length + 1)))
		return (BODY_UNAVAILABLE);
	result = read_bytes(b, q, q->length < most ? q->length : most);
	if (result == BODY_EXCESS && q->length == LENGTH_UNKNOWN)
		return (BODY_TOO_LARGE);
	if (result == BODY_WHOLE && q->length != LENGTH_UNKNOWN && b->bytes.len != q->length)
		return (BODY_TRUNCATED);
	if (result == BODY_WHOLE && delivery_finish(b->delivery) && errno == ENOMEM)
		return (BODY_UNAVAILABLE);
	return (result);
}

void
body_free(struct body *b)
{
	delivery_free(b->delivery);
	buf_wipe(&b->bytes);
	*b = (struct body){ .delivery = NULL };
}
