#ifndef CLI_LIB_TABLE_H
#define CLI_LIB_TABLE_H

#include <stdio.h>

/* Aligned columns for people. What others chose is escaped as in cli_print_text(). */

struct table;

/** titles: ended by NULL; the number of columns follows. The strings are copied. NULL: ENOMEM. */
struct table *table_new(const char *const *titles);

/** Add a row of as many cells as there are titles, copied; NULL is "-". */
void table_add(struct table *t, const char *const *cells);

/** Print the titles and all rows. On a terminal they are cut at its edge. */
void table_print(const struct table *t, FILE *fp);

void table_free(struct table *t);

#endif
