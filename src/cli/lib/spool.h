#ifndef CLI_LIB_SPOOL_H
#define CLI_LIB_SPOOL_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * Data that is collected before it can be printed. A little of it is kept in memory, the rest in a temporary file
 * that has no name; where no file can be made, or it cannot be written, all the rest stays in memory.
 */

struct spool;

/** NULL: ENOMEM. */
struct spool *spool_new(void);

/** NULL is fine. */
void spool_free(struct spool *s);

/** Where the next piece will be. */
uint64_t spool_end(const struct spool *s);

/** Append a piece. Returns 0, or -1 with errno ENOMEM. */
int spool_add(struct spool *s, const void *data, size_t len);

/** Read a piece as it was added, or a part of one, into `out` (emptied first). 0, or -1 with errno set. */
int spool_read(struct spool *s, uint64_t at, size_t len, struct buf *out);

#endif
