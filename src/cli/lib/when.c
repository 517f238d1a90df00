#include "cli/lib/when.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"

enum { DIGITS_MAX = 9 };

int
when_parse_span(const char *text, int64_t *out)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > DIGITS_MAX || strlen(text) != digits + 1)
		return (-1);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].letter == text[digits]) {
			*out = strtoll(text, NULL, 10) * units[i].seconds;
			return (0);
		}
	return (-1);
}

int
when_parse(const char *text, int64_t now, int64_t *out)
{
	char whole[TIMEFMT_SECONDS_SIZE];
	struct timespec t;
	int64_t ago;

	if (when_parse_span(text, &ago) == 0) {
		*out = now - ago;
		return (0);
	}
	/* A day alone is its beginning. */
	if (strlen(text) == TIMEFMT_DAY_SIZE - 1) {
		snprintf(whole, sizeof(whole), "%sT00:00:00Z", text);
		text = whole;
	}
	if (timefmt_parse(text, &t))
		return (-1);
	*out = t.tv_sec;
	return (0);
}
