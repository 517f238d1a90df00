#ifndef WORKER_QUEUE_ITEM_H
#define WORKER_QUEUE_ITEM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "delivery/event.h"
#include "base/name.h"
#include "worker/lines.h"
#include "worker/run.h"
#include "worker/target.h"

/*
 * A delivery that waits for a target, or was given up there: one file in queue/waiting or queue/dead.
 *
 *	<delivery>.json		for its most specific hook
 *	<delivery>.<hash>.json	for another target
 *	<delivery>.all.json	for all of its targets: an install that waits for its credentials
 */

/* A number that is the same for all deliveries of one installation (worker/job.h), as 16 hexadecimal digits. */
enum { OWNER_SIZE = 17 };

struct queue_item {
	char delivery[UUID_SIZE];
	char target[TARGET_SIZE];     /* "": all of the event's */
	struct follow_place place;    /* of its journal line */
	char event[EVENT_SIZE];       /* the event that the target gets */
	char key[RUNS_KEY_SIZE];      /* what makes two deliveries the same (worker/job.h) */
	char owner[OWNER_SIZE];       /* ""; an item of a version that had none */
	char installation[NAME_SIZE]; /* "": none is known */
	unsigned attempts;            /* how often it ran */
	/* when it is due, by queue_clock(); of a dead one: when it was given up, unix */
	int64_t next;
	int64_t seen;         /* when it was read first, by queue_clock(); in memory alone */
	bool for_credentials; /* waits until its installation has them */
	char why[160];        /* what happened last */
	bool unsaved;         /* in memory alone; not written */
	bool is_old; /* its file is of a version without targets, and called as it was then */
};

enum { QUEUE_FILE_SIZE = UUID_SIZE + 32 };

/** What the file of a delivery at a target is called. target: "" for all. */
void queue_item_file(char name[QUEUE_FILE_SIZE], const char *delivery, const char *target);

/** Seconds of a clock that nobody sets and that does not jump. Waits are measured with it, never with the date. */
int64_t queue_clock(void);

/** What is due at `next` of that clock, as unix seconds: for files and people. */
int64_t queue_unix(int64_t next);

/** Write an item into a directory, durably. when: its `next` there, unix. Returns 0, or -1 with errno set. */
int queue_item_write(int dir, const struct queue_item *item, int64_t when);

/** Read a file of a directory, with `next` as it stands there. Returns 0, or -1 with errno set: EBADMSG if it is damaged. */
int queue_item_read(int dir, const char *name, struct queue_item *item);

/** Read a file of queue/waiting, with `next` by queue_clock(). */
int queue_item_read_waiting(int dir, const char *name, struct queue_item *item);

/** Remove a file, durably. Returns 0, also if it is not there, or -1 with errno set. */
int queue_item_remove(int dir, const char *name);

#endif
