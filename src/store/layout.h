#ifndef STORE_LAYOUT_H
#define STORE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What a state directory consists of (contract section 4). The file VERSION marks it; it is made last.
 * A directory that is missing later is never made again by itself: what was in it may be elsewhere.
 */

/* The one list of the directories. A parent stands before what is in it. */
enum layout_dir {
	LAYOUT_INSTALLATIONS,
	LAYOUT_SHOPS,
	LAYOUT_COMPANIES,
	LAYOUT_JOURNAL,
	LAYOUT_RUNS,
	LAYOUT_REFUSED,
	LAYOUT_QUEUE,
	LAYOUT_PENDING,
	LAYOUT_UNCONFIRMED,
	LAYOUT_SUBSCRIBE,
	LAYOUT_WAITING,
	LAYOUT_DEAD,
	LAYOUT_RAN,
	LAYOUT_RECEIVERS,
	LAYOUT_N,
	/* The worker makes these when it needs them: a state directory is complete without them. */
	LAYOUT_RESERVES = LAYOUT_N,
	LAYOUT_ANSWERS,
	LAYOUT_ALL,
};

/** Its path below the state directory: "queue/pending". */
const char *layout_path(enum layout_dir dir);

/** Its name in the directory that holds it: "pending". */
const char *layout_name(enum layout_dir dir);

/**
 * Open a directory of the state directory `top`, without following a symbolic link.
 * Returns a descriptor, or -1 with errno set.
 */
int layout_open(int top, enum layout_dir dir);

/**
 * Make each directory that is missing, on stable storage, and call made() for it (may be NULL).
 * Returns 0, or -1 with errno set and *failed being the one that could not be made.
 */
int layout_make(int top, void (*made)(void *user, const char *path), void *user,
    enum layout_dir *failed);

enum layout_version {
	LAYOUT_OURS,  /* VERSION says 1 */
	LAYOUT_OTHER, /* it says something else */
	LAYOUT_NONE,  /* there is no VERSION, nor data from before 0.2 */
	LAYOUT_OLD,   /* no VERSION, and installations/ and journal/ hold data: from before 0.2 */
	LAYOUT_UNREADABLE, /* errno says why */
};

enum { LAYOUT_NUMBER_SIZE = 16 };

/** Which version this state directory is of. number: the text of VERSION, cut, or "". */
enum layout_version layout_version(int top, char number[LAYOUT_NUMBER_SIZE]);

/** Whether installations/ holds a record. Returns 1, 0, or -1 with errno set. */
int layout_has_records(int top);

/** Mark the directory as a state directory. Returns 0, or -1 with errno set. */
int layout_mark(int top);

/** The name of the marking file. */
extern const char layout_version_file[];

#endif
