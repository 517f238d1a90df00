#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "worker/backoff.h"
#include "worker/runner_parts.h"
#include "worker/turn.h"

/* Filling the slots: what waits and is due, and lines of the journal, as far as there is room. */

enum {
	LINES_AT_ONCE = 2000, /* then look at everything else again */
	BODIES =
	    4, /* of an installation in memory; those behind are read again when their turn comes */
	HANDOVERS_MAX = 50000, /* on their way at once; then no further line is read */
};

/* Add a line to those that are on their way. Takes the job over. Returns 0, or -1 with errno ENOMEM. */
static int
add_line(struct runner *r, struct job *job)
{
	struct handover *h = handover_new();

	if (h == NULL)
		return (-1);
	memcpy(h->delivery, job->item.delivery, sizeof(h->delivery));
	h->place = job->item.place;
	if (lanes_add(r->lanes, job->item.owner, LANE_FRESH, h)) {
		handover_free(h);
		return (-1);
	}
	h->older = r->newest;
	*(r->newest ? &r->newest->newer : &r->oldest) = h;
	r->newest = h;
	if (lanes_behind(h, LANE_FRESH) > BODIES) {
		job_free(job);
		free(job);
	} else {
		h->job = job;
	}
	return (0);
}

/* Deal with a line of the journal. Returns false if the worker itself failed: the same line is then read again. */
static bool
take_line(struct runner *r, const struct follow_place *place)
{
	struct job *job = calloc(1, sizeof(*job));
	int wanted;

	if (job == NULL) {
		turn_failed(r, NULL);
		return (false);
	}
	if (job_read(job, r->line.data, r->line.len, place)) {
		wanted = errno != EBADMSG ? -1 : 0;
		if (wanted)
			turn_failed(r, NULL);
		else
			log_line(LOG_LEVEL_WARN, "journal line is no delivery", "file", place->name,
			    NULL);
	} else if ((wanted = turn_is_wanted(r, job->item.event)) == -1) {
		runner_block(r);
	} else if (wanted) {
		if (job_identify(job) == 0 && add_line(r, job) == 0)
			return (true);
		turn_failed(r, job->item.delivery);
		wanted = -1;
	}
	job_free(job);
	free(job);
	return (wanted != -1);
}

static void
read_line(struct runner *r)
{
	struct follow_place place;
	int result;

	if ((result = follow_next(r->follow, &r->line, &place)) == -1)
		log_errno(LOG_LEVEL_ERROR, "journal cannot be read", NULL);
	if (result == 1 && !take_line(r, &place)) {
		follow_back(r->follow);
		return;
	}
	r->unread = result == -1 || follow_is_hindered(r->follow);
	if (result == 1)
		r->position_changed = true;
	else
		r->more_lines = false;
}

/* Give an item its place in its owner's lane. Returns 0, or -1 with errno ENOMEM. */
static int
add_retry(struct runner *r, const struct queue_item *item)
{
	struct handover *h = handover_new();
	const char *owner = item->owner;

	if (h == NULL)
		return (-1);
	h->is_retry = true;
	memcpy(h->delivery, item->delivery, sizeof(h->delivery));
	memcpy(h->target, item->target, sizeof(h->target));
	h->place = item->place;
	/* An item of a version before 0.2. */
	if (*owner == '\0' && (h->job = calloc(1, sizeof(*h->job))) != NULL) {
		if (job_read_item(h->job, r->state->journal, item) == 0 &&
		    job_identify(h->job) == 0) {
			owner = h->job->item.owner;
		} else {
			job_free(h->job);
			free(h->job);
			h->job = NULL;
		}
	}
	if (lanes_add(r->lanes, owner, LANE_RETRIES, h) == 0)
		return (0);
	handover_free(h);
	return (-1);
}

static void
take_due(struct runner *r)
{
	int64_t now = queue_clock();
	const struct queue_item *item;

	while ((item = queue_due(r->queue, now)) != NULL)
		if (add_retry(r, item)) {
			queue_postpone(r->queue, item, now + 1);
			return;
		}
}

/* Whose turn it is. Where there are many of both, lines and retries take turns. */
static struct handover *
choose(struct runner *r)
{
	bool fresh = lanes_is_ready(r->lanes, LANE_FRESH);
	bool retry = lanes_is_ready(r->lanes, LANE_RETRIES);

	if (!fresh && !retry)
		return (NULL);
	return (lanes_take(r->lanes,
	    retry && (!fresh || !r->retried_last) ? LANE_RETRIES : LANE_FRESH));
}

void
runner_fill(struct runner *r)
{
	int lines = LINES_AT_ONCE;
	struct handover *h;

	r->more = false;
	r->more_lines = true;
	r->rest_until = lanes_wake(r->lanes, backoff_now());
	if (runner_is_blocked(r))
		return;
	take_due(r);
	while (!runner_is_blocked(r) && runner_free_slot(r)) {
		if (r->more_lines && lines > 0 && !lanes_is_ready(r->lanes, LANE_FRESH) &&
		    lanes_count(r->lanes) < HANDOVERS_MAX) {
			read_line(r);
			r->more = --lines == 0;
		} else if ((h = choose(r)) != NULL) {
			turn_take(r, h);
		} else {
			break;
		}
	}
}
