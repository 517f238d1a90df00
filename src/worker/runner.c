#include "worker/runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/log.h"
#include "store/name.h"
#include "worker/job.h"
#include "worker/waiting.h"

enum {
	RETRY_FIRST = 10,		/* seconds, doubling (contract section 6) */
	RETRY_MAX = 3600,
	BEHIND_MS = 5,			/* pause while a record is behind the journal */
	BEHIND_PAUSES = 10,
	POSITION_FILES = 16,
	PATH_SIZE = 4096,
};

/* A hook that runs. */
struct slot {
	struct hook *hook;		/* NULL: free */
	struct job job;
	bool is_retry;			/* its item is in queue/waiting */
	uint64_t turn;			/* how many were started before it */
	/* Where to go on after a crash, as long as this one has not ended. */
	struct follow_file before[POSITION_FILES];
	unsigned n_before;
};

struct runner {
	const struct conf *conf;
	const char *conf_file;
	const struct state *state;
	struct queue *queue;
	const struct credentials *credentials;
	struct waiting *waiting;	/* what is in queue/waiting, and the keys of the dead */
	struct slot slots[RUNNER_SLOTS_MAX];
	uint64_t turns;
	bool retried_last;
	bool unsaved;			/* something waits in memory alone */
};

struct runner *
runner_new(const struct conf *conf, const char *conf_file, const struct state *state,
    struct queue *queue, const struct credentials *credentials)
{
	struct runner *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return (NULL);
	*r = (struct runner){ .conf = conf, .conf_file = conf_file, .state = state, .queue = queue,
		.credentials = credentials };
	if ((r->waiting = waiting_new(queue)) == NULL) {
		free(r);
		return (NULL);
	}
	return (r);
}

void
runner_free(struct runner *r)
{
	if (r == NULL)
		return;
	for (unsigned i = 0; i < r->conf->concurrency; i++)
		if (r->slots[i].hook) {
			hook_free(r->slots[i].hook);
			job_free(&r->slots[i].job);
		}
	waiting_free(r->waiting);
	free(r);
}

unsigned
runner_running(const struct runner *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < r->conf->concurrency; i++)
		n += r->slots[i].hook != NULL;
	return (n);
}

static struct slot *
free_slot(struct runner *r)
{
	for (unsigned i = 0; i < r->conf->concurrency; i++)
		if (r->slots[i].hook == NULL)
			return (&r->slots[i]);
	return (NULL);
}

bool
runner_has_room(const struct runner *r)
{
	return (runner_running(r) < r->conf->concurrency);
}

bool
runner_retried_last(const struct runner *r)
{
	return (r->retried_last);
}

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

static void
let_wait(struct runner *r, struct queue_item *item)
{
	/* Not on disk, but not lost: the position stays in front of it until it is. */
	if ((item->unsaved = queue_wait(r->queue, item) != 0)) {
		log_errno(LOG_LEVEL_ERROR, "retry not noted", "delivery", item->delivery, NULL);
		r->unsaved = true;
	}
	waiting_put(r->waiting, item);
}

/* It waits no longer. */
static void
forget(struct runner *r, const struct queue_item *item)
{
	if (waiting_remove(r->waiting, item->delivery) && queue_remove(r->queue, item))
		log_errno(LOG_LEVEL_ERROR, "retry not removed", "delivery", item->delivery, NULL);
}

static void
log_hook(enum log_level level, const char *msg, const struct queue_item *item)
{
	char attempt[16];

	snprintf(attempt, sizeof(attempt), "%u", item->attempts);
	log_line(level, msg, "event", item->event, "delivery", item->delivery, "attempt", attempt, "why",
	    item->why[0] ? item->why : NULL, NULL);
}

static void
note(struct runner *r, const struct queue_item *item, enum ran_result result)
{
	if (ran_add(queue_ran(r->queue), item->place.name, item->delivery, item->key, result))
		log_errno(LOG_LEVEL_ERROR, "hook's run not noted", "delivery", item->delivery, NULL);
}

/* A hook did not do its work: later again, or never. */
static void
on_failure(struct runner *r, struct queue_item *item, bool for_good)
{
	item->for_credentials = false;
	item->next = time(NULL);
	if (for_good || item->attempts >= r->conf->attempts) {
		log_hook(LOG_LEVEL_ERROR, "hook given up: fluidhook queue --dead", item);
		if (queue_bury(r->queue, item) == 0) {
			waiting_bury(r->waiting, item);
			note(r, item, RAN_GIVEN_UP);
			return;
		}
		/* Once more than was asked for is better than never to be heard of again. */
		log_errno(LOG_LEVEL_ERROR, "dead letter not written", "delivery", item->delivery, NULL);
	} else {
		log_hook(LOG_LEVEL_WARN, "hook failed, to be tried again", item);
	}
	item->next += retry_delay(item->attempts);
	let_wait(r, item);
}

static void
on_success(struct runner *r, const struct queue_item *item)
{
	log_hook(LOG_LEVEL_INFO, "hook done", item);
	note(r, item, RAN_DONE);
	forget(r, item);
}

static void
end_slot(struct runner *r, struct slot *slot)
{
	struct queue_item *item = &slot->job.item;

	switch (hook_result(slot->hook, item->why, sizeof(item->why))) {
	case HOOK_DONE:
		item->why[0] = '\0';
		on_success(r, item);
		break;
	case HOOK_FAILED:
		on_failure(r, item, false);
		break;
	case HOOK_FAILED_FOR_GOOD:
		on_failure(r, item, true);
		break;
	}
	hook_free(slot->hook);
	slot->hook = NULL;
	job_free(&slot->job);
}

/* Whether there is a hook for the event, or a reason that one cannot be looked for. */
static bool
has_hook(const struct runner *r, const char *event)
{
	char path[PATH_SIZE];

	return (hook_find(r->conf->hooks, event, path, sizeof(path)) != 0);
}

/*
 * Run the job's hook in a slot, which takes the job over. Returns 1 when it runs. The job is still the
 * caller's when there is no hook for it, 0, and when none could be started, -1: that is seen to.
 */
static int
start(struct runner *r, struct slot *slot, struct job *job, bool is_retry)
{
	char path[PATH_SIZE];
	int found = hook_find(r->conf->hooks, job->item.event, path, sizeof(path));
	const struct entry *e = &job->entry;

	if (found == 0)
		return (0);
	r->retried_last = is_retry;
	job->item.attempts++;
	slot->hook = found == -1 ? NULL : hook_start(&(struct hook_call){
		.path = path,
		.event = job->item.event,
		.delivery = e->delivery,
		.installation = e->installation ? e->installation : "",
		.shop = e->fluid_shop ? e->fluid_shop : "",
		.received_at = e->received_at,
		.attempt = job->item.attempts,
		.conf = r->conf_file,
		.body = e->body,
		.body_len = e->body_len,
	}, r->conf->hook_timeout);
	if (slot->hook == NULL) {
		snprintf(job->item.why, sizeof(job->item.why), "%s", strerror(errno));
		on_failure(r, &job->item, false);
		return (-1);
	}
	slot->job = *job;
	slot->is_retry = is_retry;
	slot->turn = r->turns++;
	*job = (struct job){ .item = { .attempts = 0 } };
	return (1);
}

/*
 * Whether the same delivery was dealt with, waits, runs or is dead. Returns 1 or 0, or -1 with errno set: the
 * notes cannot be read.
 */
static int
is_known(struct runner *r, const struct job *job)
{
	const struct queue_item *item = &job->item;
	struct ran *ran = queue_ran(r->queue);
	char old[RAN_KEY_SIZE];
	enum ran_result result;

	for (unsigned i = 0; i < r->conf->concurrency; i++)
		if (r->slots[i].hook && (strcmp(r->slots[i].job.item.key, item->key) == 0 ||
		    strcmp(r->slots[i].job.item.delivery, item->delivery) == 0))
			return (1);
	if (waiting_has(r->waiting, item))
		return (1);
	if (ran_find(ran, item->place.name, item->delivery, &result))
		return (-1);
	if (result == RAN_NOT && ran_find(ran, item->place.name, item->key, &result))
		return (-1);
	if (result == RAN_NOT && ran_has_old(ran, item->place.name) && (job_old_key(job, old) ||
	    ran_find(ran, item->place.name, old, &result)))
		return (-1);
	return (result != RAN_NOT);
}

/* Whether the item's hook is done, by this delivery or another one with its key. Returns as is_known(). */
static int
is_done(struct runner *r, const struct queue_item *item)
{
	enum ran_result of_delivery, of_key;

	if (ran_find(queue_ran(r->queue), item->place.name, item->delivery, &of_delivery) ||
	    ran_find(queue_ran(r->queue), item->place.name, item->key, &of_key))
		return (-1);
	return (of_delivery == RAN_DONE || of_key == RAN_DONE);
}

/* Whether anything at all is to be done for this delivery, now or later. */
static bool
is_wanted(const struct runner *r, const struct job *job)
{
	if (has_hook(r, job->item.event))
		return (true);
	return (strcmp(job->item.event, "droplet.installed") == 0 &&
	    (has_hook(r, "fluidhook.install_failed") || r->conf->n_subscribe));
}

/*
 * Whether its hook can run now. An install that is active gets its subscriptions, too. The record follows
 * its journal line at once: `patience` (in pauses) for it saves putting the delivery off.
 */
static enum job_readiness
readiness_of(struct runner *r, struct job *job, int patience)
{
	const struct timespec pause = { .tv_nsec = BEHIND_MS * 1000000L };
	const char *record = job->entry.installation;
	enum job_readiness readiness;

	while ((readiness = job_ready(job, r->state)) == JOB_BEHIND && patience--)
		nanosleep(&pause, NULL);
	/* Once: it is looked at every second from then on. */
	if (readiness == JOB_UNKNOWN && patience > 0)
		log_errno(LOG_LEVEL_ERROR, "hook waits for a record that cannot be read", "installation",
		    record, NULL);
	if (readiness == JOB_READY && strcmp(job->item.event, "droplet.installed") == 0 && record &&
	    name_is_safe(record, strlen(record)) && credentials_want(r->credentials, record))
		return (JOB_WAITS);
	return (readiness);
}

/* Let a delivery wait for a second, without counting an attempt. */
static void
put_off(struct runner *r, struct job *job, const char *why)
{
	if (why)
		snprintf(job->item.why, sizeof(job->item.why), "%s: %s", why, strerror(errno));
	job->item.for_credentials = true;
	job->item.next = time(NULL) + 1;
	let_wait(r, &job->item);
}

/*
 * Find out whether a line is to be dealt with, and for which event: an install that failed for good is another
 * event than the one that came, so that its key is another one, too.
 */
static bool
is_new(struct runner *r, struct job *job)
{
	int known;

	if (job_identify(job) || (known = is_known(r, job)) == -1) {
		log_errno(LOG_LEVEL_ERROR, "hook waits: it is not known whether it ran", "delivery",
		    job->item.delivery, NULL);
		put_off(r, job, "notes of what ran");
		return (false);
	}
	return (known == 0);
}

void
runner_line(struct runner *r, const struct buf *line, const struct follow_place *place,
    const struct follow_file *before, unsigned n_before)
{
	struct slot *slot = free_slot(r);
	enum job_readiness readiness;
	struct job job;

	if (job_read(&job, line->data, line->len, place)) {
		log_line(LOG_LEVEL_WARN, "journal line is no delivery", "file", place->name, NULL);
		goto out;
	}
	if (!is_wanted(r, &job))
		goto out;
	if (!is_new(r, &job))
		goto out;
	if ((readiness = readiness_of(r, &job, BEHIND_PAUSES)) == JOB_ENDED)
		goto out;
	if (readiness != JOB_READY) {
		put_off(r, &job, NULL);
		goto out;
	}
	if (strcmp(job.item.event, job.entry.event) != 0 && !is_new(r, &job))
		goto out;
	/* With so many files in a position they are old ones: going over some again does no harm. */
	slot->n_before = n_before < POSITION_FILES ? n_before : POSITION_FILES;
	if (slot->n_before)
		memcpy(slot->before, before, slot->n_before * sizeof(*before));
	start(r, slot, &job, false);
out:
	job_free(&job);
}

/*
 * Whether an item's hook is done: a crash came between the note of that and its end here, or another delivery
 * with its key was first. Where this is not known, it waits.
 */
static bool
is_over(struct runner *r, const struct queue_item *item)
{
	int done = is_done(r, item);

	if (done == 1)
		forget(r, item);
	else if (done == -1)
		waiting_put_off(r->waiting, item->delivery, time(NULL) + 1);
	return (done != 0);
}

/* An item's time has come. There is room. */
static void
retry(struct runner *r, const struct queue_item *item)
{
	enum job_readiness readiness = JOB_READY;
	struct job job;

	if (is_over(r, item))
		return;
	if (job_read_item(&job, r->state->journal, item)) {
		log_errno(LOG_LEVEL_ERROR, "delivery cannot be read again", "delivery", item->delivery,
		    NULL);
		snprintf(job.item.why, sizeof(job.item.why), "journal: %s", strerror(errno));
		job.item.attempts++;
		on_failure(r, &job.item, false);
	} else if (item->for_credentials && (readiness = readiness_of(r, &job, 0)) == JOB_ENDED) {
		forget(r, item);
	} else if (readiness != JOB_READY || job_identify(&job)) {
		waiting_put_off(r->waiting, item->delivery, time(NULL) + 1);
	} else if (is_over(r, &job.item)) {
		/* Which hook it is, and so the key, can have changed while it waited. */
	} else if (start(r, free_slot(r), &job, true) == 0) {
		/* An install that was refused may have none for that; else it has been taken away. */
		if (!item->for_credentials)
			log_hook(LOG_LEVEL_WARN, "there is no hook any more", item);
		forget(r, item);
	}
	job_free(&job);
}

static bool
is_running(const struct runner *r, const char *delivery)
{
	for (unsigned i = 0; i < r->conf->concurrency; i++)
		if (r->slots[i].hook && strcmp(r->slots[i].job.item.delivery, delivery) == 0)
			return (true);
	return (false);
}

void
runner_retry(struct runner *r)
{
	char cursor[UUID_SIZE] = "";
	struct queue_item item;
	int64_t now = time(NULL);

	while (runner_has_room(r) && waiting_next(r->waiting, cursor, &item))
		if (item.next <= now && !is_running(r, item.delivery))
			retry(r, &item);
}

int64_t
runner_next(const struct runner *r)
{
	char cursor[UUID_SIZE] = "";
	struct queue_item item;
	int64_t next = 0;

	while (waiting_next(r->waiting, cursor, &item))
		if (!is_running(r, item.delivery) && (next == 0 || item.next < next))
			next = item.next;
	return (next);
}

/* What could not be written to the queue: once more. */
static void
save_again(struct runner *r)
{
	char cursor[UUID_SIZE] = "";
	struct queue_item item;

	r->unsaved = false;
	while (waiting_next(r->waiting, cursor, &item)) {
		if (!item.unsaved)
			continue;
		if (queue_wait(r->queue, &item)) {
			r->unsaved = true;
			continue;
		}
		item.unsaved = false;
		waiting_put(r->waiting, &item);
	}
}

void
runner_refresh(struct runner *r)
{
	if (r->unsaved)
		save_again(r);
	waiting_refresh(r->waiting);
}

void
runner_wake(struct runner *r)
{
	waiting_wake_credentials(r->waiting, time(NULL));
}

unsigned
runner_poll(const struct runner *r, struct pollfd *fds, int *timeout)
{
	unsigned n = 0;
	int left;

	for (unsigned i = 0; i < r->conf->concurrency; i++)
		if (r->slots[i].hook) {
			left = hook_poll(r->slots[i].hook, &fds[n]);
			*timeout = left < *timeout ? left : *timeout;
			n += HOOK_POLL_FDS;
		}
	return (n);
}

bool
runner_step(struct runner *r, const struct pollfd *fds)
{
	bool ended = false;
	unsigned n = 0;

	for (unsigned i = 0; i < r->conf->concurrency; i++)
		if (r->slots[i].hook) {
			if (hook_step(r->slots[i].hook, &fds[n])) {
				end_slot(r, &r->slots[i]);
				ended = true;
			}
			n += HOOK_POLL_FDS;
		}
	return (ended);
}

bool
runner_is_saved(const struct runner *r, const struct follow_file **files, unsigned *n)
{
	const struct slot *oldest = NULL;

	for (unsigned i = 0; i < r->conf->concurrency; i++)
		if (r->slots[i].hook && !r->slots[i].is_retry &&
		    (oldest == NULL || r->slots[i].turn < oldest->turn))
			oldest = &r->slots[i];
	*files = oldest ? oldest->before : NULL;
	*n = oldest ? oldest->n_before : 0;
	return (!r->unsaved);
}
