#include "base/timefmt.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define YEAR_0 INT64_C(-62167219200)
#define YEAR_9999_END INT64_C(253402300799)

/* A number in so many digits. Done by hand, as every line of the log and the journal has a time. */
static char *
put_digits(char *out, unsigned n, unsigned digits)
{
	for (unsigned i = digits; i; i--, n /= 10)
		out[i - 1] = (char)('0' + n % 10);
	return (out + digits);
}

static char *
put_date(char *out, const struct tm *tm)
{
	out = put_digits(out, (unsigned)tm->tm_year + 1900, 4);
	*out++ = '-';
	out = put_digits(out, (unsigned)tm->tm_mon + 1, 2);
	*out++ = '-';
	return (put_digits(out, (unsigned)tm->tm_mday, 2));
}

/* To the seconds, without the Z. */
static char *
put_time(char *out, const struct tm *tm)
{
	out = put_date(out, tm);
	*out++ = 'T';
	out = put_digits(out, (unsigned)tm->tm_hour, 2);
	*out++ = ':';
	out = put_digits(out, (unsigned)tm->tm_min, 2);
	*out++ = ':';
	return (put_digits(out, (unsigned)tm->tm_sec, 2));
}

/* gmtime_r() that cannot fail: the four-digit years are all it is asked for. */
static void
split(int64_t unix_seconds, struct tm *tm)
{
	time_t t;

	if (unix_seconds < YEAR_0)
		unix_seconds = YEAR_0;
	if (unix_seconds > YEAR_9999_END)
		unix_seconds = YEAR_9999_END;
	t = (time_t)unix_seconds;
	gmtime_r(&t, tm);
}

void
timefmt_seconds(char out[TIMEFMT_SECONDS_SIZE], int64_t unix_seconds)
{
	struct tm tm;

	split(unix_seconds, &tm);
	memcpy(put_time(out, &tm), "Z", sizeof("Z"));
}

void
timefmt_micros(char out[TIMEFMT_MICROS_SIZE], const struct timespec *t)
{
	unsigned micros = (unsigned)(t->tv_nsec / 1000) % 1000000;
	struct tm tm;

	split(t->tv_sec, &tm);
	out = put_time(out, &tm);
	*out++ = '.';
	memcpy(put_digits(out, micros, 6), "Z", sizeof("Z"));
}

void
timefmt_day(char out[TIMEFMT_DAY_SIZE], int64_t unix_seconds)
{
	struct tm tm;

	split(unix_seconds, &tm);
	*put_date(out, &tm) = '\0';
}

/* Whether s begins as `shape` says: a digit for each 0, else that very character. */
static bool
has_shape(const char *s, const char *shape)
{
	for (; *shape; s++, shape++)
		if (*shape == '0' ? !isdigit((unsigned char)*s) : *s != *shape)
			return (false);
	return (true);
}

/* What follows the seconds: decimals, then Z or an offset. Returns the offset in seconds, or -1. */
static int
parse_tail(const char *s, long *nanos, int *offset)
{
	long scale = 100000000;
	int hours, minutes;

	*nanos = 0;
	if (*s == '.') {
		if (!isdigit((unsigned char)*++s))
			return (-1);
		for (; isdigit((unsigned char)*s); s++, scale /= 10)
			*nanos += (*s - '0') * scale;
	}
	if ((*s == 'Z' || *s == 'z') && s[1] == '\0') {
		*offset = 0;
		return (0);
	}
	if (*s != '+' && *s != '-')
		return (-1);
	if (!has_shape(s + 1, "00:00") || s[6] != '\0' ||
	    sscanf(s + 1, "%2d:%2d", &hours, &minutes) != 2 || hours > 23 || minutes > 59)
		return (-1);
	*offset = (*s == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return (0);
}

int
timefmt_parse(const char *s, struct timespec *out)
{
	struct tm tm = { 0 }, check;
	int offset;
	long nanos;
	time_t t;

	if (!has_shape(s, "0000-00-00") || strchr("Tt ", s[10]) == NULL || s[10] == '\0' ||
	    !has_shape(s + 11, "00:00:00"))
		goto bad;
	if (sscanf(s, "%4d-%2d-%2d%*c%2d:%2d:%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		&tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 6)
		goto bad;
	if (parse_tail(s + 19, &nanos, &offset))
		goto bad;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	check = tm;
	t = timegm(&check);
	/* timegm() carries 31 February over into March; what it had to change was no date. */
	if (check.tm_mday != tm.tm_mday || check.tm_mon != tm.tm_mon ||
	    check.tm_hour != tm.tm_hour || check.tm_min != tm.tm_min)
		goto bad;
	*out = (struct timespec){ .tv_sec = t - offset, .tv_nsec = nanos };
	return (0);

bad:
	errno = EINVAL;
	return (-1);
}
