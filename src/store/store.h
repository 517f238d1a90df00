#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdatomic.h>
#include <stdint.h>

#include "store/journal.h"
#include "store/receivers.h"
#include "store/records.h"
#include "store/refused.h"
#include "store/state.h"

/* A state directory, opened, with all that a receiver uses of it. */
struct store {
	struct state *state;
	struct records *records;
	struct journal *journal;
	struct refused_store *refused;
	atomic_uint users;
	struct receiver_note note; /* that this process serves */
	int64_t compare_at; /* when the indexes are next compared with the records; monotonic ms */
};

/** Open it, as its owner where this process is root. To be released. NULL with errno set, and logged. */
struct store *store_open(const char *path);

/** One holder more, and one less: the last one closes it. NULL is fine. */
struct store *store_hold(struct store *s);
void store_release(struct store *s);

#endif
