#include "worker/launch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "store/installation.h"
#include "worker/alert.h"
#include "worker/backoff.h"

enum {
	RESERVE = 512 * 1024, /* bytes: an item for each hook that can run, and directories */
	IN_PLACE_MS = 10,     /* how long a look at the state directory counts */
};

/* It could not be started. That is no attempt. */
static void
on_start_failure(struct runner *r, const struct queue_item *item)
{
	/* Once, and not each second for as long as it lasts. */
	if (errno != r->start_errno)
		log_errno(LOG_LEVEL_ERROR, "hook cannot be started now; it waits", "event",
		    item->event, "delivery", item->delivery, NULL);
	r->start_errno = errno;
	runner_block(r);
}

/* Have room to record what becomes of this attempt, and in the right place. Returns 0, or -1 with errno set. */
static int
reserve(struct runner *r, const struct queue_item *item)
{
	int64_t now = backoff_now();

	if (now - r->in_place_at > IN_PLACE_MS) {
		if (!state_in_place(r->state)) {
			errno = ESTALE;
			return (-1);
		}
		r->in_place_at = now;
	}
	if (r->reserve.fd == -1 && reserve_make(&r->reserve, r->state->queue, "reserve", RESERVE))
		return (-1);
	return (runs_reserve(r->runs, item->place.name));
}

static bool
is_install_failed(const struct job *job)
{
	return (strcmp(job->item.event, "fluidhook.install_failed") == 0 &&
	    strcmp(job->entry.event, "droplet.installed") == 0);
}

/*
 * The record of an install, where it says more than the journal's line: why it failed, and the shop that Fluid has said
 * since. *i is NULL if that is not wanted, or if there is none. Returns 0, or -1 with errno set.
 */
static int
load_record(const struct runner *r, const struct job *job, struct installation **i)
{
	const struct entry *e = &job->entry;

	*i = NULL;
	if (strcmp(e->event, "droplet.installed") != 0 ||
	    (e->fluid_shop && !is_install_failed(job)) || e->installation == NULL ||
	    !name_is_safe(e->installation, strlen(e->installation)))
		return (0);
	*i = installation_load(r->state->installations, e->installation);
	return (*i || errno == ENOENT ? 0 : -1);
}

static const char *
shop_of(const struct entry *e, const struct installation *i)
{
	const char *shop = e->fluid_shop || i == NULL ? e->fluid_shop : i->fluid_shop;

	return (shop ? shop : "");
}

/* Start the attempt that slot->item says. i: the record, or NULL. Returns 0, or -1 with errno set. */
static int
start(struct runner *r, struct slot *slot, const struct job *job, const struct installation *i)
{
	const struct entry *e = &job->entry;
	struct buf alert = { 0 };
	int error;

	if (reserve(r, &slot->item) ||
	    (is_install_failed(job) && alert_install_failed(e, i, &alert))) {
		buf_free(&alert);
		return (-1);
	}
	slot->began = backoff_now();
	slot->attempt = targets_start(r->targets, slot->item.target,
	    &(struct target_call){
		.event = slot->item.event,
		.delivery = e->delivery,
		.installation = e->installation ? e->installation : "",
		.shop = shop_of(e, i),
		.received_at = e->received_at,
		.attempt = slot->item.attempts,
		.body = alert.len ? alert.data : e->body,
		.body_len = alert.len ? alert.len : e->body_len,
		.slot = (unsigned)(slot - r->slots),
	    });
	error = errno;
	buf_free(&alert);
	errno = error;
	return (slot->attempt ? 0 : -1);
}

enum launch_result
launch_start(struct runner *r, struct slot *slot, struct handover *h, const char *target)
{
	struct installation *i = NULL;
	int result;

	slot->item = h->job->item;
	slot->item.for_credentials = false;
	slot->item.attempts++;
	snprintf(slot->item.target, sizeof(slot->item.target), "%s", target);
	if (load_record(r, h->job, &i)) {
		/* Others need not wait for that. A line's record was read a moment ago. */
		if (h->is_retry)
			return (LAUNCH_LATER);
		on_start_failure(r, &slot->item);
		return (LAUNCH_FAILED);
	}
	if ((result = start(r, slot, h->job, i)) != 0)
		on_start_failure(r, &slot->item);
	installation_free(i);
	if (result)
		return (LAUNCH_FAILED);
	r->start_errno = 0;
	r->retried_last = h->is_retry;
	slot->h = h;
	r->n_running++;
	return (LAUNCH_STARTED);
}
