#ifndef WORKER_RUNNER_H
#define WORKER_RUNNER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "store/state.h"
#include "worker/follow.h"
#include "worker/provision.h"
#include "worker/queue.h"
#include "worker/running.h"

/*
 * Deliveries on their way to their targets: it reads the journal as far as there is room, gives each installation its turn
 * (worker/lanes.h), starts attempts in one of `concurrency` slots, and lets what fails wait in the queue until it is tried
 * again or given up.
 */

enum { RUNNER_SLOTS_MAX = RUNNING_SLOTS, RUNNER_POLL_FDS = RUNNER_SLOTS_MAX };

struct runner;

/**
 * All of these outlive it. Hooks that a worker before left running are ended first. conf_file: absolute, for
 * the hooks. NULL with errno set.
 */
struct runner *runner_new(const struct conf *conf, const char *conf_file, const struct state *state,
    struct queue *queue, struct follow *follow, const struct provision *provision);

/**
 * Go on with another configuration. Hooks that run go on with the old one's hook_timeout. provision NULL: there
 * is none for now, and installs wait.
 */
void runner_configure(struct runner *r, const struct conf *conf, const char *conf_file,
    const struct provision *provision);

/** Attempts that are still under way are ended. NULL is fine. */
void runner_free(struct runner *r);

/** How many attempts are under way. */
unsigned runner_running(const struct runner *r);

/** Look for the targets, and log if they are unavailable. */
void runner_look(struct runner *r);

/** Record what became of the attempts that have ended, and write what could not be written before. */
void runner_save(struct runner *r);

/** Start what there is to do, as far as there is room: what waits and is due, and lines of the journal. */
void runner_fill(struct runner *r);

/**
 * After runner_fill(): have what became of the attempts on stable storage if none runs now. Else this waits a while for
 * other attempts, so that one sync is for all of them.
 */
void runner_sync(struct runner *r);

/** runner_fill() is not called any more. */
void runner_stop(struct runner *r);

/**
 * Whether all is done that can be done now, for --once: no line left, no attempt under way, nothing due. If the worker
 * itself fails, that is nothing more.
 */
bool runner_is_idle(const struct runner *r);

/** Whether the worker itself failed at any time, or a part of the journal cannot be read now: not all was done. */
bool runner_has_failed(const struct runner *r);

/** Look for what `fluidhook retry` has put into the queue, and forget runs of days that are gone. */
void runner_refresh(struct runner *r);

/** Installations have got their credentials, or never will: look at what waits for that. */
void runner_wake(struct runner *r);

/** What to wait for: up to RUNNER_POLL_FDS entries, whose number is returned. Shortens *timeout (ms). */
unsigned runner_poll(const struct runner *r, struct pollfd *fds, int *timeout);

/** Do what can be done now, after poll(). */
void runner_step(struct runner *r, const struct pollfd *fds);

/** A process has ended and was waited for. It may be a hook. */
void runner_ended(struct runner *r, pid_t pid, int status);

/** Save how far everything before is dealt with, if that has changed and was not done a moment ago. */
void runner_save_position(struct runner *r);

/** At the end: write what could not be written yet, the position last. Returns 0, or -1 if something is lost, which is logged. */
int runner_finish(struct runner *r);

#endif
