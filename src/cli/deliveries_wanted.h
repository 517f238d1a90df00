#ifndef CLI_DELIVERIES_WANTED_H
#define CLI_DELIVERIES_WANTED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "cli/lib/table.h"
#include "store/entry.h"

/* Which deliveries `fluidhook deliveries` shows, and how. */

struct deliveries_wanted {
	const char *event, *installation;
	int64_t since,
	    until; /* unix seconds, until not included; INT64_MIN and INT64_MAX: no bound */
	unsigned long limit; /* 0: none */
	bool json;
};

/** Whether event and installation are those that are wanted. */
bool deliveries_are_wanted(const struct deliveries_wanted *wanted, const struct entry *e);

/** A table with the columns of a delivery. NULL: ENOMEM. */
struct table *deliveries_table(void);

/** Its row in such a table. */
void deliveries_row(struct table *t, const struct entry *e, struct buf *row);

/** Print each delivery as it arrives, up to wanted->limit (0: for ever). Returns the exit status. */
int deliveries_follow(const struct conf *conf, const struct deliveries_wanted *wanted);

#endif
