#include "worker/runner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "store/name.h"
#include "store/reserve.h"
#include "worker/job.h"
#include "worker/waiting.h"

enum {
	RETRY_FIRST = 10,		/* seconds, doubling (contract section 6) */
	RETRY_MAX = 3600,
	BLOCKED_MS = 1000,		/* pause after a failure of the worker itself */
	NO_HOOK_SECONDS = 10,		/* how often an item without a hook is looked at */
	RESERVE = 512 * 1024,		/* bytes: an item for each hook that can run, and directories */
	BEHIND_MS = 5,			/* pause while a record is behind the journal */
	BEHIND_PAUSES = 10,
	PATH_SIZE = 4096,
};

/* A hook that runs. */
struct slot {
	struct hook *hook;		/* NULL: free */
	struct job job;
	bool is_retry;			/* its item is in queue/waiting */
	struct follow_file before;	/* where to go on after a crash, as long as this one has not ended */
};

struct runner {
	const struct conf *conf;
	const char *conf_file;
	const struct state *state;
	struct queue *queue;
	const struct credentials *credentials;
	struct running *running;	/* which hooks run, on disk */
	struct waiting *waiting;	/* what is in queue/waiting, and the keys of the dead */
	struct slot slots[RUNNER_SLOTS_MAX];
	bool retried_last;
	bool unsaved;			/* something waits in memory alone */
	bool unnoted;			/* so do notes of what became of hooks */
	struct reserve reserve;		/* room for such notes: queue/reserve */
	bool hooks_unavailable;		/* when they were last looked for */
	bool failed;			/* the worker itself, at any time: not all was done that was due */
	int start_errno;		/* why the last hook could not be started; 0: it was */
	int64_t blocked_until;		/* milliseconds; nothing is started before */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

/* The worker itself has failed: start nothing for a moment. */
static void
block(struct runner *r)
{
	r->failed = true;
	r->blocked_until = now_ms() + BLOCKED_MS;
}

struct runner *
runner_new(const struct conf *conf, const char *conf_file, const struct state *state,
    struct queue *queue, const struct credentials *credentials)
{
	struct runner *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return (NULL);
	*r = (struct runner){ .conf = conf, .conf_file = conf_file, .state = state, .queue = queue,
		.credentials = credentials, .reserve = { .dir = -1, .fd = -1 } };
	if ((r->running = running_open(state->queue)) == NULL || (r->waiting = waiting_new(queue)) == NULL) {
		running_close(r->running);
		free(r);
		return (NULL);
	}
	return (r);
}

void
runner_configure(struct runner *r, const struct conf *conf, const char *conf_file,
    const struct credentials *credentials)
{
	r->conf = conf;
	r->conf_file = conf_file;
	r->credentials = credentials;
}

/* Let go of a slot's hook, which is killed if it still runs. */
static void
free_hook(struct runner *r, struct slot *slot)
{
	hook_free(slot->hook);
	slot->hook = NULL;
	job_free(&slot->job);
	running_clear(r->running, (unsigned)(slot - r->slots));
}

void
runner_free(struct runner *r)
{
	if (r == NULL)
		return;
	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
		if (r->slots[i].hook)
			free_hook(r, &r->slots[i]);
	waiting_free(r->waiting);
	running_close(r->running);
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

static struct slot *
free_slot(struct runner *r)
{
	for (unsigned i = 0; i < r->conf->concurrency; i++)
		if (r->slots[i].hook == NULL)
			return (&r->slots[i]);
	return (NULL);
}

bool
runner_is_blocked(const struct runner *r)
{
	return (r->unsaved || r->unnoted || now_ms() < r->blocked_until);
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

/* Whether a write that failed can be tried again: the disk was full, and the reserve is given back. */
static bool
has_made_room(struct runner *r)
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
	return (has_made_room(r) ? queue_wait(r->queue, item) : -1);
}

static void
let_wait(struct runner *r, struct queue_item *item)
{
	/* Not on disk, but not lost: the position stays in front of it until it is. */
	if ((item->unsaved = save_item(r, item) != 0)) {
		log_errno(LOG_LEVEL_ERROR, "retry not noted", "delivery", item->delivery, NULL);
		r->unsaved = true;
		block(r);
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
	struct ran *ran = queue_ran(r->queue);

	if (ran_add(ran, item->place.name, item->delivery, item->key, result) == 0 ||
	    (has_made_room(r) && ran_flush(ran) == 0))
		return;
	log_errno(LOG_LEVEL_ERROR, "hook's run not noted; no hook is started until it is", "delivery",
	    item->delivery, NULL);
	r->unnoted = true;
	block(r);
}

/* A hook did not do its work: later again, or never. */
static void
on_failure(struct runner *r, struct queue_item *item, bool for_good)
{
	item->for_credentials = false;
	item->next = queue_clock();
	if (for_good || item->attempts >= r->conf->attempts) {
		log_hook(LOG_LEVEL_ERROR, "hook given up: fluidhook queue --dead", item);
		if (queue_bury(r->queue, item) == 0 ||
		    (has_made_room(r) && queue_bury(r->queue, item) == 0)) {
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

/*
 * Look for an event's hook. Writes its path, of PATH_SIZE bytes. Returns 1, 0 if there is none, or -1 if the
 * directory cannot be seen: then nothing is started for a moment.
 */
static int
find_hook(struct runner *r, const char *event, char *path)
{
	int found = hook_find(r->conf->hooks, r->conf->hooks_by_default, event, path, PATH_SIZE);

	if (found == -1) {
		if (!r->hooks_unavailable)
			log_errno(LOG_LEVEL_ERROR, "hooks directory is unavailable: deliveries wait for it",
			    "hooks", r->conf->hooks, NULL);
		block(r);
	} else if (r->hooks_unavailable) {
		log_line(LOG_LEVEL_INFO, "hooks directory is available again", "hooks", r->conf->hooks, NULL);
	}
	r->hooks_unavailable = found == -1;
	return (found);
}

void
runner_look(struct runner *r)
{
	char path[PATH_SIZE];
	struct stat st;

	if (find_hook(r, "any", path) == 0 && stat(r->conf->hooks, &st))
		log_line(LOG_LEVEL_INFO, "there are no hooks", "hooks", r->conf->hooks, NULL);
}

/* The hook was there, and the directory went away before it could be executed. */
static bool
lost_its_directory(struct runner *r, const struct slot *slot)
{
	char path[PATH_SIZE];

	return (hook_did_not_run(slot->hook) && find_hook(r, slot->job.item.event, path) == -1);
}

static void
end_slot(struct runner *r, struct slot *slot)
{
	struct queue_item *item = &slot->job.item;
	enum hook_outcome outcome = hook_result(slot->hook, item->why, sizeof(item->why));

	if (outcome == HOOK_DONE) {
		item->why[0] = '\0';
		on_success(r, item);
	} else if (lost_its_directory(r, slot)) {
		item->attempts--;
		item->next = queue_clock() + 1;
		let_wait(r, item);
	} else {
		on_failure(r, item, outcome == HOOK_FAILED_FOR_GOOD);
	}
	free_hook(r, slot);
}

/* A hook could not be started. That is no attempt of it. */
static void
on_start_failure(struct runner *r, const struct queue_item *item)
{
	/* Once, and not each second for as long as it lasts. */
	if (errno != r->start_errno)
		log_errno(LOG_LEVEL_ERROR, "hook cannot be started now; it waits", "event", item->event,
		    "delivery", item->delivery, NULL);
	r->start_errno = errno;
	block(r);
}

/* Have room for the notes of what becomes of this item's hook, and in the right place. 0, or -1 with errno set. */
static int
reserve(struct runner *r, const struct queue_item *item)
{
	if (!state_in_place(r->state)) {
		errno = ESTALE;
		return (-1);
	}
	if (r->reserve.fd == -1 && reserve_make(&r->reserve, r->state->queue, "reserve", RESERVE))
		return (-1);
	return (ran_reserve(queue_ran(r->queue), item->place.name));
}

/*
 * Run the job's hook in a slot, which takes the job over. Returns 1 when it runs. The job is still the
 * caller's when there is no hook for it, 0, and when it could not be started now, -1: nothing else is then
 * started for a moment.
 */
static int
start(struct runner *r, struct slot *slot, struct job *job, bool is_retry)
{
	char path[PATH_SIZE];
	int found = find_hook(r, job->item.event, path);
	const struct entry *e = &job->entry;

	if (found != 1)
		return (found);
	if (reserve(r, &job->item)) {
		on_start_failure(r, &job->item);
		return (-1);
	}
	slot->hook = hook_start(&(struct hook_call){
		.path = path,
		.event = job->item.event,
		.delivery = e->delivery,
		.installation = e->installation ? e->installation : "",
		.shop = e->fluid_shop ? e->fluid_shop : "",
		.received_at = e->received_at,
		.attempt = job->item.attempts + 1,
		.conf = r->conf_file,
		.body = e->body,
		.body_len = e->body_len,
		.running = r->running,
		.slot = (unsigned)(slot - r->slots),
	}, r->conf->hook_timeout);
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

	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
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

/*
 * Whether anything at all is to be done for this delivery, now or later: 1 or 0, or -1 if the hooks cannot be
 * seen.
 */
static int
is_wanted(struct runner *r, const struct job *job)
{
	char path[PATH_SIZE];
	int found = find_hook(r, job->item.event, path);

	if (found != 0 || strcmp(job->item.event, "droplet.installed") != 0)
		return (found);
	return (r->conf->n_subscribe ? 1 : find_hook(r, "fluidhook.install_failed", path));
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
	    name_is_safe(record, strlen(record)) &&
	    (r->credentials == NULL || credentials_want(r->credentials, record)))
		return (JOB_WAITS);
	return (readiness);
}

/* The worker itself failed to deal with a delivery. */
static bool
on_own_failure(struct runner *r, const struct job *job)
{
	log_errno(LOG_LEVEL_ERROR, "delivery cannot be dealt with now", "delivery",
	    job->item.delivery[0] ? job->item.delivery : NULL, NULL);
	block(r);
	return (false);
}

/* runner_line() for a line that was read into *job. */
static bool
take_line(struct runner *r, struct job *job, struct slot *slot)
{
	enum job_readiness readiness;
	int wanted = is_wanted(r, job), known;

	if (wanted != 1)
		return (wanted == 0);
	if (job_identify(job) || (known = is_known(r, job)) == -1)
		return (on_own_failure(r, job));
	if (known || (readiness = readiness_of(r, job, BEHIND_PAUSES)) == JOB_ENDED)
		return (true);
	if (readiness != JOB_READY) {
		job->item.for_credentials = true;
		job->item.next = queue_clock() + 1;
		let_wait(r, &job->item);
		return (true);
	}
	/* An install that failed for good is another event than the one that came, so its key is another one. */
	if (strcmp(job->item.event, job->entry.event) != 0 &&
	    (job_identify(job) || (known = is_known(r, job)) == -1))
		return (on_own_failure(r, job));
	return (known || start(r, slot, job, false) != -1);
}

bool
runner_line(struct runner *r, const struct buf *line, const struct follow_file *before)
{
	struct follow_place place = { .offset = before->offset };
	struct slot *slot = free_slot(r);
	bool dealt_with = true;
	struct job job;

	slot->before = *before;
	memcpy(place.name, before->name, sizeof(place.name));
	if (job_read(&job, line->data, line->len, &place) == 0)
		dealt_with = take_line(r, &job, slot);
	else if (errno == ENOMEM)
		dealt_with = on_own_failure(r, &job);
	else
		log_line(LOG_LEVEL_WARN, "journal line is no delivery", "file", place.name, NULL);
	job_free(&job);
	return (dealt_with);
}

/*
 * An item cannot be dealt with, and that is no failure of its hook. It stays as it is, with `why` in its file,
 * which is logged and written once.
 */
static void
keep_waiting(struct runner *r, const struct queue_item *item, const char *why)
{
	struct queue_item copy = *item;
	int64_t next = queue_clock() + NO_HOOK_SECONDS;

	if (strcmp(item->why, why) == 0) {
		waiting_put_off(r->waiting, item->delivery, next);
		return;
	}
	snprintf(copy.why, sizeof(copy.why), "%s", why);
	copy.next = next;
	log_hook(LOG_LEVEL_WARN, "delivery waits", &copy);
	let_wait(r, &copy);
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
		waiting_put_off(r->waiting, item->delivery, queue_clock() + 1);
	return (done != 0);
}

/*
 * An item's line cannot be read. That it is in no file any more counts as an attempt, so that it becomes a dead letter.
 * An error of reading does not.
 */
static void
on_unreadable(struct runner *r, const struct queue_item *item)
{
	bool gone = errno == ENOENT || errno == EBADMSG;
	struct queue_item copy = *item;

	snprintf(copy.why, sizeof(copy.why), "journal: %s", errno == ENOENT ? "none of its files has the delivery" :
	    errno == EBADMSG ? "the delivery's line is damaged" : strerror(errno));
	if (gone) {
		copy.attempts++;
		on_failure(r, &copy, false);
	} else {
		r->failed = true;
		keep_waiting(r, item, copy.why);
	}
}

/* An item's time has come. There is room. */
static void
retry(struct runner *r, const struct queue_item *item)
{
	enum job_readiness readiness = JOB_READY;
	struct job job;
	int started;

	if (is_over(r, item))
		return;
	if (job_read_item(&job, r->state->journal, item)) {
		on_unreadable(r, item);
	} else if (item->for_credentials && (readiness = readiness_of(r, &job, 0)) == JOB_ENDED) {
		forget(r, item);
	} else if (readiness != JOB_READY || job_identify(&job)) {
		waiting_put_off(r->waiting, item->delivery, queue_clock() + 1);
	} else if (is_over(r, &job.item)) {
		/* Which hook it is, and so the key, can have changed while it waited. */
	} else if ((started = start(r, free_slot(r), &job, true)) == -1) {
		waiting_put_off(r->waiting, item->delivery, queue_clock() + 1);
	} else if (started == 0 && item->for_credentials) {
		/* It has not run yet: as any delivery without a hook, it is passed over. */
		forget(r, item);
	} else if (started == 0) {
		keep_waiting(r, item, "there is no hook any more");
	}
	job_free(&job);
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
			next = item.next > 0 ? item.next : 1;
	return (next);
}

/* What could not be written to the queue: once more. log_lost: say what still cannot. */
static void
save_again(struct runner *r, bool log_lost)
{
	char cursor[UUID_SIZE] = "";
	struct queue_item item;

	r->unsaved = false;
	while (waiting_next(r->waiting, cursor, &item)) {
		if (!item.unsaved)
			continue;
		if (save_item(r, &item)) {
			if (log_lost)
				log_errno(LOG_LEVEL_ERROR, "retry lost: its hook runs again as if it had not "
				    "run", "delivery", item.delivery, NULL);
			r->unsaved = true;
			continue;
		}
		item.unsaved = false;
		waiting_put(r->waiting, &item);
	}
}

static void
note_again(struct runner *r)
{
	struct ran *ran = queue_ran(r->queue);

	r->unnoted = ran_flush(ran) != 0 && !(has_made_room(r) && ran_flush(ran) == 0);
}

void
runner_flush(struct runner *r)
{
	if ((!r->unsaved && !r->unnoted) || now_ms() < r->blocked_until)
		return;
	if (r->unsaved)
		save_again(r, false);
	if (r->unnoted)
		note_again(r);
	if (r->unsaved || r->unnoted)
		block(r);
	else
		log_line(LOG_LEVEL_INFO, "all is noted now", NULL);
}

int
runner_finish(struct runner *r)
{
	if (r->unsaved)
		save_again(r, true);
	if (r->unnoted)
		note_again(r);
	if (r->unnoted)
		log_errno(LOG_LEVEL_ERROR, "notes lost: hooks that ran can run again", NULL);
	return (r->unsaved || r->unnoted ? -1 : 0);
}

void
runner_make_room(struct runner *r)
{
	has_made_room(r);
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
	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
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

	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
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
runner_has_process(const struct runner *r, pid_t pid)
{
	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++)
		if (r->slots[i].hook && hook_process(r->slots[i].hook) == pid)
			return (true);
	return (false);
}

bool
runner_hold_back(const struct runner *r, struct follow_file *files, unsigned n)
{
	for (unsigned i = 0; i < RUNNER_SLOTS_MAX; i++) {
		const struct slot *slot = &r->slots[i];

		for (unsigned k = 0; slot->hook && !slot->is_retry && k < n; k++)
			if (strcmp(files[k].name, slot->before.name) == 0 &&
			    slot->before.offset < files[k].offset)
				files[k] = slot->before;
	}
	return (!r->unsaved);
}
