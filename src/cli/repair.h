#ifndef CLI_REPAIR_H
#define CLI_REPAIR_H

#include "base/conf.h"
#include "store/state.h"

/* Making installation records again from the journal. */

struct rebuilding {
	/* A record was made again. status: what it says now. */
	void (*rebuilt)(void *user, const char *record, const char *status);
	/* Something could not be read or written, which is in the journal directory, or a record. */
	void (*trouble)(void *user, const char *what, const char *why);
	void *user;
};

/**
 * Apply the verified installs and uninstalls in the journal whose record is missing, the oldest first, by
 * the rules of the receiver. Records that exist are left alone.
 * Returns 0, or -1 with errno set: then it is not known which records are missing.
 */
int repair_records(const struct conf *conf, struct state *s, const struct rebuilding *r);

#endif
