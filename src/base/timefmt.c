#include "base/timefmt.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
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

/* The number of so many digits, which are there. */
static int
number(const char *s, int digits)
{
	int n = 0;

	while (digits--)
		n = 10 * n + (*s++ - '0');
	return (n);
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
	if (!has_shape(s + 1, "00:00") || s[6] != '\0' || (hours = number(s + 1, 2)) > 23 ||
	    (minutes = number(s + 4, 2)) > 59)
		return (-1);
	*offset = (*s == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return (0);
}

static bool
is_leap(int year)
{
	return (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
}

/* Whether there is such a day. Not by timegm(), which carries 31 February over into March, and is slow. */
static bool
is_date(int year, int month, int day)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return (month >= 1 && month <= 12 && day >= 1 &&
	    day <= days[month - 1] + (month == 2 && is_leap(year)));
}

/* Days from 1 January 1970 to a date of the years 0 to 9999. */
static int64_t
days_to(int year, int month, int day)
{
	/* Years that begin in March have the leap day at their end. 400 more keep them positive. */
	int y = year + 400 - (month <= 2), m = (month + 9) % 12;
	int64_t in_years = INT64_C(365) * y + y / 4 - y / 100 + y / 400;

	return (in_years + (153 * m + 2) / 5 + day - 1 - 146097 - 719468);
}

int
timefmt_parse(const char *s, struct timespec *out)
{
	int year, month, day, hour, minute, second, offset;
	long nanos;

	if (!has_shape(s, "0000-00-00") || strchr("Tt ", s[10]) == NULL || s[10] == '\0' ||
	    !has_shape(s + 11, "00:00:00"))
		goto bad;
	year = number(s, 4);
	month = number(s + 5, 2);
	day = number(s + 8, 2);
	hour = number(s + 11, 2);
	minute = number(s + 14, 2);
	second = number(s + 17, 2);
	if (!is_date(year, month, day) || hour > 23 || minute > 59 || second > 59 ||
	    parse_tail(s + 19, &nanos, &offset))
		goto bad;
	*out = (struct timespec){
		.tv_sec = days_to(year, month, day) * 86400 + hour * 3600 + minute * 60 + second -
		    offset,
		.tv_nsec = nanos,
	};
	return (0);

bad:
	errno = EINVAL;
	return (-1);
}
