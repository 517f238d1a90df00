#ifndef RECEIVER_SUPERVISOR_H
#define RECEIVER_SUPERVISOR_H

#include "base/conf.h"
#include "receiver/descriptors.h"
#include "receiver/listen.h"

/*
 * The small process of --listen that holds the socket, so that no connection is lost while the process
 * that serves it dies, or is replaced. It handles no request itself.
 */

struct supervision {
	struct listen listen;
	const char *conf_file;
	struct descriptors descriptors;
};

/**
 * Serve until SIGTERM or SIGINT. SIGHUP starts a process with the new configuration, and stops the old
 * one when that accepts requests. Takes `conf` over. Returns the program's exit status.
 */
int supervise(const struct supervision *how, struct conf *conf);

#endif
