#include "worker/launch.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "store/installation.h"
#include "worker/alert.h"
#include "worker/backoff.h"
#include "worker/result.h"

enum {
	RESERVE = 512 * 1024, /* bytes: an item for each hook that can run, and directories */
	IN_PLACE_MS = 10,     /* how long a look at the state directory counts */
};

int
launch_find(struct runner *r, const char *event, char *path)
{
	int found = hooks_find(r->hooks, r->conf->hooks, r->conf->hooks_by_default, event, path,
	    HOOK_PATH_SIZE);

	if (found == -1) {
		if (!r->hooks_unavailable)
			log_errno(LOG_LEVEL_ERROR,
			    "hooks directory is unavailable: deliveries wait for it", "hooks",
			    r->conf->hooks, NULL);
		runner_block(r);
	} else if (r->hooks_unavailable) {
		log_line(LOG_LEVEL_INFO, "hooks directory is available again", "hooks",
		    r->conf->hooks, NULL);
	}
	r->hooks_unavailable = found == -1;
	return (found);
}

bool
launch_lost_directory(struct runner *r, const struct slot *slot)
{
	char path[HOOK_PATH_SIZE];

	return (hook_did_not_run(slot->hook) && launch_find(r, slot->job.item.event, path) == -1);
}

/* A hook could not be started. That is no attempt of it. */
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

/* Have room for the notes of what becomes of this item's hook, and in the right place. 0, or -1 with errno set. */
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
	return (runs_reserve(queue_runs(r->queue), item->place.name));
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

int
launch_start(struct runner *r, struct slot *slot, struct job *job, bool is_retry)
{
	char path[HOOK_PATH_SIZE];
	int found = launch_find(r, job->item.event, path);
	const struct entry *e = &job->entry;
	struct installation *i = NULL;
	struct buf alert = { 0 };
	int saved;

	if (found != 1)
		return (found);
	if (load_record(r, job, &i)) {
		/* Others need not wait for that. A line's record was read a moment ago. */
		if (is_retry)
			result_keep_waiting(r, &job->item,
			    "the installation's record cannot be read", 1);
		else
			on_start_failure(r, &job->item);
		return (-1);
	}
	if (reserve(r, &job->item) ||
	    (is_install_failed(job) && alert_install_failed(e, i, &alert))) {
		on_start_failure(r, &job->item);
		buf_free(&alert);
		installation_free(i);
		return (-1);
	}
	slot->hook = hook_start(
	    &(struct hook_call){
		.path = path,
		.event = job->item.event,
		.delivery = e->delivery,
		.installation = e->installation ? e->installation : "",
		.shop = shop_of(e, i),
		.received_at = e->received_at,
		.attempt = job->item.attempts + 1,
		.conf = r->conf_file,
		.body = alert.len ? alert.data : e->body,
		.body_len = alert.len ? alert.len : e->body_len,
		.home = hooks_home(r->hooks),
		.signals = &r->signals,
		.running = r->running,
		.slot = (unsigned)(slot - r->slots),
	    },
	    r->conf->hook_timeout);
	saved = errno;
	buf_free(&alert);
	installation_free(i);
	errno = saved;
	if (slot->hook == NULL) {
		on_start_failure(r, &job->item);
		return (-1);
	}
	r->start_errno = 0;
	r->retried_last = is_retry;
	job->item.attempts++;
	slot->job = *job;
	slot->is_retry = is_retry;
	*job = (struct job){ .item = { .attempts = 0 } };
	return (1);
}
