#include "worker/turn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/name.h"
#include "worker/backoff.h"
#include "worker/launch.h"
#include "worker/result.h"

enum {
	BEHIND_MS = 5, /* pause while a record is behind the journal */
	BEHIND_PAUSES = 10,
	NO_HOOK_SECONDS = 10,    /* how often an item without a target is looked at */
	UNREADABLE_SECONDS = 10, /* and one whose line cannot be read */
	GONE_SECONDS = 60,       /* and one whose line is in no file */
	SEARCH_SHARE = 9,        /* times as long as a search took, there is no other one */
};

static const char installed[] = "droplet.installed";

static enum lane_row
row_of(const struct handover *h)
{
	return (h->is_retry ? LANE_RETRIES : LANE_FRESH);
}

void
turn_failed(struct runner *r, const char *delivery)
{
	log_errno(LOG_LEVEL_ERROR, "delivery cannot be dealt with now", "delivery", delivery, NULL);
	runner_block(r);
}

int
turn_is_wanted(struct runner *r, const char *event)
{
	if (targets_match(r->targets, event, &r->found) == -1)
		return (-1);
	if (r->found.n || strcmp(event, installed) != 0)
		return (r->found.n > 0);
	if (r->conf->n_subscribe)
		return (1);
	if (targets_match(r->targets, "fluidhook.install_failed", &r->found) == -1)
		return (-1);
	return (r->found.n > 0);
}

/* Whether a delivery was dealt with at a target. Returns 1 or 0, or -1 with errno set. *result: how. */
static int
was_dealt_with(struct runner *r, const struct job *job, const char *target,
    enum runs_result *result)
{
	const struct queue_item *item = &job->item;
	enum runs_result of_key = RUNS_NOT;
	char old[RUNS_KEY_SIZE];

	if (runs_find(r->runs, item->place.name, item->delivery, target, result) ||
	    (*result != RUNS_DONE &&
		runs_find(r->runs, item->place.name, item->key, target, &of_key)))
		return (-1);
	if (of_key == RUNS_DONE || *result == RUNS_NOT)
		*result = of_key;
	if (*result == RUNS_NOT && target_is_most_specific(target) &&
	    runs_has_old(r->runs, item->place.name) &&
	    (job_old_key(job, old) || runs_find(r->runs, item->place.name, old, target, result)))
		return (-1);
	return (*result != RUNS_NOT);
}

/* The same, or whether it waits there or was given up. */
static int
is_known(struct runner *r, const struct job *job, const char *target)
{
	enum runs_result result;

	if (queue_has(r->queue, job->item.delivery, job->item.key, target))
		return (1);
	return (was_dealt_with(r, job, target, &result));
}

void
turn_over(struct runner *r, struct handover *h)
{
	if (h->is_retry && *h->target == '\0')
		result_forget(r, h->delivery, "");
	handover_end(r, h);
}

/* The item of a retry is looked at again so many seconds later. */
static void
postpone(struct runner *r, struct handover *h, int64_t seconds)
{
	const struct queue_item *item = queue_get(r->queue, h->delivery, h->target);

	if (item)
		queue_postpone(r->queue, item, queue_clock() + seconds);
	handover_end(r, h);
}

/* Nothing can be started: it has the next turn. */
static void
put_back(struct runner *r, struct handover *h)
{
	lanes_put_back(r->lanes, h, row_of(h), 0);
}

/* What `why` of an item begins with whose line cannot be read. */
static const char unreadable[] = "journal: ";

static bool
is_unreadable(const struct queue_item *item)
{
	return (strncmp(item->why, unreadable, sizeof(unreadable) - 1) == 0);
}

/*
 * An item's line cannot be read, or is in no file now. That is no failure of its target: a file can come back. began:
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

/* Read the handover's line again. Returns whether it is there; if not, its turn has ended. */
static bool
read_job(struct runner *r, struct handover *h, const struct queue_item *item)
{
	int64_t began = backoff_now();

	if (h->job == NULL) {
		if ((h->job = calloc(1, sizeof(*h->job))) == NULL) {
			turn_failed(r, h->delivery);
			put_back(r, h);
			return (false);
		}
		if (job_read_item(h->job, r->state->journal, item)) {
			on_unreadable(r, item, began);
			handover_end(r, h);
			return (false);
		}
		if (h->job->item.event[0] == '\0')
			snprintf(h->job->item.event, EVENT_SIZE, "%s", h->job->entry.event);
	}
	if (h->job->item.key[0] && !h->is_retry)
		return (true);
	if (job_identify(h->job) == 0)
		return (true);
	turn_failed(r, h->delivery);
	put_back(r, h);
	return (false);
}

/*
 * Whether it can be handed over now. An install that is active gets its subscriptions, too.
 */
static enum job_readiness
readiness_of(struct runner *r, struct handover *h)
{
	struct job *job = h->job;
	const char *record = job->entry.installation;
	enum job_readiness readiness = job_ready(job, r->state);

	/* Once: it is looked at every second from then on. */
	if (readiness == JOB_UNKNOWN && !h->is_retry)
		log_errno(LOG_LEVEL_ERROR, "hook waits for a record that cannot be read",
		    "installation", record, NULL);
	if (readiness == JOB_READY && strcmp(job->item.event, installed) == 0 && record &&
	    name_is_safe(record, strlen(record)) &&
	    (r->provision == NULL || provision_want(r->provision, record)))
		return (JOB_WAITS);
	return (readiness);
}

/* It cannot be handed over yet. */
static void
wait_for_credentials(struct runner *r, struct handover *h)
{
	struct queue_item item = h->job->item;

	/* It is on disk as it is. */
	if (h->is_retry && !is_unreadable(&item)) {
		postpone(r, h, 1);
		return;
	}
	item.target[0] = item.why[0] = '\0';
	item.for_credentials = true;
	item.next = queue_clock() + 1;
	result_wait(r, &item);
	handover_end(r, h);
}

/* Find out which targets a delivery goes to. Returns whether there are any; if not, its turn has ended. */
static bool
find_all(struct runner *r, struct handover *h)
{
	struct job *job = h->job;
	enum job_readiness readiness;

	/* The same install waits for its credentials. */
	if (!h->is_retry && queue_has(r->queue, h->delivery, job->item.key, "")) {
		handover_end(r, h);
		return (false);
	}
	readiness = readiness_of(r, h);
	/* The record follows its journal line at once. */
	if (readiness == JOB_BEHIND && !h->is_retry && h->patience++ < BEHIND_PAUSES) {
		r->rest_until = backoff_now() + BEHIND_MS;
		lanes_put_back(r->lanes, h, row_of(h), r->rest_until);
		return (false);
	}
	if (readiness == JOB_ENDED) {
		turn_over(r, h);
		return (false);
	}
	if (readiness != JOB_READY) {
		wait_for_credentials(r, h);
		return (false);
	}
	/* An install that failed for good is another event than the one that came, so its key is another one. */
	if ((strcmp(job->item.event, job->entry.event) != 0 && job_identify(job)) ||
	    targets_match(r->targets, job->item.event, &h->targets)) {
		runner_block(r);
		put_back(r, h);
		return (false);
	}
	h->has_targets = true;
	return (true);
}

/* The same for an item that waits for one target. */
static bool
find_one(struct runner *r, struct handover *h)
{
	struct queue_item *item = &h->job->item;
	enum runs_result result;
	int found = targets_find(r->targets, item->event, h->target);

	if (found == 0) {
		/* Once more the item as it is on disk, by its name there. */
		result_keep_waiting(r, item, "there is no hook any more", NO_HOOK_SECONDS);
		handover_end(r, h);
		return (false);
	}
	memcpy(item->target, h->target, sizeof(item->target));
	if (found == -1 || was_dealt_with(r, h->job, h->target, &result) == -1) {
		if (found == -1)
			runner_block(r);
		postpone(r, h, 1);
		return (false);
	}
	/* A crash came between the note of that and its end here, or another delivery with its key was first. */
	if (result == RUNS_DONE) {
		result_forget(r, h->delivery, h->target);
		handover_end(r, h);
		return (false);
	}
	if ((h->targets.names = malloc(sizeof(*h->targets.names))) == NULL) {
		turn_failed(r, h->delivery);
		postpone(r, h, 1);
		return (false);
	}
	memcpy(h->targets.names[0], h->target, TARGET_SIZE);
	h->targets.n = h->targets.cap = 1;
	h->has_targets = true;
	return (true);
}

/* Whether the next target is to get it. Returns 1 or 0, or -1 after an error was dealt with. */
static int
is_due(struct runner *r, const struct handover *h)
{
	int known, found;

	if (*h->target)
		return (1);
	if ((known = is_known(r, h->job, h->targets.names[h->at])) == -1)
		turn_failed(r, h->delivery);
	if (known || h->at == 0)
		return (known == -1 ? -1 : !known);
	/* Time has passed since they were found. */
	if ((found = targets_find(r->targets, h->job->item.event, h->targets.names[h->at])) == -1)
		runner_block(r);
	return (found);
}

/* Start the attempt at the next target that is to get it. */
static void
start_next(struct runner *r, struct handover *h)
{
	int due = 0;

	for (; h->at < h->targets.n && (due = is_due(r, h)) == 0; h->at++)
		;
	if (h->at == h->targets.n) {
		turn_over(r, h);
		return;
	}
	if (due == -1) {
		put_back(r, h);
		return;
	}
	switch (launch_start(r, runner_free_slot(r), h, h->targets.names[h->at])) {
	case LAUNCH_STARTED:
		return;
	case LAUNCH_FAILED:
		put_back(r, h);
		return;
	case LAUNCH_LATER:
		result_keep_waiting(r, &h->job->item, "the installation's record cannot be read",
		    1);
		handover_end(r, h);
		return;
	}
}

void
turn_take(struct runner *r, struct handover *h)
{
	struct queue_item item = { .seen = queue_clock() };
	const struct queue_item *waits;

	memcpy(item.delivery, h->delivery, sizeof(item.delivery));
	item.place = h->place;
	if (h->is_retry) {
		if ((waits = queue_get(r->queue, h->delivery, h->target)) == NULL) {
			handover_end(r, h);
			return;
		}
		item = *waits;
		if (is_unreadable(&item) && backoff_now() < r->search_after) {
			r->failed = true;
			postpone(r, h, UNREADABLE_SECONDS);
			return;
		}
	}
	if (!read_job(r, h, &item))
		return;
	if (h->has_targets || (*h->target ? find_one(r, h) : find_all(r, h)))
		start_next(r, h);
}
