#ifndef WORKER_RUNNING_H
#define WORKER_RUNNING_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Which hooks run, in the file queue/running: a worker that was killed leaves them behind, and the next one ends
 * them before it runs anything. Each slot has a line of a fixed length, so that a note is one write over the old
 * one: it can not be half there, and needs no room on a full disk. It holds the process, when that started, the
 * boot, and the delivery. A process id alone can be that of another process by now.
 */

enum { RUNNING_SLOTS = 64 };

struct running;

/**
 * dir: the queue directory, used by this worker alone; not kept. Ends what another worker left running: on
 * return all of these process groups are gone. NULL with errno set; EBUSY if one of them cannot be ended.
 */
struct running *running_open(int dir);

void running_close(struct running *r);

/**
 * Note that this process runs in this slot. It leads its process group. Returns 0, or -1 with errno set: then it
 * must not run.
 */
int running_note(struct running *r, unsigned slot, pid_t pid, const char *delivery);

/** It has ended. */
void running_clear(struct running *r, unsigned slot);

#endif
