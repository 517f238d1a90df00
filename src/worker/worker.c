#include "worker/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "store/name.h"
#include "worker/credentials.h"
#include "worker/hook.h"
#include "worker/job.h"
#include "worker/queue.h"
#include "worker/waiting.h"

enum {
	SLOTS_MAX = 64,			/* as `concurrency` allows */
	POLL_MS = 5000,			/* for file systems without inotify */
	CREDENTIALS_MS = 1000,		/* while an install waits for its credentials */
	RETRY_FIRST = 10,		/* seconds, doubling (contract section 6) */
	RETRY_MAX = 3600,
	LINES_AT_ONCE = 2000,		/* then look at everything else again */
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
	/* Where to go on after a crash, as long as this one has not ended. */
	struct follow_file before[POSITION_FILES];
	unsigned n_before;
};

struct worker {
	const struct conf *conf;
	const char *conf_file;
	struct state *state;
	struct queue *queue;
	struct follow *follow;
	struct waiting *waiting;	/* what is in queue/waiting, and the keys of the dead */
	struct slot slots[SLOTS_MAX];
	struct buf line;
	bool stopping;
	bool position_changed;
	bool position_stays;		/* something behind it is in memory alone */
	int64_t position_saved;		/* milliseconds */
	int64_t refreshed;		/* when queue/waiting was last looked at; milliseconds */
	int signal_fd, journal_watch;

	struct credentials *credentials;	/* talks to Fluid */
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

static unsigned
running(const struct worker *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->conf->concurrency; i++)
		n += w->slots[i].hook != NULL;
	return (n);
}

static struct slot *
free_slot(struct worker *w)
{
	for (unsigned i = 0; i < w->conf->concurrency; i++)
		if (w->slots[i].hook == NULL)
			return (&w->slots[i]);
	return (NULL);
}

/* Save how far everything before is dealt with: up to the oldest line whose hook still runs. */
static void
save_position(struct worker *w)
{
	const struct follow_file *files;
	const struct slot *oldest = NULL;
	unsigned n;

	if (w->position_stays)
		return;
	files = follow_position(w->follow, &n);
	for (unsigned i = 0; i < w->conf->concurrency; i++)
		if (w->slots[i].hook && !w->slots[i].is_retry && (oldest == NULL ||
		    strcmp(w->slots[i].job.item.delivery, oldest->job.item.delivery) < 0))
			oldest = &w->slots[i];
	if (oldest) {
		files = oldest->before;
		n = oldest->n_before;
	}
	if (queue_save_position(w->queue, files, n))
		log_errno(LOG_LEVEL_ERROR, "position not saved", NULL);
	else
		w->position_changed = oldest != NULL;
	w->position_saved = now_ms();
}

static unsigned
random_below(unsigned n)
{
	unsigned r = 0;

	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		r = (unsigned)now_ms();
	return (n ? r % n : 0);
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
let_wait(struct worker *w, const struct queue_item *item)
{
	/* Not on disk, but not lost: the position stays in front of it until the next start. */
	if (queue_wait(w->queue, item)) {
		log_errno(LOG_LEVEL_ERROR, "retry not noted", "delivery", item->delivery, NULL);
		w->position_stays = true;
	}
	waiting_put(w->waiting, item);
}

static void
log_hook(enum log_level level, const char *msg, const struct queue_item *item)
{
	char attempt[16];

	snprintf(attempt, sizeof(attempt), "%u", item->attempts);
	log_line(level, msg, "event", item->event, "delivery", item->delivery, "attempt", attempt, "why",
	    item->why[0] ? item->why : NULL, NULL);
}

/* A hook did not do its work: later again, or never. */
static void
on_failure(struct worker *w, struct queue_item *item)
{
	item->for_credentials = false;
	if (item->attempts < w->conf->attempts) {
		item->next = time(NULL) + retry_delay(item->attempts);
		log_hook(LOG_LEVEL_WARN, "hook failed, to be tried again", item);
		let_wait(w, item);
		return;
	}
	item->next = time(NULL);
	log_hook(LOG_LEVEL_ERROR, "hook given up: fluidhook queue --dead", item);
	if (queue_bury(w->queue, item))
		log_errno(LOG_LEVEL_ERROR, "dead letter not written", "delivery", item->delivery, NULL);
	waiting_bury(w->waiting, item);
}

static void
on_success(struct worker *w, const struct queue_item *item)
{
	log_hook(LOG_LEVEL_INFO, "hook done", item);
	if (ran_add(queue_ran(w->queue), item->key, time(NULL)))
		log_errno(LOG_LEVEL_ERROR, "hook's run not noted", "delivery", item->delivery, NULL);
	if (waiting_remove(w->waiting, item->delivery) && queue_remove(w->queue, item))
		log_errno(LOG_LEVEL_ERROR, "retry not removed", "delivery", item->delivery, NULL);
}

static void
end_slot(struct worker *w, struct slot *slot)
{
	struct queue_item *item = &slot->job.item;

	if (hook_result(slot->hook, item->why, sizeof(item->why))) {
		item->why[0] = '\0';
		on_success(w, item);
	} else {
		on_failure(w, item);
	}
	hook_free(slot->hook);
	slot->hook = NULL;
	job_free(&slot->job);
	w->position_changed = true;
}

/*
 * Run the job's hook in a slot, which takes the job over. Returns 1 when it runs, 0 when there is no
 * hook for it (or it has been put off); the job is then still the caller's.
 */
static int
start(struct worker *w, struct slot *slot, struct job *job, bool is_retry)
{
	char path[PATH_SIZE];
	int found = hook_find(w->conf->hooks, job->item.event, path, sizeof(path));
	const struct entry *e = &job->entry;

	if (found == 0)
		return (0);
	job->item.attempts++;
	slot->hook = found == -1 ? NULL : hook_start(&(struct hook_call){
		.path = path,
		.event = job->item.event,
		.delivery = e->delivery,
		.installation = e->installation ? e->installation : "",
		.shop = e->fluid_shop ? e->fluid_shop : "",
		.received_at = e->received_at,
		.attempt = job->item.attempts,
		.conf = w->conf_file,
		.body = e->body,
		.body_len = e->body_len,
	}, w->conf->hook_timeout);
	if (slot->hook == NULL) {
		snprintf(job->item.why, sizeof(job->item.why), "%s", strerror(errno));
		on_failure(w, &job->item);
		return (0);
	}
	slot->job = *job;
	slot->is_retry = is_retry;
	*job = (struct job){ .item = { .attempts = 0 } };
	return (1);
}

/* Whether the same delivery ran, waits, runs or was given up. */
static bool
is_known(struct worker *w, const struct job *job)
{
	for (unsigned i = 0; i < w->conf->concurrency; i++)
		if (w->slots[i].hook && strcmp(w->slots[i].job.item.key, job->item.key) == 0)
			return (true);
	return (ran_has(queue_ran(w->queue), job->item.key) ||
	    waiting_has_key(w->waiting, job->item.key));
}

/*
 * Whether its hook can run now. An install that is active gets its subscriptions, too. The record follows
 * its journal line at once: `patience` (in pauses) for it saves putting the delivery off.
 */
static bool
is_ready(struct worker *w, struct job *job, int patience)
{
	const struct timespec pause = { .tv_nsec = BEHIND_MS * 1000000L };
	const char *record = job->entry.installation;
	enum job_readiness readiness;

	while ((readiness = job_ready(job, w->state)) == JOB_BEHIND && patience--)
		nanosleep(&pause, NULL);
	if (readiness != JOB_READY)
		return (false);
	if (strcmp(job->item.event, "droplet.installed") == 0 && record &&
	    name_is_safe(record, strlen(record)))
		credentials_want(w->credentials, record);
	return (true);
}

/* Deal with a line of the journal. `before`: the position in front of it. */
static void
on_line(struct worker *w, const struct follow_place *place, const struct follow_file *before,
    unsigned n_before)
{
	struct slot *slot = free_slot(w);
	struct job job;
	char path[PATH_SIZE];

	if (job_read(&job, w->line.data, w->line.len, place)) {
		log_line(LOG_LEVEL_WARN, "journal line is no delivery", "file", place->name, NULL);
		job_free(&job);
		return;
	}
	if (is_known(w, &job) || (strcmp(job.item.event, "droplet.installed") != 0 &&
	    hook_find(w->conf->hooks, job.item.event, path, sizeof(path)) == 0))
		goto out;
	if (!is_ready(w, &job, BEHIND_PAUSES)) {
		job.item.for_credentials = true;
		job.item.next = time(NULL) + 1;
		let_wait(w, &job.item);
		goto out;
	}
	memcpy(slot->before, before, n_before * sizeof(*before));
	slot->n_before = n_before;
	start(w, slot, &job, false);
out:
	job_free(&job);
}

/* Read on in the journal while there is a free slot. Returns whether there may be more. */
static bool
follow_lines(struct worker *w)
{
	struct follow_file before[POSITION_FILES];
	const struct follow_file *files;
	struct follow_place place;
	unsigned n;
	int result;

	for (int i = 0; i < LINES_AT_ONCE && free_slot(w); i++) {
		files = follow_position(w->follow, &n);
		/* With so many files open they are old ones: going over some again does no harm. */
		n = n < POSITION_FILES ? n : POSITION_FILES;
		if (n)
			memcpy(before, files, n * sizeof(*files));
		if ((result = follow_next(w->follow, &w->line, &place)) == -1)
			log_errno(LOG_LEVEL_ERROR, "journal cannot be read", NULL);
		if (result != 1)
			return (false);
		w->position_changed = true;
		on_line(w, &place, before, n);
	}
	return (true);
}

/* An item's time has come. Returns false when its hook could not be started for want of a slot. */
static bool
retry(struct worker *w, const struct queue_item *item)
{
	struct slot *slot = free_slot(w);
	struct job job;

	if (slot == NULL)
		return (false);
	if (job_read_item(&job, w->state->journal, item)) {
		log_errno(LOG_LEVEL_ERROR, "delivery cannot be read again", "delivery", item->delivery,
		    NULL);
		snprintf(job.item.why, sizeof(job.item.why), "journal: %s", strerror(errno));
		job.item.attempts++;
		on_failure(w, &job.item);
	} else if (item->for_credentials && !is_ready(w, &job, 0)) {
		waiting_put_off(w->waiting, item->delivery, time(NULL) + 1);
	} else if (start(w, slot, &job, true) == 0 && waiting_is_due(w->waiting, item->delivery)) {
		/* The hook has been taken away meanwhile. */
		waiting_remove(w->waiting, item->delivery);
		queue_remove(w->queue, &job.item);
	}
	job_free(&job);
	return (true);
}

static bool
is_running(const struct worker *w, const char *delivery)
{
	for (unsigned i = 0; i < w->conf->concurrency; i++)
		if (w->slots[i].hook && strcmp(w->slots[i].job.item.delivery, delivery) == 0)
			return (true);
	return (false);
}

/* When something that waits is due (unix seconds), 0: nothing waits. */
static int64_t
next_due(struct worker *w)
{
	char cursor[UUID_SIZE] = "";
	struct queue_item item;
	int64_t next = 0, now = time(NULL);

	while (waiting_next(w->waiting, cursor, &item))
		if (item.next > now && !is_running(w, item.delivery) && (next == 0 || item.next < next))
			next = item.next;
	return (next);
}

/* Start what is due. */
static void
start_due(struct worker *w)
{
	char cursor[UUID_SIZE] = "";
	struct queue_item item;
	int64_t now = time(NULL);

	while (!w->stopping && waiting_next(w->waiting, cursor, &item))
		if (item.next <= now && !is_running(w, item.delivery) && !retry(w, &item))
			break;
}

/* An installation has got its credentials, or never will: its install is looked at now. */
static void
wake_installs(struct worker *w)
{
	waiting_wake_credentials(w->waiting, time(NULL));
}

/* Wait for a hook, a line, a signal, the thread or the clock. */
static void
wait_for_something(struct worker *w, int64_t next)
{
	struct pollfd fds[3 + SLOTS_MAX * HOOK_POLL_FDS];
	char events[4096];
	unsigned n = 3;
	int timeout = POLL_MS, left;
	eventfd_t count;

	fds[0] = (struct pollfd){ .fd = w->signal_fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = w->journal_watch, .events = POLLIN };
	fds[2] = (struct pollfd){ .fd = credentials_settled(w->credentials), .events = POLLIN };
	for (unsigned i = 0; i < w->conf->concurrency; i++)
		if (w->slots[i].hook) {
			left = hook_poll(w->slots[i].hook, &fds[n]);
			timeout = left < timeout ? left : timeout;
			n += HOOK_POLL_FDS;
		}
	if (next && (next - time(NULL)) * 1000 < timeout)
		timeout = next > time(NULL) ? (int)(next - time(NULL)) * 1000 : 0;
	if (w->position_changed && timeout > CREDENTIALS_MS)
		timeout = CREDENTIALS_MS;
	if (poll(fds, n, timeout) == -1 && errno != EINTR)
		log_errno(LOG_LEVEL_ERROR, "poll", NULL);
	n = 3;
	for (unsigned i = 0; i < w->conf->concurrency; i++)
		if (w->slots[i].hook) {
			if (hook_step(w->slots[i].hook, &fds[n]))
				end_slot(w, &w->slots[i]);
			n += HOOK_POLL_FDS;
		}
	while (fds[1].revents && read(w->journal_watch, events, sizeof(events)) > 0)
		;
	if (fds[2].revents && eventfd_read(fds[2].fd, &count) == 0)
		wake_installs(w);
	if (fds[0].revents && !w->stopping) {
		w->stopping = true;
		log_line(LOG_LEVEL_INFO, "stopping", NULL);
	}
}

/*
 * Whether all is done that can be done now, for --once: no line left, no hook running, nothing due. What
 * waits for Fluid has just been tried.
 */
static bool
is_done(struct worker *w, bool more, int64_t next)
{
	return (!more && running(w) == 0 && (next == 0 || next > time(NULL)));
}

static void
loop(struct worker *w, bool once)
{
	int64_t next;
	bool more;

	for (;;) {
		if (once && !w->stopping && credentials_run(w->credentials))
			wake_installs(w);
		if (now_ms() - w->refreshed >= POLL_MS) {
			w->refreshed = now_ms();
			waiting_refresh(w->waiting);
		}
		start_due(w);
		more = !w->stopping && follow_lines(w);
		if (w->stopping && running(w) == 0)
			return;
		next = next_due(w);
		if (once && is_done(w, more, next)) {
			/* What these lines have brought. */
			if (credentials_run(w->credentials))
				wake_installs(w);
			start_due(w);
			next = next_due(w);
			if (is_done(w, false, next))
				return;
		}
		if (w->position_changed && now_ms() - w->position_saved >= 1000)
			save_position(w);
		if (more && free_slot(w))
			continue;
		wait_for_something(w, next);
	}
}

static int
open_watch(const struct worker *w)
{
	char path[PATH_SIZE];
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	snprintf(path, sizeof(path), "%s/journal", w->state->path);
	if (fd != -1 && inotify_add_watch(fd, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO) == -1) {
		close(fd);
		fd = -1;
	}
	if (fd == -1)
		log_errno(LOG_LEVEL_WARN, "no inotify: the journal is looked at every few seconds", NULL);
	return (fd);
}

/* Signals are for signal_fd, and threads started from now on do not get any. */
static int
take_signals(struct worker *w)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	return (w->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

static int
open_worker(struct worker *w)
{
	struct follow_file *files;
	unsigned n;

	if (take_signals(w) == -1)
		return (-1);
	if ((w->queue = queue_open(w->state->queue, true)) == NULL)
		return (-1);
	files = queue_position(w->queue, &n);
	if (files == NULL && n)
		return (-1);
	w->follow = follow_new(w->state->journal, files, n);
	free(files);
	if (w->follow == NULL || (w->waiting = waiting_new(w->queue)) == NULL)
		return (-1);
	if ((w->credentials = credentials_new(w->conf, w->state)) == NULL)
		return (-1);
	w->journal_watch = open_watch(w);
	return (0);
}

static void
close_worker(struct worker *w)
{
	const int fds[] = { w->signal_fd, w->journal_watch };

	credentials_free(w->credentials);
	waiting_free(w->waiting);
	follow_free(w->follow);
	queue_close(w->queue);
	buf_wipe(&w->line);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] != -1)
			close(fds[i]);
}

int
work(const struct conf *conf, const char *conf_file, struct state *state, bool once)
{
	struct worker *w = calloc(1, sizeof(*w));
	int result = -1;

	if (w == NULL)
		return (-1);
	*w = (struct worker){ .conf = conf, .conf_file = conf_file, .state = state, .signal_fd = -1,
		.journal_watch = -1 };
	if (open_worker(w)) {
		if (errno == EWOULDBLOCK)
			log_line(LOG_LEVEL_ERROR, "another worker runs on this state directory",
			    "state_dir", state->path, NULL);
		else
			log_errno(LOG_LEVEL_ERROR, "worker cannot start", "state_dir", state->path, NULL);
		goto out;
	}
	if (!once && credentials_start(w->credentials)) {
		log_errno(LOG_LEVEL_ERROR, "worker cannot start", NULL);
		goto out;
	}
	log_line(LOG_LEVEL_INFO, "working", "state_dir", state->path, "hooks", conf->hooks, NULL);
	loop(w, once);
	save_position(w);
	result = 0;
out:
	close_worker(w);
	free(w);
	return (result);
}
