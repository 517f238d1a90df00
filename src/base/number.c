#include "base/number.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

enum { SPAN_DIGITS_MAX = 9 };

static int
fail(int error)
{
	errno = error;
	return (-1);
}

/* Digits of this base alone. A number that is too large is still a number: ERANGE. */
static int
parse_digits(const char *text, size_t len, unsigned base, uint64_t *out)
{
	uint64_t n = 0;
	unsigned digit;
	int overflow = 0;

	if (len == 0)
		return (fail(EINVAL));
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || (digit = (unsigned)(text[i] - '0')) >= base)
			return (fail(EINVAL));
		if (n > (UINT64_MAX - digit) / base)
			overflow = 1;
		n = n * base + digit;
	}
	if (overflow)
		return (fail(ERANGE));
	*out = n;
	return (0);
}

int
number_parse_len(const char *text, size_t len, uint64_t least, uint64_t most, uint64_t *out)
{
	uint64_t n;

	if (parse_digits(text, len, 10, &n))
		return (-1);
	if (n < least || n > most)
		return (fail(ERANGE));
	*out = n;
	return (0);
}

int
number_parse(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
	return (number_parse_len(text, strlen(text), least, most, out));
}

int
number_parse_octal(const char *text, uint64_t most, uint64_t *out)
{
	uint64_t n;

	if (parse_digits(text, strlen(text), 8, &n))
		return (-1);
	if (n > most)
		return (fail(ERANGE));
	*out = n;
	return (0);
}

int
number_parse_int(const char *text, size_t len, int64_t *out)
{
	size_t sign = len && *text == '-';
	uint64_t n;

	if (number_parse_len(text + sign, len - sign, 0, (uint64_t)INT64_MAX + sign, &n))
		return (-1);
	/* Two's complement, as GNU C has it: INT64_MIN as well. */
	*out = (int64_t)(sign ? -n : n);
	return (0);
}

int
number_parse_size(const char *text, uint64_t *out)
{
	static const char units[] = "KMG";
	size_t len = strlen(text);
	const char *unit = NULL;
	unsigned shift = 0;
	uint64_t n;

	if (len && !isdigit((unsigned char)text[len - 1])) {
		unit = strchr(units, toupper((unsigned char)text[--len]));
		if (unit == NULL)
			return (fail(EINVAL));
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (number_parse_len(text, len, 0, (uint64_t)INT64_MAX >> shift, &n))
		return (-1);
	*out = n << shift;
	return (0);
}

int
number_parse_span(const char *text, int64_t *out)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	size_t len = strlen(text);
	uint64_t n;

	if (len < 2)
		return (fail(EINVAL));
	len--;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].letter == text[len]) {
			if (number_parse_len(text, len, 0, UINT64_MAX, &n))
				return (-1);
			if (len > SPAN_DIGITS_MAX)
				return (fail(ERANGE));
			*out = (int64_t)n * units[i].seconds;
			return (0);
		}
	return (fail(EINVAL));
}
