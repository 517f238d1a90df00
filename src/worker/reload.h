#ifndef WORKER_RELOAD_H
#define WORKER_RELOAD_H

#include "base/conf.h"

/**
 * Read the configuration again, from where the old one came from, and log to where it says. A log file is opened
 * again in any case. *path: the absolute path of the file, for hooks, which the caller frees.
 * Returns the new configuration, for conf_free(); or NULL after it was logged why the old one stays: it is
 * invalid, or another state directory is in it.
 */
struct conf *reload_conf(const struct conf *old, char **path);

#endif
