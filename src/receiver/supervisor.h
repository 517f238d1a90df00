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
	const char *program; /* its path: what is there is executed */
	const char *conf_file;
	struct descriptors descriptors;
};

/**
 * Serve until SIGTERM or SIGINT. SIGHUP executes the program anew, which reads the configuration, and stops
 * the old process when the new one accepts requests. Takes `conf` over. Returns the program's exit status.
 */
int supervise(const struct supervision *how, struct conf *conf);

/** What a process that a supervisor has executed knows of it. */
struct supervised {
	int ready_fd; /* where to say that it is ready; -1: there is no supervisor */
	int parent;   /* the supervisor's process */
};

/** Whether this process was executed by a supervisor. Takes that out of the environment. */
struct supervised supervised_by(void);

/** End with the supervisor, also where it cannot say so. Exits if it is gone. After a change of the user. */
void supervised_end_together(const struct supervised *s);

#endif
