#ifndef RECEIVER_SERVE_H
#define RECEIVER_SERVE_H

#include "base/conf.h"
#include "receiver/descriptors.h"

/* Serving FastCGI on a listening socket, with threads. */

struct serving {
	int listener;
	const char *conf_file; /* read again on SIGHUP */
	struct descriptors descriptors;
	int ready_fd; /* one byte is written here when requests are accepted; or -1 */
};

/**
 * Serve until SIGTERM, SIGINT or SIGUSR1; then finish what is in flight, 10 seconds at most. SIGHUP
 * reads the configuration again, and a broken one is logged and not taken. Takes `conf` over.
 * Returns the program's exit status.
 */
int serve(const struct serving *s, struct conf *conf);

/**
 * Load a configuration as a server wants it, with all secrets readable. Mistakes are added to `errors`.
 * Returns it for conf_free(), or NULL.
 */
struct conf *serve_conf(const char *file, struct buf *errors);

/**
 * As root, become the owner of the state directory before anything is written. Where there is no such
 * directory now, the receiver stays root; it does the same before it opens the directory.
 */
void serve_become_owner(const struct conf *conf);

/** Log every line of `errors`. */
void serve_log_errors(const struct buf *errors);

/** Say at the start what would otherwise be found out one refused delivery at a time. */
void serve_warn(const struct conf *conf);

#endif
