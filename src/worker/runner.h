#ifndef WORKER_RUNNER_H
#define WORKER_RUNNER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/conf.h"
#include "store/state.h"
#include "worker/provision.h"
#include "worker/hook.h"
#include "worker/queue.h"

/*
 * Deliveries on their way through hooks: a line of the journal is the beginning, its hook runs in one of
 * `concurrency` slots, and what fails waits in the queue until it is tried again or given up.
 */

enum { RUNNER_SLOTS_MAX = RUNNING_SLOTS, RUNNER_POLL_FDS = RUNNER_SLOTS_MAX };

struct runner;

/**
 * All of these outlive it. Hooks that a worker before left running are ended first. conf_file: absolute, for
 * the hooks. NULL with errno set.
 */
struct runner *runner_new(const struct conf *conf, const char *conf_file, const struct state *state,
    struct queue *queue, const struct provision *provision);

/**
 * Go on with another configuration. Hooks that run go on with the old one's hook_timeout. provision NULL: there
 * is none for now, and installs wait.
 */
void runner_configure(struct runner *r, const struct conf *conf, const char *conf_file,
    const struct provision *provision);

/** Hooks that still run are killed. NULL is fine. */
void runner_free(struct runner *r);

/** How many hooks run. */
unsigned runner_running(const struct runner *r);

/** Whether there is room for another one, and nothing keeps it from being started now. */
bool runner_has_room(const struct runner *r);

/**
 * Whether nothing can be started for a moment, as the worker itself failed: the hooks directory could not be
 * seen, a process could not be made.
 */
bool runner_is_blocked(const struct runner *r);

/** Whether that, or a failure to read a delivery again, was so at any time: not all was done. */
bool runner_has_failed(const struct runner *r);

/** Look for the hooks directory, and log if it is unavailable. */
void runner_look(struct runner *r);

/**
 * Deal with a line of the journal, while there is room: start its hook, let it wait, or skip it. Returns false if
 * the worker itself failed: the same line is then to be given again once there is room.
 */
bool runner_line(struct runner *r, const struct buf *line, const struct follow_place *place);

/** Start what waits and is due, as far as there is room. */
void runner_retry(struct runner *r);

/** When something that waits is due (by queue_clock(), perhaps in the past), 0: nothing waits. */
int64_t runner_next(const struct runner *r);

/** Whether what was started last was a retry: then it is a line's turn. */
bool runner_retried_last(const struct runner *r);

/**
 * Write what could not be written before: retries, and notes of what became of hooks. Nothing is started until
 * all of it is on disk.
 */
void runner_flush(struct runner *r);

/** Note what became of the hooks that have ended, before others are started. */
void runner_note(struct runner *r);

/** Have these notes on stable storage, before a position behind them is saved. Returns 0, or -1. */
int runner_sync(struct runner *r);

/** runner_flush() at the end, where what is still not written is lost, and logged. Returns 0, or -1. */
int runner_finish(struct runner *r);

/** Where errno says that the disk is full: give back the room that is held for notes. */
void runner_make_room(struct runner *r);

/** Look for what `fluidhook retry` has put into the queue. */
void runner_refresh(struct runner *r);

/** Installations have got their credentials, or never will: look at what waits for that. */
void runner_wake(struct runner *r);

/** What to wait for: up to RUNNER_POLL_FDS entries, whose number is returned. Shortens *timeout (ms). */
unsigned runner_poll(const struct runner *r, struct pollfd *fds, int *timeout);

/** Do what can be done now, after poll(). */
void runner_step(struct runner *r, const struct pollfd *fds);

/** A process has ended and was waited for. Returns whether it was a hook. */
bool runner_ended(struct runner *r, pid_t pid, int status);

/**
 * Take a position back to where to go on after a crash: in front of the lines whose hooks still run. Returns false if
 * something that was read is in memory alone, so that no position can be saved.
 */
bool runner_hold_back(const struct runner *r, struct follow_file *files, unsigned n);

#endif
