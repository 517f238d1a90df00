#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

/* What may follow a lead byte (RFC 3629 section 4): no overlong form, no surrogate, no more than U+10FFFF. */
static int
lead(struct utf8_check *u, unsigned char c)
{
	u->least = 0x80;
	u->most = 0xbf;
	if (c >= 0xc2 && c <= 0xdf) {
		u->more = 1;
	} else if (c >= 0xe0 && c <= 0xef) {
		u->more = 2;
		if (c == 0xe0)
			u->least = 0xa0;
		if (c == 0xed)
			u->most = 0x9f;
	} else if (c >= 0xf0 && c <= 0xf4) {
		u->more = 3;
		if (c == 0xf0)
			u->least = 0x90;
		if (c == 0xf4)
			u->most = 0x8f;
	} else {
		return (-1);
	}
	return (0);
}

int
utf8_check_feed(struct utf8_check *u, const char *data, size_t len)
{
	const unsigned char *p = (const unsigned char *)data, *end = p + len;
	uint64_t word;

	while (p < end) {
		if (u->more) {
			if (*p < u->least || *p > u->most)
				return (-1);
			u->more--;
			u->least = 0x80;
			u->most = 0xbf;
			p++;
			continue;
		}
		if (end - p >= 8) {
			memcpy(&word, p, sizeof(word));
			if ((word & UINT64_C(0x8080808080808080)) == 0) {
				p += 8;
				continue;
			}
		}
		if (*p >= 0x80 && lead(u, *p))
			return (-1);
		p++;
	}
	return (0);
}

int
utf8_check_finish(const struct utf8_check *u)
{
	return (u->more ? -1 : 0);
}

bool
utf8_is_valid(const char *text, size_t len)
{
	struct utf8_check check = { 0 };

	return (utf8_check_feed(&check, text, len) == 0 && utf8_check_finish(&check) == 0);
}

size_t
utf8_cut(const char *text, size_t len, size_t most)
{
	if (len <= most)
		return (len);
	/* The byte behind the cut must begin a character. */
	while (most && ((unsigned char)text[most] & 0xc0) == 0x80)
		most--;
	return (most);
}

void
utf8_mend_surrogates(char *text, size_t len)
{
	for (size_t i = 0; i + 3 <= len; i++)
		if ((unsigned char)text[i] == 0xed && (unsigned char)text[i + 1] >= 0xa0)
			memcpy(text + i, "\xef\xbf\xbd", 3);
}

size_t
utf8_mark(const char *text, size_t len)
{
	return (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0);
}
