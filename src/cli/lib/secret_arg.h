#ifndef CLI_LIB_SECRET_ARG_H
#define CLI_LIB_SECRET_ARG_H

#include "base/conf.h"

/**
 * The secret in a file that was named on the command line: its first one, as in a droplet's file of
 * secrets. The file must not be open to others. The caller ends it with secret_free().
 * NULL after saying what is wrong.
 */
char *secret_arg(const char *path);

/** The newest secret of a droplet, for secret_free(). NULL after saying what is wrong. */
char *secret_newest(const struct conf_droplet *droplet);

#endif
