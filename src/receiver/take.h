#ifndef RECEIVER_TAKE_H
#define RECEIVER_TAKE_H

#include <stdbool.h>
#include <time.h>

#include "delivery/authenticate.h"
#include "receiver/answer.h"
#include "receiver/body.h"
#include "receiver/receiver.h"

/*
 * Taking a delivery in: journal, then record. Everything here is on stable storage before it returns TAKEN.
 * Where the caller cannot wait, it returns instead what has to be done first.
 */

struct taking {
	const struct conf *conf;
	struct store *store;
	const struct fluid_headers *headers;
	const struct body *body;
	const struct evidence *evidence;
	struct timespec now; /* the time of receipt */
	/* Where the caller cannot wait: the delivery's line for the journal's batch, and its text. Else NULL. */
	struct journal_line *line;
	struct buf *text;
};

enum taken {
	TAKEN,          /* 200 */
	TAKEN_PENDING,  /* 202 */
	TAKEN_NOT,      /* could not be stored, errno says why; nothing is acknowledged: 503 */
	TAKEN_REFUSED,  /* an unsigned install that may not be taken: 401 */
	TAKEN_BUSY,     /* an unsigned install that has to wait: 503 */
	TAKEN_FOREIGN,  /* about an installation that belongs to another droplet by now: 403 */
	TAKEN_IN_BATCH, /* the line is ready; take_committed() is next once it is committed */
	TAKEN_SLOW,     /* the caller has to wait: the same call again, with line == NULL */
};

/**
 * Store a delivery whose sender is known, and apply it where it is about an installation's life. Sets
 * the answer's delivery and installation.
 */
enum taken take_genuine(const struct taking *t, struct answer *a);

/** What is left once the line is in the journal. */
enum taken take_committed(const struct taking *t, struct answer *a);

/**
 * Answer an installation's own install that was applied before (evidence->applied). Writes nothing. Sets the
 * answer's delivery (the one that the record has) and installation.
 */
enum taken take_applied(const struct taking *t, struct answer *a);

/** Store an install that nothing vouches for, to be confirmed with Fluid (`unsigned_installs`). */
enum taken take_unsigned(const struct taking *t, struct answer *a);

#endif
