#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUF_MIN = 256 };

int
buf_reserve(struct buf *b, size_t more)
{
	size_t want, cap = b->cap ? b->cap : BUF_MIN;
	char *data;

	if (b->failed)
		goto nomem;
	if (more > SIZE_MAX / 4 - b->len)
		goto nomem;
	want = b->len + more + 1;
	if (want <= b->cap)
		return (0);
	while (cap < want)
		cap *= 2;
	if ((data = realloc(b->data, cap)) == NULL)
		goto nomem;
	b->data = data;
	b->cap = cap;
	b->data[b->len] = '\0';
	return (0);

nomem:
	b->failed = true;
	errno = ENOMEM;
	return (-1);
}

void
buf_add(struct buf *b, const void *data, size_t len)
{
	/* Mostly there is room: a line of the journal is made of some hundred pieces. */
	if ((len >= b->cap - b->len || b->failed) && buf_reserve(b, len))
		return;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	b->data[b->len] = '\0';
}

void
buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void
buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0) {
		b->failed = true;
		return;
	}
	if (buf_reserve(b, (size_t)n))
		return;
	va_start(ap, fmt);
	vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void
buf_add_hex(struct buf *b, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = data;

	if (buf_reserve(b, 2 * len))
		return;
	for (size_t i = 0; i < len; i++) {
		b->data[b->len++] = digits[p[i] >> 4];
		b->data[b->len++] = digits[p[i] & 15];
	}
	b->data[b->len] = '\0';
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->failed = false;
	if (b->data)
		b->data[0] = '\0';
}

void
buf_free(struct buf *b)
{
	free(b->data);
	*b = (struct buf){ 0 };
}

void
buf_wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->cap);
	buf_free(b);
}

void
secret_free(char *s)
{
	if (s == NULL)
		return;
	explicit_bzero(s, strlen(s));
	free(s);
}
