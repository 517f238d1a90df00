#ifndef WORKER_ANSWER_H
#define WORKER_ANSWER_H

#include "fluid/installations.h"
#include "store/installation.h"
#include "store/reserve.h"

/*
 * Credentials that Fluid has just given, in queue/answers/<record>: written in one step, before a lock is waited for
 * or anything else can fail. Fluid gives them once. A worker that is killed before they are in the record leaves the
 * file behind, and the next one takes it over (worker/resolve.h).
 */

/** The most that an answer takes. */
enum { ANSWER_SIZE = 32 * 1024 };

/**
 * Write the answer to an exchange into the space that was set aside for it, durably. asked: the record when Fluid was
 * asked. With a seal key, it is sealed. Returns 0, or -1 with errno set.
 */
int answer_write(struct reserve *r, const struct installation *asked, const struct exchange *x);

/**
 * Read what was left behind for a record. *asked: as much of it as answer_write() keeps; the caller ends both.
 * Returns 0, or -1 with errno set: ENOENT if there is none, EBADMSG if no answer had arrived; any other,
 * ENOKEY among them, if it cannot be read now: it is to be kept.
 */
int answer_read(int dir, const char *record, struct installation **asked, struct exchange *x);

/** It is in the record now, or of no use. Returns 0, or -1 with errno set. */
int answer_remove(int dir, const char *record);

#endif
