#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* A check of UTF-8 (RFC 3629) that can stop and go on at any byte. {0} is its start. */
struct utf8_check {
	unsigned char more;        /* continuation bytes still to come */
	unsigned char least, most; /* bounds of the next one */
};

/** Returns 0, or -1 when the bytes so far cannot begin any valid text. */
int utf8_check_feed(struct utf8_check *u, const char *data, size_t len);

/** Returns 0 when the text does not end inside a character, else -1. */
int utf8_check_finish(const struct utf8_check *u);

/** Whether all of it is valid, from its first to its last byte. */
bool utf8_is_valid(const char *text, size_t len);

/** How many of the text's bytes to keep so that they are at most `most` and end at a whole character. */
size_t utf8_cut(const char *text, size_t len, size_t most);

/** Replace each encoded surrogate, which no UTF-8 has, by U+FFFD, which is as long. */
void utf8_mend_surrogates(char *text, size_t len);

/** The length of the byte order mark that a text begins with: 3, or 0 where it has none. */
size_t utf8_mark(const char *text, size_t len);

#endif
