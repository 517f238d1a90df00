#include "worker/result.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/random.h"
#include "worker/backoff.h"

enum {
	RETRY_FIRST = 10, /* seconds, doubling (contract section 6) */
	RETRY_MAX = 3600,
	SYNC_MS = 100, /* runs wait for each other so long: one sync for all */
};

/* 10 s doubling to an hour, a fifth more or less, so that what failed together is not tried together. */
static int64_t
retry_delay(unsigned attempts)
{
	int64_t s = RETRY_FIRST;

	while (--attempts && s < RETRY_MAX)
		s *= 2;
	if (s > RETRY_MAX)
		s = RETRY_MAX;
	return (s - s / 5 + (int64_t)random_below((uint32_t)(2 * s / 5) + 1));
}

bool
result_make_room(struct runner *r)
{
	int error = errno;

	if ((errno != ENOSPC && errno != EDQUOT) || r->reserve.fd == -1)
		return (false);
	reserve_drop(&r->reserve);
	errno = error;
	return (true);
}

void
result_wait(struct runner *r, const struct queue_item *item)
{
	if (queue_put(r->queue, item) == 0 ||
	    (result_make_room(r) && queue_put(r->queue, item) == 0))
		return;
	/* Not on disk, but not lost: the position stays in front of it until it is. */
	log_errno(LOG_LEVEL_ERROR, "retry not noted", "delivery", item->delivery, NULL);
	r->unsaved = true;
	runner_block(r);
}

void
result_forget(struct runner *r, const char *delivery, const char *target)
{
	if (queue_remove(r->queue, delivery, target))
		log_errno(LOG_LEVEL_ERROR, "retry not removed", "delivery", delivery, NULL);
}

static void
log_item(enum log_level level, const char *msg, const struct queue_item *item)
{
	char attempt[16];

	snprintf(attempt, sizeof(attempt), "%u", item->attempts);
	log_line(level, msg, "event", item->event, "target", *item->target ? item->target : NULL,
	    "delivery", item->delivery, "attempt", attempt, "why", item->why[0] ? item->why : NULL,
	    NULL);
}

static void
on_unnoted(struct runner *r)
{
	/* Once, and not each second for as long as it lasts. */
	if (!r->unnoted)
		log_errno(LOG_LEVEL_ERROR, "hook's run not noted; no hook is started until it is",
		    NULL);
	r->unnoted = true;
	runner_block(r);
}

void
result_write_runs(struct runner *r)
{
	if (runs_unsynced(r->runs) == 0 || r->unnoted)
		return;
	if (runs_write(r->runs) && !(result_make_room(r) && runs_write(r->runs) == 0))
		on_unnoted(r);
	else if (r->sync_due == 0)
		r->sync_due = backoff_now() + SYNC_MS;
}

int
result_sync_runs(struct runner *r)
{
	r->sync_due = 0;
	if (runs_unsynced(r->runs) == 0 || runs_flush(r->runs) == 0 ||
	    (result_make_room(r) && runs_flush(r->runs) == 0))
		return (0);
	on_unnoted(r);
	return (-1);
}

void
result_save_again(struct runner *r, void (*lost)(const struct queue_item *item))
{
	r->unsaved = queue_save_again(r->queue, NULL) != 0 &&
	    !(result_make_room(r) && queue_save_again(r->queue, NULL) == 0);
	if (r->unsaved && lost)
		queue_save_again(r->queue, lost);
	r->unnoted = runs_flush(r->runs) != 0 && !(result_make_room(r) && runs_flush(r->runs) == 0);
}

/* Record the attempt. */
static void
note(struct runner *r, const struct slot *slot, enum runs_result result)
{
	const struct queue_item *item = &slot->item;

	if (runs_add(r->runs,
		&(struct run){
		    .file = item->place.name,
		    .delivery = item->delivery,
		    .event = item->event,
		    .installation = item->installation,
		    .target = item->target,
		    .key = item->key,
		    .attempt = item->attempts,
		    .ms = backoff_now() - slot->began,
		    .result = result,
		    .why = item->why,
		}))
		on_unnoted(r);
}

/* What waited for this target waits no longer; what became of it is on disk before. */
static void
forget_retry(struct runner *r, const struct queue_item *item)
{
	if (queue_get(r->queue, item->delivery, item->target) == NULL)
		return;
	result_write_runs(r);
	result_forget(r, item->delivery, item->target);
}

static void
on_done(struct runner *r, struct slot *slot)
{
	slot->item.why[0] = '\0';
	log_item(LOG_LEVEL_INFO, "hook done", &slot->item);
	note(r, slot, RUNS_DONE);
	forget_retry(r, &slot->item);
}

static void
on_failed(struct runner *r, struct slot *slot, bool for_good)
{
	struct queue_item *item = &slot->item;

	item->for_credentials = false;
	item->next = queue_clock();
	if (for_good || item->attempts >= r->conf->attempts) {
		log_item(LOG_LEVEL_ERROR, "hook given up: fluidhook queue --dead", item);
		if (queue_dead_letter(r->queue, item) == 0 ||
		    (result_make_room(r) && queue_dead_letter(r->queue, item) == 0)) {
			note(r, slot, RUNS_GIVEN_UP);
			return;
		}
		/* Once more than was asked for is better than never to be heard of again. */
		log_errno(LOG_LEVEL_ERROR, "dead letter not written", "delivery", item->delivery,
		    NULL);
	} else {
		log_item(LOG_LEVEL_WARN, "hook failed, to be tried again", item);
	}
	note(r, slot, RUNS_FAILED);
	item->next += retry_delay(item->attempts);
	result_wait(r, item);
}

/* Whether it failed because its directory went away after it was seen there. */
static bool
lost_target(struct runner *r, const struct slot *slot)
{
	const struct target_kind *kind = slot->attempt->kind;

	return (kind->did_not_run && kind->did_not_run(slot->attempt) &&
	    targets_match(r->targets, slot->item.event, &r->found) == -1);
}

void
result_of(struct runner *r, struct slot *slot)
{
	struct queue_item *item = &slot->item;
	enum target_outcome outcome = slot->attempt->kind->outcome(slot->attempt, item->why,
	    sizeof(item->why));

	if (outcome == TARGET_DONE) {
		on_done(r, slot);
	} else if (lost_target(r, slot)) {
		runner_block(r);
		item->attempts--;
		item->next = queue_clock() + 1;
		result_wait(r, item);
	} else {
		on_failed(r, slot, outcome == TARGET_FAILED_FOR_GOOD);
	}
}

void
result_keep_waiting(struct runner *r, const struct queue_item *item, const char *why,
    int64_t seconds)
{
	struct queue_item copy = *item;

	copy.next = queue_clock() + seconds;
	if (strcmp(item->why, why) == 0 && queue_get(r->queue, item->delivery, item->target)) {
		queue_postpone(r->queue, item, copy.next);
		return;
	}
	snprintf(copy.why, sizeof(copy.why), "%s", why);
	log_item(LOG_LEVEL_WARN, "delivery waits", &copy);
	result_wait(r, &copy);
}
