#ifndef CLI_LIB_INSTALLATION_ARG_H
#define CLI_LIB_INSTALLATION_ARG_H

#include "base/conf.h"
#include "store/installation.h"

/**
 * The installation that a word on the command line means: a record's name (a dri), or a shop where that
 * is unambiguous: its only active installation, or its only one at all. Becomes the owner of the state
 * directory. Returns it for installation_free(), or NULL after saying what is wrong.
 */
struct installation *installation_arg(const struct conf *conf, const char *word);

/** What to say where a record cannot be read, for the errno of installation_load(). */
const char *installation_problem(int error);

#endif
