#ifndef WORKER_RESUME_H
#define WORKER_RESUME_H

#include "worker/follow_file.h"

/**
 * Where to go on in an open file of the journal directory `dir`: *at, which is moved if the file was rewritten
 * (store/journal_rewrite.h) since it was read. exactly: it may have been rewritten.
 * Returns 1, 0 if the last line read is not where it was and the file is not a rewritten one (then *at is as it was),
 * or -1 with errno set: the file cannot be read.
 */
int resume_place(int dir, int fd, struct follow_file *at, bool exactly);

#endif
