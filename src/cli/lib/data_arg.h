#ifndef CLI_LIB_DATA_ARG_H
#define CLI_LIB_DATA_ARG_H

#include "base/buf.h"

/* The largest body that a command takes from a file, in bytes. */
enum { DATA_ARG_MAX = 16 << 20 };

/**
 * Read a body out of a file that was named on the command line, or from standard input for "-".
 * Returns 0, or -1 after saying what is wrong. The caller ends *out with buf_wipe() in both cases.
 */
int data_arg(const char *path, struct buf *out);

#endif
