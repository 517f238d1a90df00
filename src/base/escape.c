#include "base/escape.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static const char dots[] = "...";

/*
 * The code point of a character that is not seen but changes how a line reads: zero-width ones, and
 * those that turn the direction of writing. text: a whole character of n bytes. Any other: 0.
 */
static unsigned
invisible(const char *text, size_t n)
{
	static const unsigned ranges[][2] = { { 0x00ad, 0x00ad }, { 0x061c, 0x061c },
		{ 0x180e, 0x180e }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
		{ 0xfeff, 0xfeff }, { 0xfff9, 0xfffb } };
	const unsigned char *c = (const unsigned char *)text;
	unsigned point = n == 2 ? (c[0] & 0x1fu) << 6 | (c[1] & 0x3fu) :
	    n == 3              ? (c[0] & 0xfu) << 12 | (c[1] & 0x3fu) << 6 | (c[2] & 0x3fu) :
				  0;

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (point >= ranges[i][0] && point <= ranges[i][1])
			return (point);
	return (0);
}

static size_t
put_byte(char out[ESCAPE_SIZE], unsigned char c)
{
	return ((size_t)snprintf(out, ESCAPE_SIZE, "\\x%02x", c));
}

static size_t
put(char out[ESCAPE_SIZE], const char *text, size_t n)
{
	memcpy(out, text, n);
	out[n] = '\0';
	return (n);
}

size_t
escape_one(char out[ESCAPE_SIZE], size_t *n, const char *text, size_t len, enum escape_how how)
{
	unsigned char c = (unsigned char)*text;
	size_t used = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	if (how == ESCAPE_QUOTED && (c == '"' || c == '\\')) {
		*n = put(out, (const char[]){ '\\', *text }, 2);
	} else if (c < 0x20 || c == 0x7f || (how == ESCAPE_QUOTED && c >= 0x80)) {
		*n = put_byte(out, c);
	} else if (c < 0x80) {
		*n = put(out, text, 1);
	} else if (used > len || !utf8_is_valid(text, used)) {
		*n = put_byte(out, c);
		return (1);
	} else if (c == 0xc2 && (unsigned char)text[1] < 0xa0) {
		*n = put_byte(out, (unsigned char)text[1]);
		return (2);
	} else if (invisible(text, used)) {
		*n = (size_t)snprintf(out, ESCAPE_SIZE, "\\u%04x", invisible(text, used));
		return (used);
	} else {
		*n = put(out, text, used);
		return (used);
	}
	return (1);
}

/* How many bytes at the beginning are escaped in neither way: most text is nothing else. */
static size_t
plain(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && text[n] >= ' ' && text[n] <= '~' && text[n] != '"' && text[n] != '\\')
		n++;
	return (n);
}

void
escape_add(struct buf *out, const char *text, size_t len, enum escape_how how)
{
	char piece[ESCAPE_SIZE];
	size_t n;

	for (size_t i = 0; i < len;) {
		n = plain(text + i, len - i);
		buf_add(out, text + i, n);
		if ((i += n) == len)
			break;
		i += escape_one(piece, &n, text + i, len - i, how);
		buf_add(out, piece, n);
	}
}

bool
escape_copy(char *out, size_t size, const char *text, size_t len, enum escape_how how)
{
	const size_t dots_len = sizeof(dots) - 1;
	size_t at = 0, room = 0, n;
	char piece[ESCAPE_SIZE];

	/* room: the end of the last whole piece behind which the dots fit. */
	for (size_t i = 0; i < len;) {
		i += escape_one(piece, &n, text + i, len - i, how);
		if (at + n >= size) {
			memcpy(out + room, dots, sizeof(dots));
			return (false);
		}
		memcpy(out + at, piece, n);
		at += n;
		if (at + dots_len < size)
			room = at;
	}
	out[at] = '\0';
	return (true);
}

void
escape_add_url(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < 0x80 && (isalnum(c) || (c && strchr("-._~", c))))
			buf_addc(out, (char)c);
		else
			buf_addf(out, "%%%02X", c);
	}
}

/*
 * What stands behind the backslash for a byte of a JSON string; 'u': its number in hexadecimal digits. 0: it
 * stands for itself.
 */
static const char json_escapes[256] = {
	['"'] = '"',
	['\\'] = '\\',
	['\b'] = 'b',
	['\f'] = 'f',
	['\n'] = 'n',
	['\r'] = 'r',
	['\t'] = 't',
	[0x00] = 'u',
	[0x01] = 'u',
	[0x02] = 'u',
	[0x03] = 'u',
	[0x04] = 'u',
	[0x05] = 'u',
	[0x06] = 'u',
	[0x07] = 'u',
	[0x0b] = 'u',
	[0x0e] = 'u',
	[0x0f] = 'u',
	[0x10] = 'u',
	[0x11] = 'u',
	[0x12] = 'u',
	[0x13] = 'u',
	[0x14] = 'u',
	[0x15] = 'u',
	[0x16] = 'u',
	[0x17] = 'u',
	[0x18] = 'u',
	[0x19] = 'u',
	[0x1a] = 'u',
	[0x1b] = 'u',
	[0x1c] = 'u',
	[0x1d] = 'u',
	[0x1e] = 'u',
	[0x1f] = 'u',
};

/* How many bytes longer a text is when it is escaped. */
static size_t
json_escapes_len(const char *text, size_t len)
{
	size_t more = 0;

	for (size_t i = 0; i < len; i++) {
		char escape = json_escapes[(unsigned char)text[i]];

		more += escape == 'u' ? 5 : escape != 0;
	}
	return (more);
}

void
escape_add_json(struct buf *out, const char *text, size_t len)
{
	static const char digits[] = "0123456789ABCDEF";
	size_t more = json_escapes_len(text, len);
	char *at;

	if (buf_reserve(out, len + 2) || buf_reserve(out, len + 2 + more))
		return;
	at = out->data + out->len;
	*at++ = '"';
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (json_escapes[c] == 0) {
			*at++ = (char)c;
			continue;
		}
		*at++ = '\\';
		*at++ = json_escapes[c];
		if (json_escapes[c] == 'u') {
			*at++ = '0';
			*at++ = '0';
			*at++ = digits[c >> 4];
			*at++ = digits[c & 15];
		}
	}
	*at++ = '"';
	*at = '\0';
	out->len = (size_t)(at - out->data);
}
