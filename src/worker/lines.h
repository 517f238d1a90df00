#ifndef WORKER_LINES_H
#define WORKER_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/uuid.h"
#include "store/journal_files.h"

/*
 * Single lines of the journal. A line is known by its delivery. Where it begins is only a hint: a file can have been
 * restored, replaced or written anew.
 */

/* Where a line is, or was. */
struct follow_place {
	char name[JOURNAL_NAME_SIZE];
	uint64_t offset;
};

/** Open a journal file for reading. Returns a descriptor, or -1 with errno set: EINVAL if it is no regular file. */
int lines_open(int dir, const char *name);

/** The delivery that a line is of; "" if it says none that fits. */
void lines_delivery(const char *line, size_t len, char delivery[UUID_SIZE]);

/**
 * Whether a line of this delivery begins at this offset. Returns 1 or 0, or -1 with errno set: the file cannot be
 * read there.
 */
int lines_is_at(int fd, uint64_t offset, const char *delivery);

/**
 * Look for the line of a delivery in one file, from its beginning. Returns 1 with where it begins and where the next
 * line does, 0 if it is not in it, or -1 with errno set.
 */
int lines_seek(int dir, const char *name, const char *delivery, uint64_t *begin, uint64_t *end);

/**
 * Where the line that begins at this offset ends: behind its newline. Returns 1, 0 if none begins there, or -1 with
 * errno set.
 */
int lines_end(int fd, uint64_t offset, uint64_t *end);

/**
 * Read the line of a delivery, without its newline, into `line` (emptied first): at its place, else wherever the
 * journal has it now; *place then says where. Returns 0, or -1 with errno set: ENOENT if it is in no file, anything
 * else if not all files could be read.
 */
int lines_find(int dir, const char *delivery, struct follow_place *place, struct buf *line);

#endif
