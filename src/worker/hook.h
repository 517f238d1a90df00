#ifndef WORKER_HOOK_H
#define WORKER_HOOK_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "worker/running.h"
#include "worker/target.h"

/* Running people's programs (contract section 6). */

/* The signals that this process ignores, or was started to ignore: hooks do not inherit that. */
struct hook_signals {
	int ignored[NSIG];
	size_t n;
};

void hook_signals_read(struct hook_signals *s);

/* What starts a hook. The strings are the caller's; none is kept. */
struct hook_call {
	const char *path; /* of the program */
	const char *name; /* the target's, for the log */
	const struct target_call *target;
	const char *conf; /* the configuration file, absolute */
	const char *home; /* the worker's user's; NULL: not known */
	const struct hook_signals *signals;
	const struct running *running; /* where its process is noted before it runs */
};

struct hook;

/**
 * Start it, with the body on its standard input. timeout: seconds. What it prints goes to the log.
 * Returns NULL with errno set if the worker or the machine could not start it: out of memory, of
 * processes or of descriptors, an I/O error. That is no attempt of the hook. A program that cannot be
 * executed for another reason is one that failed: hook_outcome() says so.
 */
struct hook *hook_start(const struct hook_call *call, unsigned timeout);

/** What to wait for: one entry. Returns the milliseconds until its time is up. */
int hook_poll(const struct hook *h, struct pollfd *fd);

/** Do what can be done now, after poll(): read its output, kill it when its time is up. */
void hook_step(struct hook *h, const struct pollfd *fd);

/** Its process has ended and was waited for. status: as waitpid() says it. */
void hook_ended(struct hook *h, int status);

/**
 * Once it has ended: its outcome, and what happened in a few words ("exit 3", "signal 9", "timeout",
 * "cannot be executed: No such file or directory") in why.
 */
enum target_outcome hook_outcome(const struct hook *h, char *why, size_t size);

/** Its process; 0 once it has ended. */
pid_t hook_process(const struct hook *h);

/** Whether its program could not be executed. */
bool hook_did_not_run(const struct hook *h);

/** Forget it. One that still runs is killed with all its group. */
void hook_free(struct hook *h);

#endif
