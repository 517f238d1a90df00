#ifndef CLI_LIB_TABLE_H
#define CLI_LIB_TABLE_H

#include <stdio.h>

#include "base/buf.h"

/* Aligned columns for people. What others chose is escaped as in cli_print_text(). */

struct table;

/** titles: ended by NULL; the number of columns follows. The strings are copied. NULL: ENOMEM. */
struct table *table_new(const char *const *titles);

/** Add a row of as many cells as there are titles, copied; NULL is "-". */
void table_add(struct table *t, const char *const *cells);

/**
 * Print the titles and all rows. On a terminal they are cut at its edge. Returns the exit status: CLI_FAILED after
 * saying what is wrong.
 */
int table_print(struct table *t, FILE *fp);

void table_free(struct table *t);

/*
 * The same for rows that the caller keeps, to print them in another order: make each row, then print the
 * titles, then the rows.
 */

/** A row of cells as above, into `row` (emptied first). */
void table_row(struct table *t, const char *const *cells, struct buf *row);

/** Add such a row to the table. */
void table_add_row(struct table *t, const struct buf *row);

int table_print_titles(struct table *t, FILE *fp);
void table_print_row(const struct table *t, FILE *fp, const char *row);

#endif
