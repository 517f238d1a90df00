#ifndef WORKER_TARGET_H
#define WORKER_TARGET_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/conf.h"

/*
 * What deliveries are handed to (contract section 6). A target has a name: a hook's file name (order.created,
 * order.created.d/10-crm). Each kind of targets is a table of functions; hooks are one.
 */

/* The longest name, with its NUL. */
enum { TARGET_SIZE = 192 };

/* What a target is told. The strings are the caller's; none is kept. */
struct target_call {
	const char *event;
	const char *delivery;
	const char *installation; /* "" where there is none */
	const char *shop;         /* "" where there is none */
	const char *received_at;
	unsigned attempt; /* from 1 */
	const char *body;
	size_t body_len;
	unsigned slot; /* no other attempt that is under way has it */
};

enum target_outcome {
	TARGET_DONE,
	TARGET_FAILED,          /* to be tried again later */
	TARGET_FAILED_FOR_GOOD, /* trying again is of no use */
};

/* An attempt that is under way. What a kind knows of it begins with this. */
struct target_attempt {
	const struct target_kind *kind;
};

typedef int target_each(void *user, const char *name);

/* One kind of targets. self: what its targets have in common. */
struct target_kind {
	/** What the names of its targets begin with. "": any name that begins with the prefix of no other kind. */
	const char *prefix;
	/** queue: the queue directory. NULL with errno set. */
	void *(*open)(int queue);
	/** No attempt is under way any more. */
	void (*close)(void *self);
	/** The configuration counts from now on, and outlives self. conf_file: absolute. */
	void (*configure)(void *self, const struct conf *conf, const char *conf_file);
	/** Log that match() cannot see its targets from now on (errno says why), or that it can again. */
	void (*log_seen)(const void *self, bool seen);
	/**
	 * Call each() with the names of those that want an event, in the order in which they get it. Returns 0, or -1 with
	 * errno set: that cannot be seen now.
	 */
	int (*match)(void *self, const char *event, target_each *each, void *user);
	/**
	 * Begin to hand a delivery to a target. NULL with errno set: the worker or the machine failed, which is no attempt.
	 */
	struct target_attempt *(
	    *start)(void *self, const char *name, const struct target_call *call);
	/** What to wait for: one entry. Returns the milliseconds until there is something to do anyway. */
	int (*poll)(const struct target_attempt *a, struct pollfd *fd);
	/** Do what can be done now, after poll(). Returns whether it has ended. */
	bool (*step)(struct target_attempt *a, const struct pollfd *fd);
	/** Its process, whose end ended() is told, with waitpid()'s status; 0: it has none. */
	pid_t (*process)(const struct target_attempt *a);
	void (*ended)(struct target_attempt *a, int status);
	/** Once it has ended: its outcome, and what happened in a few words in `why`. */
	enum target_outcome (*outcome)(const struct target_attempt *a, char *why, size_t size);
	/** Whether its target was not reached because it could not be executed: it may be away. */
	bool (*did_not_run)(const struct target_attempt *a);
	/** Forget it. One that is still under way is ended. */
	void (*free)(struct target_attempt *a);
};

/** Whether this is the name of the most specific hook of some event: one that stands in the hooks directory itself. */
bool target_is_most_specific(const char *name);

#endif
