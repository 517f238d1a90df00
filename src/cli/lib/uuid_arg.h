#ifndef CLI_LIB_UUID_ARG_H
#define CLI_LIB_UUID_ARG_H

#include <stdbool.h>

#include "base/timefmt.h"
#include "base/uuid.h"

/* A delivery's UUID on the command line, or the beginning of one. */

/* How many candidates are listed. */
enum { UUID_ARG_SHOWN = 10 };

struct uuid_arg {
	const char *argument;
	unsigned n;                            /* how many different UUIDs begin like this */
	char found[UUID_ARG_SHOWN][UUID_SIZE]; /* the first of them */
};

struct uuid_arg uuid_arg_begin(const char *argument);

/** Whether this UUID begins like the argument, whatever the case. It is counted, unless it was before. */
bool uuid_arg_consider(struct uuid_arg *arg, const char *uuid);

/** Whether the argument is a whole UUID, so that there is no need to look for others. */
bool uuid_arg_is_whole(const struct uuid_arg *arg);

/** Whether several were found. Then they are listed on standard error. */
bool uuid_arg_is_ambiguous(const struct uuid_arg *arg);

/**
 * The first and the last day on which such deliveries can have been received, with a day to spare: UUID
 * version 7 begins with the time. Returns 0, or -1 if the argument is not the beginning of a UUID.
 */
int uuid_arg_days(const struct uuid_arg *arg, char first[TIMEFMT_DAY_SIZE],
    char last[TIMEFMT_DAY_SIZE]);

#endif
