#ifndef STORE_WAIT_H
#define STORE_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Reading in threads that serve many requests. Such a thread must not wait for the disk, because all its
 * requests would wait. It says so with wait_permit(false). Then what is not in memory is not read, and
 * the thread finds out by wait_was_needed(), and leaves the request to a thread that may wait.
 */

/** Whether this thread may wait for the disk from now on. It may until this is called. */
void wait_permit(bool permitted);

/** Whether this thread could not read something without waiting, since it called wait_permit(). */
bool wait_was_needed(void);

/** Note that it could not, where what it would wait for is not the disk. */
void wait_note_needed(void);

/** openat() for reading. -1 with errno EAGAIN: this thread may not wait, and would have to. */
int wait_open(int dir, const char *name, int flags);

/** read() from the beginning of a file on. -1 with errno EAGAIN: as above. */
ssize_t wait_read(int fd, void *data, size_t len, off_t at);

#endif
