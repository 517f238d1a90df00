#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/*
 * Numbers out of text. The whole text must be the number: no blank, no sign "+", nothing behind it.
 * All functions return 0, or -1 with errno EINVAL (not such a number) or ERANGE (a number, but
 * outside the bounds); *out is then unchanged.
 */

/** Decimal digits alone, with a value from `least` to `most`. Leading zeros are allowed. */
int number_parse(const char *text, uint64_t least, uint64_t most, uint64_t *out);

/** number_parse() of text that is not terminated. */
int number_parse_len(const char *text, size_t len, uint64_t least, uint64_t most, uint64_t *out);

/** Octal digits alone, at most `most`: a file's mode. */
int number_parse_octal(const char *text, uint64_t most, uint64_t *out);

/** An integer, perhaps with "-" before it, as a JSON number is written; a fraction or an exponent is none. */
int number_parse_int(const char *text, size_t len, int64_t *out);

/** A size in bytes, such as 1048576, 512K, 1M, 2g: K, M and G are powers of 1024. */
int number_parse_size(const char *text, uint64_t *out);

/** A span in seconds, such as 30s, 5m, 12h, 90d, 2w; at most nine digits, and a unit. */
int number_parse_span(const char *text, int64_t *out);

#endif
