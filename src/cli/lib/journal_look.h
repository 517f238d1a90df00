#ifndef CLI_LIB_JOURNAL_LOOK_H
#define CLI_LIB_JOURNAL_LOOK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/name.h"

/*
 * A cheap look at a raw line of the journal: whether it is worth parsing. It can say yes of a line that is not wanted,
 * and says no only of one that cannot be: fluidhook writes the journal, and never escapes a letter, digit, '.', '_' or
 * '-' in it.
 */

struct journal_look {
	const char *event, *uuid; /* their beginnings; NULL: any */
	const char *installation; /* a record's name, or a shop; NULL: any */
	char shop[NAME_SIZE];
	unsigned long lines; /* seen so far */
};

/**
 * What to look for. event: an event or a resource; installation: a record's name or a shop; uuid: the beginning of a
 * delivery's UUID. Each may be NULL, and is ignored if it is no safe name. The strings have to stay.
 */
struct journal_look journal_look_for(const char *event, const char *installation, const char *uuid);

/** For journal_reader_only(); user: the struct journal_look. */
bool journal_look_at(void *user, const char *line, size_t len);

#endif
