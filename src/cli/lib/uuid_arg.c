#include "cli/lib/uuid_arg.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/lib/cli.h"

enum { MS_DIGITS = 12, SECONDS_A_DAY = 86400 };

/* Of the year 9999: timefmt_day() writes four digits. */
static const uint64_t ms_most = 253402300799000;

struct uuid_arg
uuid_arg_begin(const char *argument)
{
	return ((struct uuid_arg){ .argument = argument });
}

bool
uuid_arg_consider(struct uuid_arg *arg, const char *uuid)
{
	size_t len = strlen(arg->argument);

	if (len == 0 || strncasecmp(arg->argument, uuid, len) != 0)
		return (false);
	for (unsigned i = 0; i < arg->n && i < UUID_ARG_SHOWN; i++)
		if (strcmp(arg->found[i], uuid) == 0)
			return (true);
	if (arg->n < UUID_ARG_SHOWN)
		snprintf(arg->found[arg->n], UUID_SIZE, "%s", uuid);
	arg->n++;
	return (true);
}

bool
uuid_arg_is_whole(const struct uuid_arg *arg)
{
	return (strlen(arg->argument) == UUID_SIZE - 1);
}

bool
uuid_arg_is_ambiguous(const struct uuid_arg *arg)
{
	if (arg->n < 2)
		return (false);
	cli_fail("%s: several deliveries begin like this; give more of the UUID:", arg->argument);
	for (unsigned i = 0; i < arg->n && i < UUID_ARG_SHOWN; i++)
		fprintf(stderr, "  %s\n", arg->found[i]);
	if (arg->n > UUID_ARG_SHOWN)
		fputs("  ...\n", stderr);
	return (true);
}

/* The time that a UUID begins with, where `fill` stands for the digits that are not given. */
static uint64_t
time_of(const char *argument, char fill)
{
	char digits[MS_DIGITS + 1];
	uint64_t ms;
	size_t n = 0;

	for (const char *p = argument; *p && n < MS_DIGITS; p++)
		if (*p != '-')
			digits[n++] = *p;
	while (n < MS_DIGITS)
		digits[n++] = fill;
	digits[n] = '\0';
	ms = strtoull(digits, NULL, 16);
	return (ms < ms_most ? ms : ms_most);
}

int
uuid_arg_days(const struct uuid_arg *arg, char first[TIMEFMT_DAY_SIZE], char last[TIMEFMT_DAY_SIZE])
{
	if (*arg->argument == '\0' || strlen(arg->argument) >= UUID_SIZE)
		return (-1);
	/* Hyphens stand in their places only. */
	for (size_t i = 0; arg->argument[i]; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23 ?
			arg->argument[i] != '-' :
			!isxdigit((unsigned char)arg->argument[i]))
			return (-1);
	timefmt_day(first, (int64_t)(time_of(arg->argument, '0') / 1000) - SECONDS_A_DAY);
	timefmt_day(last, (int64_t)(time_of(arg->argument, 'f') / 1000) + SECONDS_A_DAY);
	return (0);
}
