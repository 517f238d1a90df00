#include "worker/runner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "worker/backoff.h"
#include "worker/launch.h"
#include "worker/result.h"
#include "worker/runner_parts.h"
#include "worker/turn.h"

enum { BLOCKED_MS = 1000 }; /* pause after a failure of the worker itself */

void
runner_block(struct runner *r)
{
	r->failed = true;
	r->blocked_until = backoff_now() + BLOCKED_MS;
}

struct runner *
runner_new(const struct conf *conf, const char *conf_file, const struct state *state,
    struct queue *queue, const struct provision *provision)
{
	struct runner *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return (NULL);
	*r = (struct runner){ .conf = conf,
		.conf_file = conf_file,
		.state = state,
		.queue = queue,
		.provision = provision,
		.reserve = { .dir = -1, .fd = -1 } };
	hook_signals_read(&r->signals);
	if ((r->hooks = hooks_new()) == NULL || (r->running = running_open(state->queue)) == NULL ||
	    (r->waiting = waiting_new(queue)) == NULL) {
		running_close(r->running);
		hooks_free(r->hooks);
		free(r);
		return (NULL);
	}
	return (r);
}

void
runner_configure(struct runner *r, const struct conf *conf, const char *conf_file,
    const struct provision *provision)
{
	r->conf = conf;
	r->conf_file = conf_file;
	r->provision = provision;
}

/* Let go of a slot's hook, which is killed if it still runs. */
static void
free_hook(struct slot *slot)
{
	hook_free(slot->hook);
	slot->hook = NULL;
	job_free(&slot->job);
}

void
runner_free(struct runner *r)
{
	if (r == NULL)
		return;
	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
		if (r->slots[i].hook)
			free_hook(&r->slots[i]);
	waiting_free(r->waiting);
	running_close(r->running);
	hooks_free(r->hooks);
	reserve_drop(&r->reserve);
	free(r);
}

unsigned
runner_running(const struct runner *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
		n += r->slots[i].hook != NULL;
	return (n);
}

struct slot *
runner_free_slot(struct runner *r)
{
	for (unsigned i = 0; i < r->conf->concurrency; i++)
		if (r->slots[i].hook == NULL)
			return (&r->slots[i]);
	return (NULL);
}

bool
runner_is_blocked(const struct runner *r)
{
	return (r->unsaved || r->unnoted || backoff_now() < r->blocked_until);
}

bool
runner_has_failed(const struct runner *r)
{
	return (r->failed);
}

bool
runner_has_room(const struct runner *r)
{
	return (!runner_is_blocked(r) && runner_running(r) < r->conf->concurrency);
}

bool
runner_retried_last(const struct runner *r)
{
	return (r->retried_last);
}

void
runner_look(struct runner *r)
{
	char path[HOOK_PATH_SIZE];
	struct stat st;

	if (launch_find(r, "any", path) == 0 && stat(r->conf->hooks, &st))
		log_line(LOG_LEVEL_INFO, "there are no hooks", "hooks", r->conf->hooks, NULL);
}

static void
end_slot(struct runner *r, struct slot *slot)
{
	struct queue_item *item = &slot->job.item;
	enum hook_outcome outcome = hook_result(slot->hook, item->why, sizeof(item->why));

	if (outcome == HOOK_DONE) {
		item->why[0] = '\0';
		result_done(r, item);
	} else if (launch_lost_directory(r, slot)) {
		item->attempts--;
		item->next = queue_clock() + 1;
		result_wait(r, item);
	} else {
		result_failed(r, item, outcome == HOOK_FAILED_FOR_GOOD);
	}
	free_hook(slot);
}

bool
runner_line(struct runner *r, const struct buf *line, const struct follow_place *place)
{
	struct slot *slot = runner_free_slot(r);
	bool dealt_with = true;
	struct job job;

	if (job_read(&job, line->data, line->len, place) == 0)
		dealt_with = turn_line(r, &job, slot);
	else if (errno == ENOMEM)
		dealt_with = turn_failed(r, &job);
	else
		log_line(LOG_LEVEL_WARN, "journal line is no delivery", "file", place->name, NULL);
	job_free(&job);
	return (dealt_with);
}

static bool
is_running(const struct runner *r, const char *delivery)
{
	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
		if (r->slots[i].hook && strcmp(r->slots[i].job.item.delivery, delivery) == 0)
			return (true);
	return (false);
}

void
runner_retry(struct runner *r)
{
	char cursor[UUID_SIZE] = "";
	struct queue_item item;
	int64_t now = queue_clock();

	while (runner_has_room(r) && waiting_next(r->waiting, cursor, &item))
		if (item.next <= now && !is_running(r, item.delivery))
			turn_item(r, &item);
}

int64_t
runner_next(const struct runner *r)
{
	char cursor[UUID_SIZE] = "";
	struct queue_item item;
	int64_t next = 0;

	while (waiting_next(r->waiting, cursor, &item))
		if (!is_running(r, item.delivery) && (next == 0 || item.next < next))
			next = item.next > 0 ? item.next : 1;
	return (next);
}

void
runner_note(struct runner *r)
{
	result_write_notes(r);
	/* For a while longer if more is to come. */
	if (r->sync_due && (runner_running(r) == 0 || backoff_now() >= r->sync_due))
		result_sync_notes(r);
}

int
runner_sync(struct runner *r)
{
	return (r->unnoted ? 0 : result_sync_notes(r));
}

void
runner_flush(struct runner *r)
{
	if ((!r->unsaved && !r->unnoted) || backoff_now() < r->blocked_until)
		return;
	if (r->unsaved)
		result_save_again(r, false);
	if (r->unnoted)
		result_note_again(r);
	if (r->unsaved || r->unnoted)
		runner_block(r);
	else
		log_line(LOG_LEVEL_INFO, "all is noted now", NULL);
}

int
runner_finish(struct runner *r)
{
	if (r->unsaved)
		result_save_again(r, true);
	if (r->unnoted)
		result_note_again(r);
	else
		result_sync_notes(r);
	if (r->unnoted)
		log_errno(LOG_LEVEL_ERROR, "notes lost: hooks that ran can run again", NULL);
	return (r->unsaved || r->unnoted ? -1 : 0);
}

void
runner_make_room(struct runner *r)
{
	result_make_room(r);
}

void
runner_refresh(struct runner *r)
{
	waiting_refresh(r->waiting);
}

void
runner_wake(struct runner *r)
{
	waiting_wake_credentials(r->waiting, queue_clock());
}

unsigned
runner_poll(const struct runner *r, struct pollfd *fds, int *timeout)
{
	unsigned n = 0;
	int left;

	if (runner_is_blocked(r) && *timeout > BLOCKED_MS)
		*timeout = BLOCKED_MS;
	if (r->sync_due && (left = (int)(r->sync_due - backoff_now())) < *timeout)
		*timeout = left < 0 ? 0 : left;
	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
		if (r->slots[i].hook) {
			left = hook_poll(r->slots[i].hook, &fds[n]);
			*timeout = left < *timeout ? left : *timeout;
			n++;
		}
	return (n);
}

void
runner_step(struct runner *r, const struct pollfd *fds)
{
	unsigned n = 0;

	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
		if (r->slots[i].hook)
			hook_step(r->slots[i].hook, &fds[n++]);
}

bool
runner_ended(struct runner *r, pid_t pid, int status)
{
	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
		if (r->slots[i].hook && hook_process(r->slots[i].hook) == pid) {
			hook_ended(r->slots[i].hook, status);
			end_slot(r, &r->slots[i]);
			return (true);
		}
	return (false);
}

/* The position of a file is the lowest offset of what still runs: of a line, which is where it was. */
static void
hold_back(struct follow_file *file, const struct slot *slot)
{
	const struct queue_item *item = &slot->job.item;

	if (slot->is_retry || item->place.offset >= file->offset ||
	    strcmp(file->name, item->place.name) != 0)
		return;
	file->offset = file->last = item->place.offset;
	memcpy(file->delivery, item->delivery, sizeof(file->delivery));
}

bool
runner_hold_back(const struct runner *r, struct follow_file *files, unsigned n)
{
	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
		for (unsigned k = 0; r->slots[i].hook && k < n; k++)
			hold_back(&files[k], &r->slots[i]);
	return (!r->unsaved);
}
