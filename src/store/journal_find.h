#ifndef STORE_JOURNAL_FIND_H
#define STORE_JOURNAL_FIND_H

#include "base/buf.h"

/*
 * One delivery by its UUID, without reading a whole file. A UUID version 7 begins with the time, and the lines
 * of a file are nearly in the order of their times.
 */

/**
 * Look for the line of the delivery `uuid` (36 characters, in lower case) in a file of the journal directory, at
 * the place that its time gives, and put the line into `line` (emptied first).
 * Returns 1, or 0 where the line is not at that place. It can still be elsewhere in the file: several processes
 * append, and a clock can be set back. -1 with errno set where the file cannot be read (EINVAL: it is no file).
 */
int journal_find(int dir, const char *file, const char *uuid, struct buf *line);

#endif
