#include "worker/result.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/log.h"
#include "worker/backoff.h"

enum {
	RETRY_FIRST = 10, /* seconds, doubling (contract section 6) */
	RETRY_MAX = 3600,
	SYNC_MS = 100, /* notes wait for each other so long: one sync for all */
};

static unsigned
random_below(unsigned n)
{
	unsigned x = 0;

	if (getrandom(&x, sizeof(x), 0) != (ssize_t)sizeof(x))
		x = (unsigned)clock();
	return (x % n);
}

/* 10 s doubling to an hour, a fifth more or less, so that what failed together is not tried together. */
static int64_t
retry_delay(unsigned attempts)
{
	int64_t s = RETRY_FIRST;

	while (--attempts && s < RETRY_MAX)
		s *= 2;
	if (s > RETRY_MAX)
		s = RETRY_MAX;
	return (s - s / 5 + (int64_t)random_below((unsigned)(2 * s / 5) + 1));
}

bool
result_make_room(struct runner *r)
{
	int saved = errno;

	if ((errno != ENOSPC && errno != EDQUOT) || r->reserve.fd == -1)
		return (false);
	reserve_drop(&r->reserve);
	errno = saved;
	return (true);
}

/* Write an item to the queue. Returns 0, or -1 with errno set. */
static int
save_item(struct runner *r, const struct queue_item *item)
{
	if (queue_wait(r->queue, item) == 0)
		return (0);
	return (result_make_room(r) ? queue_wait(r->queue, item) : -1);
}

void
result_wait(struct runner *r, struct queue_item *item)
{
	/* Not on disk, but not lost: the position stays in front of it until it is. */
	if ((item->unsaved = save_item(r, item) != 0)) {
		log_errno(LOG_LEVEL_ERROR, "retry not noted", "delivery", item->delivery, NULL);
		r->unsaved = true;
		runner_block(r);
	}
	waiting_put(r->waiting, item);
}

void
result_forget(struct runner *r, const struct queue_item *item)
{
	if (waiting_remove(r->waiting, item->delivery) && queue_remove(r->queue, item))
		log_errno(LOG_LEVEL_ERROR, "retry not removed", "delivery", item->delivery, NULL);
}

static void
log_hook(enum log_level level, const char *msg, const struct queue_item *item)
{
	char attempt[16];

	snprintf(attempt, sizeof(attempt), "%u", item->attempts);
	log_line(level, msg, "event", item->event, "delivery", item->delivery, "attempt", attempt,
	    "why", item->why[0] ? item->why : NULL, NULL);
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

static void
note(struct runner *r, const struct queue_item *item, enum runs_result result)
{
	if (runs_add(queue_runs(r->queue), item->place.name, item->delivery, item->key, result))
		on_unnoted(r);
}

void
result_write_notes(struct runner *r)
{
	struct runs *runs = queue_runs(r->queue);

	if (runs_unsynced(runs) == 0 || r->unnoted)
		return;
	if (runs_write(runs) && !(result_make_room(r) && runs_write(runs) == 0))
		on_unnoted(r);
	else if (r->sync_due == 0)
		r->sync_due = backoff_now() + SYNC_MS;
}

int
result_sync_notes(struct runner *r)
{
	struct runs *runs = queue_runs(r->queue);

	r->sync_due = 0;
	if (runs_unsynced(runs) == 0 || runs_flush(runs) == 0 ||
	    (result_make_room(r) && runs_flush(runs) == 0))
		return (0);
	on_unnoted(r);
	return (-1);
}

void
result_failed(struct runner *r, struct queue_item *item, bool for_good)
{
	item->for_credentials = false;
	item->next = queue_clock();
	if (for_good || item->attempts >= r->conf->attempts) {
		log_hook(LOG_LEVEL_ERROR, "hook given up: fluidhook queue --dead", item);
		if (queue_dead_letter(r->queue, item) == 0 ||
		    (result_make_room(r) && queue_dead_letter(r->queue, item) == 0)) {
			waiting_dead_letter(r->waiting, item);
			note(r, item, RUNS_GIVEN_UP);
			return;
		}
		/* Once more than was asked for is better than never to be heard of again. */
		log_errno(LOG_LEVEL_ERROR, "dead letter not written", "delivery", item->delivery,
		    NULL);
	} else {
		log_hook(LOG_LEVEL_WARN, "hook failed, to be tried again", item);
	}
	item->next += retry_delay(item->attempts);
	result_wait(r, item);
}

void
result_done(struct runner *r, const struct queue_item *item)
{
	log_hook(LOG_LEVEL_INFO, "hook done", item);
	note(r, item, RUNS_DONE);
	/* It may wait no longer before that is on disk. */
	if (item->attempts > 1)
		result_write_notes(r);
	result_forget(r, item);
}

void
result_keep_waiting(struct runner *r, const struct queue_item *item, const char *why,
    int64_t seconds)
{
	struct queue_item copy = *item;
	int64_t next = queue_clock() + seconds;

	if (strcmp(item->why, why) == 0) {
		waiting_postpone(r->waiting, item->delivery, next);
		return;
	}
	snprintf(copy.why, sizeof(copy.why), "%s", why);
	copy.next = next;
	log_hook(LOG_LEVEL_WARN, "delivery waits", &copy);
	result_wait(r, &copy);
}

void
result_save_again(struct runner *r, bool log_lost)
{
	char cursor[UUID_SIZE] = "";
	struct queue_item item;

	r->unsaved = false;
	while (waiting_next(r->waiting, cursor, &item)) {
		if (!item.unsaved)
			continue;
		if (save_item(r, &item)) {
			if (log_lost)
				log_errno(LOG_LEVEL_ERROR,
				    "retry lost: its hook runs again as if it had not "
				    "run",
				    "delivery", item.delivery, NULL);
			r->unsaved = true;
			continue;
		}
		item.unsaved = false;
		waiting_put(r->waiting, &item);
	}
}

void
result_note_again(struct runner *r)
{
	struct runs *ran = queue_runs(r->queue);

	r->unnoted = runs_flush(ran) != 0 && !(result_make_room(r) && runs_flush(ran) == 0);
}
