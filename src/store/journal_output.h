#ifndef STORE_JOURNAL_OUTPUT_H
#define STORE_JOURNAL_OUTPUT_H

#include <time.h>

#include "store/journal_line.h"

/* The file that journal lines are written to: one for each day, and another one if the disk has failed. */

struct journal_output;

/** dir: of the journal, stays open as long; path: of the same directory. NULL: ENOMEM. */
struct journal_output *journal_output_open(int dir, const char *path);

/** NULL is fine. */
void journal_output_close(struct journal_output *j);

/**
 * Append lines of this day with one commit, and note in each what has become of it. take() is called once the
 * file is locked, and moves the lines to *lines. To be called by one thread at a time.
 */
void journal_output_write(struct journal_output *j, const char *day,
    void (*take)(void *user, const char *day, struct journal_lines *lines), void *user,
    struct journal_lines *lines);

/** As journal_ready(). Safe while another thread writes. */
int journal_output_ready(struct journal_output *j, const struct timespec *received);

#endif
