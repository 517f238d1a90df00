#include "worker/runner.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "store/layout.h"
#include "worker/backoff.h"
#include "worker/launch.h"
#include "worker/position.h"
#include "worker/result.h"
#include "worker/runner_parts.h"
#include "worker/turn.h"

enum {
	BLOCKED_MS = 1000, /* pause after a failure of the worker itself */
	SAVE_MS = 1000,    /* how often the position is saved while it moves */
	/* and how often if it does not, while something is under way: others see that the worker goes on */
	SAVE_AGAIN_MS = 30000,
};

void
runner_block(struct runner *r)
{
	r->failed = true;
	r->blocked_until = backoff_now() + BLOCKED_MS;
}

bool
runner_is_blocked(const struct runner *r)
{
	return (r->unsaved || r->unnoted || backoff_now() < r->blocked_until);
}

static int
open_parts(struct runner *r)
{
	if ((r->targets = targets_new(r->state->queue)) == NULL ||
	    (r->lanes = lanes_new()) == NULL ||
	    (r->runs_dir = layout_open(r->state->dir, LAYOUT_RUNS)) == -1 ||
	    (r->old_runs_dir = layout_open(r->state->dir, LAYOUT_RAN)) == -1 ||
	    (r->runs = runs_open(r->runs_dir, r->old_runs_dir)) == NULL)
		return (-1);
	return (0);
}

struct runner *
runner_new(const struct conf *conf, const char *conf_file, const struct state *state,
    struct queue *queue, struct follow *follow, const struct provision *provision)
{
	struct runner *r = calloc(1, sizeof(*r));
	int error;

	if (r == NULL)
		return (NULL);
	*r = (struct runner){ .state = state,
		.queue = queue,
		.follow = follow,
		.runs_dir = -1,
		.old_runs_dir = -1,
		.more_lines = true,
		.reserve = { .dir = -1, .fd = -1 } };
	if (open_parts(r)) {
		error = errno;
		runner_free(r);
		errno = error;
		return (NULL);
	}
	runner_configure(r, conf, conf_file, provision);
	runs_drop_old(r->runs, state->journal);
	return (r);
}

void
runner_configure(struct runner *r, const struct conf *conf, const char *conf_file,
    const struct provision *provision)
{
	r->conf = conf;
	r->provision = provision;
	targets_configure(r->targets, conf, conf_file);
}

struct handover *
handover_new(void)
{
	return (calloc(1, sizeof(struct handover)));
}

void
handover_free(struct handover *h)
{
	if (h->job) {
		job_free(h->job);
		free(h->job);
	}
	target_list_free(&h->targets);
	free(h);
}

void
handover_end(struct runner *r, struct handover *h)
{
	lanes_end(r->lanes, h);
	if (!h->is_retry) {
		*(h->older ? &h->older->newer : &r->oldest) = h->newer;
		*(h->newer ? &h->newer->older : &r->newest) = h->older;
		r->position_changed = true;
	}
	handover_free(h);
}

/* Let go of a slot's attempt, which is ended if it is still under way. */
static void
free_slot(struct runner *r, struct slot *slot)
{
	slot->attempt->kind->free(slot->attempt);
	slot->attempt = NULL;
	slot->h = NULL;
	r->n_running--;
}

void
runner_free(struct runner *r)
{
	if (r == NULL)
		return;
	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
		if (r->slots[i].attempt) {
			handover_free(r->slots[i].h);
			free_slot(r, &r->slots[i]);
		}
	lanes_free(r->lanes, handover_free);
	targets_free(r->targets);
	target_list_free(&r->found);
	buf_wipe(&r->line);
	runs_close(r->runs);
	if (r->runs_dir != -1)
		close(r->runs_dir);
	if (r->old_runs_dir != -1)
		close(r->old_runs_dir);
	reserve_drop(&r->reserve);
	free(r);
}

void
runner_stop(struct runner *r)
{
	r->stopping = true;
}

unsigned
runner_running(const struct runner *r)
{
	return (r->n_running);
}

struct slot *
runner_free_slot(struct runner *r)
{
	for (unsigned i = 0; i < r->conf->concurrency && r->n_running < r->conf->concurrency; i++)
		if (r->slots[i].attempt == NULL)
			return (&r->slots[i]);
	return (NULL);
}

bool
runner_has_failed(const struct runner *r)
{
	return (r->failed || r->unread);
}

void
runner_look(struct runner *r)
{
	struct stat st;

	if (targets_match(r->targets, "any", &r->found) == 0 && stat(r->conf->hooks, &st))
		log_line(LOG_LEVEL_INFO, "there are no hooks", "hooks", r->conf->hooks, NULL);
}

bool
runner_is_idle(const struct runner *r)
{
	int64_t next = queue_next(r->queue);

	if (r->n_running)
		return (false);
	if (runner_is_blocked(r))
		return (true);
	return (!r->more && !r->more_lines && lanes_count(r->lanes) == 0 &&
	    (next == 0 || next > queue_clock()));
}

static int
timeout_of(const struct runner *r, int most)
{
	int64_t now = backoff_now(), next, left = most;
	bool can_start = !r->stopping && !runner_is_blocked(r) &&
	    r->n_running < r->conf->concurrency;

	if (r->more && can_start)
		return (0);
	if (can_start && r->rest_until && r->rest_until - now < left)
		left = r->rest_until - now;
	/* If what is due cannot start, an attempt's end comes first. */
	if (can_start && (next = queue_next(r->queue)) != 0 && (next - queue_clock()) * 1000 < left)
		left = (next - queue_clock()) * 1000;
	if (runner_is_blocked(r) && left > BLOCKED_MS)
		left = BLOCKED_MS;
	if (r->sync_due && r->sync_due - now < left)
		left = r->sync_due - now;
	if (r->position_changed && left > SAVE_MS)
		left = SAVE_MS;
	return (left < 0 ? 0 : (int)left);
}

unsigned
runner_poll(const struct runner *r, struct pollfd *fds, int *timeout)
{
	unsigned n = 0;
	int left;

	*timeout = timeout_of(r, *timeout);
	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
		if (r->slots[i].attempt) {
			left = r->slots[i].attempt->kind->poll(r->slots[i].attempt, &fds[n++]);
			*timeout = left < *timeout ? left : *timeout;
		}
	return (n);
}

/* An attempt has ended. */
static void
end_slot(struct runner *r, struct slot *slot)
{
	struct handover *h = slot->h;

	result_of(r, slot);
	free_slot(r, slot);
	/* The next target's turn comes after those of other installations. */
	if (++h->at < h->targets.n)
		lanes_put_back(r->lanes, h, h->is_retry ? LANE_RETRIES : LANE_FRESH, 0);
	else
		turn_over(r, h);
}

void
runner_step(struct runner *r, const struct pollfd *fds)
{
	unsigned n = 0;

	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
		if (r->slots[i].attempt &&
		    r->slots[i].attempt->kind->step(r->slots[i].attempt, &fds[n++]))
			end_slot(r, &r->slots[i]);
}

void
runner_ended(struct runner *r, pid_t pid, int status)
{
	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++) {
		struct target_attempt *a = r->slots[i].attempt;

		if (a && a->kind->process && a->kind->process(a) == pid) {
			a->kind->ended(a, status);
			end_slot(r, &r->slots[i]);
			return;
		}
	}
}

static void
lost(const struct queue_item *item)
{
	log_errno(LOG_LEVEL_ERROR, "retry lost: its hook runs again as if it had not run",
	    "delivery", item->delivery, NULL);
}

void
runner_save(struct runner *r)
{
	result_write_runs(r);
	if (r->sync_due && backoff_now() >= r->sync_due)
		result_sync_runs(r);
	if ((!r->unsaved && !r->unnoted) || backoff_now() < r->blocked_until)
		return;
	result_save_again(r, NULL);
	if (r->unsaved || r->unnoted)
		runner_block(r);
	else
		log_line(LOG_LEVEL_INFO, "all is noted now", NULL);
}

void
runner_sync(struct runner *r)
{
	if (r->sync_due && r->n_running == 0)
		result_sync_runs(r);
}

void
runner_refresh(struct runner *r)
{
	queue_refresh(r->queue);
	runs_drop_old(r->runs, r->state->journal);
}

void
runner_wake(struct runner *r)
{
	queue_wake_credentials(r->queue, queue_clock());
}

/* The position of a file is the lowest offset of what is under way: of a line, which is where it was. */
static void
hold_back(struct follow_file *files, unsigned n, const struct handover *h)
{
	for (unsigned k = n; k-- > 0;)
		if (strcmp(files[k].name, h->place.name) == 0) {
			if (files[k].under_way++ == 0)
				files[k].read = files[k].offset;
			if (h->place.offset >= files[k].offset)
				return;
			files[k].offset = files[k].last = h->place.offset;
			memcpy(files[k].delivery, h->delivery, sizeof(files[k].delivery));
			return;
		}
}

static void
save_position(struct runner *r)
{
	struct follow_file *files;
	unsigned n;

	/* What was read is in memory alone. */
	if (r->unsaved || (!r->unnoted && result_sync_runs(r)))
		return;
	files = follow_position(r->follow, &n);
	for (unsigned k = 0; k < n; k++)
		files[k].under_way = 0;
	for (const struct handover *h = r->oldest; h; h = h->newer)
		hold_back(files, n, h);
	r->position_saved = backoff_now();
	if (position_save(queue_directory(r->queue), files, n) == 0) {
		r->position_changed = r->position_unsaved = false;
		return;
	}
	log_errno(LOG_LEVEL_ERROR, "position not saved", NULL);
	result_make_room(r);
	r->position_unsaved = true;
}

void
runner_save_position(struct runner *r)
{
	int64_t age = backoff_now() - r->position_saved;

	if ((r->position_changed && age >= SAVE_MS) || (r->oldest && age >= SAVE_AGAIN_MS))
		save_position(r);
}

int
runner_finish(struct runner *r)
{
	bool incomplete;

	if (r->unsaved || r->unnoted)
		result_save_again(r, lost);
	if (!r->unnoted)
		result_sync_runs(r);
	if (r->unnoted)
		log_errno(LOG_LEVEL_ERROR, "notes lost: hooks that ran can run again", NULL);
	incomplete = r->unsaved || r->unnoted;
	save_position(r);
	if (r->position_unsaved)
		save_position(r);
	return (incomplete || r->position_unsaved ? -1 : 0);
}
