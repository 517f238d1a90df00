#ifndef DELIVERY_ACCEPT_H
#define DELIVERY_ACCEPT_H

#include "delivery/authenticate.h"
#include "store/journal.h"
#include "store/refused.h"

/*
 * Business events that arrive before the key of their installation. The receiver refuses them with 503 and
 * keeps them; the worker accepts them once an installation's key verifies them.
 */

/** A request that is refused. */
struct refusal {
	const char *method;
	int status;
	const char *reason; /* the word of the log */
	const struct fluid_headers *headers;
	const char *body;
	size_t body_len;
	struct timespec received_at;
};

/** Keep it. Returns 0, or -1 with errno set. most: bytes (`keep_refused`). */
int accept_later(struct refused_store *store, uint64_t most, const struct refusal *r);

struct accepting {
	struct authority authority;
	struct journal *journal;
	struct refused_store *refused;
};

/**
 * Accept those of the n requests `ids`, which are in the order received, that an installation's key
 * verifies; their signature had to be fresh when they were received. Each goes to today's journal under a
 * new UUID, unless a line of the journal since then has the same body for the same installation, and is
 * then removed from what is kept. After a kill at any point, another call neither loses nor repeats one.
 * Returns how many were accepted, or -1 with errno set: what is left has to be tried again.
 */
int accept_kept(const struct accepting *a, const char (*ids)[REFUSED_ID_SIZE], size_t n);

#endif
