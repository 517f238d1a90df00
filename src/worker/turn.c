#include "worker/turn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/name.h"
#include "worker/backoff.h"
#include "worker/launch.h"
#include "worker/result.h"

enum {
	BEHIND_MS = 5, /* pause while a record is behind the journal */
	BEHIND_PAUSES = 10,
	NO_HOOK_SECONDS = 10,    /* how often an item without a hook is looked at */
	UNREADABLE_SECONDS = 10, /* and one whose line cannot be read */
	GONE_SECONDS = 60,       /* and one whose line is in no file */
	SEARCH_SHARE = 9,        /* times as long as a search took, there is no other one */
};

/*
 * Whether the same delivery was dealt with, waits, runs or is dead. Returns 1 or 0, or -1 with errno set: the
 * notes cannot be read.
 */
static int
is_known(struct runner *r, const struct job *job)
{
	const struct queue_item *item = &job->item;
	struct runs *ran = queue_runs(r->queue);
	char old[RUNS_KEY_SIZE];
	enum runs_result result;

	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
		if (r->slots[i].hook &&
		    (strcmp(r->slots[i].job.item.key, item->key) == 0 ||
			strcmp(r->slots[i].job.item.delivery, item->delivery) == 0))
			return (1);
	if (waiting_has(r->waiting, item))
		return (1);
	if (runs_find(ran, item->place.name, item->delivery, &result))
		return (-1);
	if (result == RUNS_NOT && runs_find(ran, item->place.name, item->key, &result))
		return (-1);
	if (result == RUNS_NOT && runs_has_old(ran, item->place.name) &&
	    (job_old_key(job, old) || runs_find(ran, item->place.name, old, &result)))
		return (-1);
	return (result != RUNS_NOT);
}

/* Whether the item's hook is done, by this delivery or another one with its key. Returns as is_known(). */
static int
is_done(struct runner *r, const struct queue_item *item)
{
	enum runs_result of_delivery, of_key;

	if (runs_find(queue_runs(r->queue), item->place.name, item->delivery, &of_delivery) ||
	    runs_find(queue_runs(r->queue), item->place.name, item->key, &of_key))
		return (-1);
	return (of_delivery == RUNS_DONE || of_key == RUNS_DONE);
}

/*
 * Whether anything at all is to be done for this delivery, now or later: 1 or 0, or -1 if the hooks cannot be
 * seen.
 */
static int
is_wanted(struct runner *r, const struct job *job)
{
	char path[HOOK_PATH_SIZE];
	int found = launch_find(r, job->item.event, path);

	if (found != 0 || strcmp(job->item.event, "droplet.installed") != 0)
		return (found);
	return (r->conf->n_subscribe ? 1 : launch_find(r, "fluidhook.install_failed", path));
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
		log_errno(LOG_LEVEL_ERROR, "hook waits for a record that cannot be read",
		    "installation", record, NULL);
	if (readiness == JOB_READY && strcmp(job->item.event, "droplet.installed") == 0 && record &&
	    name_is_safe(record, strlen(record)) &&
	    (r->provision == NULL || provision_want(r->provision, record)))
		return (JOB_WAITS);
	return (readiness);
}

/* The worker itself failed to deal with a delivery. */
bool
turn_failed(struct runner *r, const struct job *job)
{
	log_errno(LOG_LEVEL_ERROR, "delivery cannot be dealt with now", "delivery",
	    job->item.delivery[0] ? job->item.delivery : NULL, NULL);
	runner_block(r);
	return (false);
}

bool
turn_line(struct runner *r, struct job *job, struct slot *slot)
{
	enum job_readiness readiness;
	int wanted = is_wanted(r, job), known;

	if (wanted != 1)
		return (wanted == 0);
	if (job_identify(job) || (known = is_known(r, job)) == -1)
		return (turn_failed(r, job));
	if (known || (readiness = readiness_of(r, job, BEHIND_PAUSES)) == JOB_ENDED)
		return (true);
	if (readiness != JOB_READY) {
		job->item.for_credentials = true;
		job->item.next = queue_clock() + 1;
		result_wait(r, &job->item);
		return (true);
	}
	/* An install that failed for good is another event than the one that came, so its key is another one. */
	if (strcmp(job->item.event, job->entry.event) != 0 &&
	    (job_identify(job) || (known = is_known(r, job)) == -1))
		return (turn_failed(r, job));
	return (known || launch_start(r, slot, job, false) != -1);
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
		result_forget(r, item);
	else if (done == -1)
		waiting_postpone(r->waiting, item->delivery, queue_clock() + 1);
	return (done != 0);
}

/* What `why` of an item begins with whose line cannot be read. */
static const char unreadable[] = "journal: ";

static bool
is_unreadable(const struct queue_item *item)
{
	return (strncmp(item->why, unreadable, sizeof(unreadable) - 1) == 0);
}

/*
 * An item's line cannot be read, or is in no file now. That is no failure of its hook: a file can come back. began:
 * when it was looked for. Looking through a large journal for many such items takes a tenth of the time at most.
 */
static void
on_unreadable(struct runner *r, const struct queue_item *item, int64_t began)
{
	bool gone = errno == ENOENT || errno == EBADMSG;
	int64_t now = backoff_now();
	char why[sizeof(item->why)];

	snprintf(why, sizeof(why), "%s%s", unreadable,
	    errno == ENOENT      ? "none of its files has the delivery" :
		errno == EBADMSG ? "the delivery's line is damaged" :
				   strerror(errno));
	r->failed = true;
	r->search_after = now + SEARCH_SHARE * (now - began);
	result_keep_waiting(r, item, why, gone ? GONE_SECONDS : UNREADABLE_SECONDS);
}

/* It cannot run yet. */
static void
keep_for_credentials(struct runner *r, const struct queue_item *item)
{
	struct queue_item copy = *item;

	if (!is_unreadable(item)) {
		waiting_postpone(r->waiting, item->delivery, queue_clock() + 1);
		return;
	}
	copy.why[0] = '\0';
	copy.next = queue_clock() + 1;
	result_wait(r, &copy);
}

void
turn_item(struct runner *r, const struct queue_item *item)
{
	enum job_readiness readiness = JOB_READY;
	int64_t began = backoff_now();
	struct job job;
	int started;

	if (is_over(r, item))
		return;
	if (is_unreadable(item) && began < r->search_after) {
		waiting_postpone(r->waiting, item->delivery, queue_clock() + UNREADABLE_SECONDS);
		r->failed = true;
		return;
	}
	if (job_read_item(&job, r->state->journal, item)) {
		on_unreadable(r, item, began);
	} else if (item->for_credentials && (readiness = readiness_of(r, &job, 0)) == JOB_ENDED) {
		result_forget(r, item);
	} else if (readiness != JOB_READY || job_identify(&job)) {
		keep_for_credentials(r, item);
	} else if (is_over(r, &job.item)) {
		/* Which hook it is, and so the key, can have changed while it waited. */
	} else if ((started = launch_start(r, runner_free_slot(r), &job, true)) == -1) {
		waiting_postpone(r->waiting, item->delivery, queue_clock() + 1);
	} else if (started == 0 && item->for_credentials) {
		/* It has not run yet: as any delivery without a hook, it is passed over. */
		result_forget(r, item);
	} else if (started == 0) {
		result_keep_waiting(r, item, "there is no hook any more", NO_HOOK_SECONDS);
	}
	job_free(&job);
}
