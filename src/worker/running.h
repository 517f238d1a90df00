#ifndef WORKER_RUNNING_H
#define WORKER_RUNNING_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Which hooks run, in the file queue/running: a worker that was killed leaves them behind, and the next one ends
 * them before it runs anything. Each slot has a line of a fixed length, so that a note is one write over the old
 * one: it can not be half there, and needs no room on a full disk. It holds the process, a time at
 * which that had started, the boot, and the delivery. A process id alone can be that of another process by now: one that
 * started later. A note stays when its hook has ended, until the next one takes the slot: no process fits it then.
 */

enum {
	RUNNING_SLOTS = 64,
	RUNNING_LINE_LEN = 128, /* divides a page: a write of one line is not cut in two */
};

struct running;

/**
 * dir: the queue directory, used by this worker alone; not kept. Ends what another worker left running: on
 * return all of these process groups are gone. NULL with errno set; EBUSY if one of them cannot be ended.
 */
struct running *running_open(int dir);

void running_close(struct running *r);

/* A note, to be written by the new process itself. */
struct running_note {
	int fd;
	off_t at;
	pid_t worker;
	char line[RUNNING_LINE_LEN + 1];
};

/** Prepare the note of a hook in this slot. */
void running_prepare(const struct running *r, unsigned slot, const char *delivery,
    struct running_note *note);

/**
 * Write the note: in the new process, before it becomes the hook. It leads its process group. Calls nothing that is not
 * safe between vfork() and execve(). Returns 0, or -1 with errno set, ESRCH if the worker has ended meanwhile: then the
 * hook must not run. A worker that ends after that leaves the note to the next one.
 */
int running_write(struct running_note *note);

#endif
