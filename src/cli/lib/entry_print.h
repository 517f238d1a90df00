#ifndef CLI_LIB_ENTRY_PRINT_H
#define CLI_LIB_ENTRY_PRINT_H

#include "store/entry.h"

/**
 * Print a delivery as JSON on a line: what the journal says of it, without the signature. body: how to show the body;
 * NULL: not at all. Returns the exit status.
 */
int entry_print_json(const struct entry *e, const char *body);

#endif
