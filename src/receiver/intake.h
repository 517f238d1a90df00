#ifndef RECEIVER_INTAKE_H
#define RECEIVER_INTAKE_H

#include <stdbool.h>
#include <time.h>

#include "base/uuid.h"
#include "delivery/authenticate.h"
#include "receiver/body.h"
#include "store/journal.h"
#include "store/store.h"

/*
 * One delivery on its way in, and accepting it: journal, then record. Everything is on stable storage before
 * it is accepted. Where the caller cannot wait, it is told instead what has to be done first.
 */
struct intake {
	struct authority authority; /* the configuration, and what is looked in */
	struct store *store;        /* NULL where the state directory cannot be opened */
	const struct fluid_headers *headers;
	char *const *params;
	struct timespec now; /* the time of receipt */
	bool may_wait;       /* else the line is left for the journal's batch */

	struct body body;
	const struct delivery_content *content; /* what the body says */
	enum verdict verdict;
	const char *reason; /* of the verdict */
	struct evidence evidence;

	/* Of an accepted delivery. */
	char installation[NAME_SIZE]; /* its record; "": none is known */
	char delivery[UUID_SIZE];     /* "": nothing was stored */
	struct journal_line line;
	struct buf text; /* of the line */
};

enum accepted {
	ACCEPTED,            /* 200 */
	ACCEPTED_PENDING,    /* 202 */
	ACCEPTED_NOT_STORED, /* errno says why; nothing is acknowledged: 503 */
	ACCEPTED_REFUSED,    /* an unsigned install that may not be accepted: 401 */
	ACCEPTED_BUSY,       /* an unsigned install that has to wait: 503 */
	ACCEPTED_FOREIGN,    /* about an installation that belongs to another droplet by now: 403 */
	ACCEPTED_IN_BATCH, /* the line is ready; intake_committed() is next once it is committed */
	ACCEPTED_SLOW,     /* the caller has to wait: the same call again, with may_wait */
};

/** Store a delivery whose sender is known, and apply it where it is about an installation's life. */
enum accepted intake_verified(struct intake *in);

/** What is left once the line is in the journal. */
enum accepted intake_committed(struct intake *in);

/**
 * An installation's own install that was applied before (evidence.applied). Writes nothing. The delivery is the
 * one that the record has.
 */
enum accepted intake_applied(struct intake *in);

/** Store an unverified install, to be confirmed with Fluid (`unsigned_installs`). */
enum accepted intake_unsigned(struct intake *in);

#endif
