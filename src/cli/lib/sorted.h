#ifndef CLI_LIB_SORTED_H
#define CLI_LIB_SORTED_H

#include <stddef.h>
#include <time.h>

#include "base/buf.h"

/* Rows that come in any order and are printed the newest first, however many: only their times are in memory. */

struct sorted;

/** NULL: ENOMEM. */
struct sorted *sorted_new(void);

/** NULL is fine. */
void sorted_free(struct sorted *s);

/** Add a row, copied. name: decides between rows of the same time. Returns 0, or -1 with errno ENOMEM. */
int sorted_add(struct sorted *s, const struct timespec *time, const char *name, const void *row,
    size_t len);

/** How many there are. */
size_t sorted_count(const struct sorted *s);

/** Call each() with every row, in order. Ends the adding. Returns 0, or -1 with errno set. */
int sorted_each(struct sorted *s, void (*each)(void *user, const char *row, size_t len),
    void *user);

#endif
