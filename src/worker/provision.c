#include "worker/provision.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "fluid/api.h"
#include "store/durable.h"
#include "store/index.h"
#include "store/marker.h"
#include "worker/alert.h"
#include "worker/backoff.h"
#include "worker/lane.h"
#include "worker/markers.h"
#include "worker/resolve.h"
#include "worker/subscribe.h"

enum {
	POLL_MS = 5000,  /* for file systems without inotify */
	SIGNAL_MS = 200, /* how often --once looks for a signal during a call */
	PASS_MS = 20,    /* the directories are not read more often than this */
	PATH_SIZE = 4096,
};

/*
 * How many calls run side by side, and the longest wait between two tries in seconds. A call that hangs
 * takes the configured timeout. Subscriptions are made by one process at a time.
 */
static const struct kind {
	enum layout_dir dir;
	unsigned calls;
	int64_t retry_max;
} kinds[] = {
	[PENDING] = { LAYOUT_PENDING, LANE_MAX, BACKOFF_TOKEN_MAX },
	[UNCONFIRMED] = { LAYOUT_UNCONFIRMED, 8, 300 },
	[SUBSCRIBE] = { LAYOUT_SUBSCRIBE, 1, 3600 },
};

struct provision {
	const struct conf *conf;
	struct state *state;
	int markers[N_DIRECTORIES]; /* the directories; the first two are the state's */
	int reserves;               /* directory for what is set aside before an exchange */
	int answers;                /* and for what Fluid answers to it */
	struct fluid_api *api;
	pthread_mutex_t mutex; /* protects what is below */
	struct markers seen;
	struct lane lanes[N_DIRECTORIES];
	unsigned busy;       /* how many are the lanes' */
	unsigned n_resolved; /* since provision_run() began */
	unsigned n_adopted;  /* what a worker before has left behind, when this one began */
	unsigned n_given;    /* how many the last pass gave to the lanes */
	int64_t passed;      /* when the last one began */
	bool rested;         /* nothing was called since memory was given back */
	atomic_bool stop;
	pthread_t thread;
	bool has_thread;
	int wake, resolved; /* eventfds: to the thread, and from it */
};

static void work(void *user, struct fluid_api *t, struct lane_item *item);
static void on_ended(void *user);

static void
init_lanes(struct provision *c)
{
	for (enum markers_directory directory = PENDING; directory < N_DIRECTORIES; directory++) {
		struct lane *l = &c->lanes[directory];

		l->max = kinds[directory].calls;
		l->mutex = &c->mutex;
		l->api = c->api;
		l->stop = &c->stop;
		l->work = work;
		l->ended = on_ended;
		l->user = c;
		lane_init(l);
	}
}

static int
drop_reserve(void *user, const char *name)
{
	const struct provision *c = user;

	unlinkat(c->reserves, name, 0);
	return (0);
}

/* Before anything is posted: what a worker has left behind that was killed. */
static int
adopt(void *user, const char *record)
{
	struct provision *c = user;
	const struct resolving s = { .state = c->state,
		.became_active = c->markers[SUBSCRIBE],
		.answers = c->answers };

	if (resolve_adopt(&s, record) == RESOLVED) {
		c->n_adopted++;
		eventfd_write(c->resolved, 1);
	}
	return (0);
}

struct provision *
provision_new(const struct conf *conf, struct state *state)
{
	struct provision *c = calloc(1, sizeof(*c));
	struct fluid_error e;

	if (c == NULL)
		return (NULL);
	c->conf = conf;
	c->state = state;
	c->wake = c->resolved = c->reserves = c->answers = c->markers[SUBSCRIBE] = -1;
	c->markers[PENDING] = state->pending;
	c->markers[UNCONFIRMED] = state->unconfirmed;
	c->rested = true;
	pthread_mutex_init(&c->mutex, NULL);
	if ((c->api = fluid_api_new(conf, &e)) == NULL) {
		log_line(LOG_LEVEL_ERROR, "Fluid's API cannot be called", "why", e.text, NULL);
		goto err;
	}
	init_lanes(c);
	if ((c->markers[SUBSCRIBE] = durable_directory(state->queue,
		 layout_name(LAYOUT_SUBSCRIBE))) == -1 ||
	    (c->reserves = durable_directory(state->queue, layout_name(LAYOUT_RESERVES))) == -1 ||
	    (c->answers = durable_directory(state->queue, layout_name(LAYOUT_ANSWERS))) == -1 ||
	    (c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) == -1 ||
	    (c->resolved = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) == -1) {
		log_errno(LOG_LEVEL_ERROR, "Fluid's API cannot be called", NULL);
		goto err;
	}
	/* What a worker that was killed has left. */
	index_each(state->queue, layout_name(LAYOUT_RESERVES), 0, drop_reserve, c);
	if (index_each(state->queue, layout_name(LAYOUT_ANSWERS), 0, adopt, c))
		log_errno(LOG_LEVEL_ERROR, "queue cannot be read", "directory",
		    layout_path(LAYOUT_ANSWERS), NULL);
	return (c);

err:
	provision_free(c);
	return (NULL);
}

static void
stop_all(struct provision *c)
{
	atomic_store(&c->stop, true);
	if (c->wake != -1)
		eventfd_write(c->wake, 1);
	if (c->has_thread)
		pthread_join(c->thread, NULL);
	c->has_thread = false;
	for (enum markers_directory directory = PENDING; c->api && directory < N_DIRECTORIES;
	     directory++)
		if (c->lanes[directory].mutex)
			lane_join(&c->lanes[directory]);
}

void
provision_free(struct provision *c)
{
	if (c == NULL)
		return;
	stop_all(c);
	markers_free(&c->seen);
	fluid_api_free(c->api);
	if (c->markers[SUBSCRIBE] != -1)
		close(c->markers[SUBSCRIBE]);
	if (c->reserves != -1)
		close(c->reserves);
	if (c->answers != -1)
		close(c->answers);
	if (c->wake != -1)
		close(c->wake);
	if (c->resolved != -1)
		close(c->resolved);
	pthread_mutex_destroy(&c->mutex);
	free(c);
}

/* Have the subscriptions of a record that is active. Returns 0, or -1 to try again later. */
static int
subscribe(struct provision *c, struct fluid_api *t, const char *record)
{
	struct subscribe_failure f;

	if (c->conf->public_url == NULL || c->conf->n_subscribe == 0)
		return (0);
	if (subscribe_record(c->conf, t, c->state, record, false, &f) == 0) {
		log_line(LOG_LEVEL_INFO, "subscribed", "installation", record, NULL);
		return (0);
	}
	/* Once: it is tried again and again. */
	log_line(f.is_news || f.errors == NULL ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO,
	    "subscriptions not made", "installation", record, "why", f.errors ? f.errors : f.e.text,
	    NULL);
	if (f.to_be_told)
		alert_subscription_failed(c->conf, c->state, record, f.shop, f.errors);
	free(f.errors);
	free(f.shop);
	return (-1);
}

/*
 * Whether the record is being seen to by another lane that it must not be in at the same time: an unsigned
 * install that is signed by now, with the same token, or one that may become active at any moment. The mutex
 * is held.
 */
static bool
is_elsewhere(struct provision *c, enum markers_directory directory, const char *record)
{
	const struct marked *w;

	for (enum markers_directory other = PENDING; other <= UNCONFIRMED; other++)
		if (other != directory && (w = *markers_find(&c->seen, other, record)) != NULL &&
		    w->busy)
			return (true);
	return (false);
}

/* See to a record that became active. Its marker goes when all is done that can be. */
static enum resolved
see_to_active(struct provision *c, const struct resolving *s, const char *record)
{
	int active = resolve_active(s, record);
	enum resolved resolved = RESOLVE_NOTHING;

	if (active == -1 || (active && subscribe(c, s->api, record)))
		return (RESOLVE_LATER);
	/* An exchange that has begun meanwhile counts on the marker. */
	pthread_mutex_lock(&c->mutex);
	if (is_elsewhere(c, SUBSCRIBE, record))
		resolved = RESOLVE_LATER;
	else
		marker_clear(c->markers[SUBSCRIBE], record);
	pthread_mutex_unlock(&c->mutex);
	return (resolved);
}

/* In a thread of a lane. */
static void
work(void *user, struct fluid_api *t, struct lane_item *item)
{
	struct provision *c = user;
	struct marked *w = (struct marked *)(void *)item;
	struct reserve reserve = { .dir = -1, .fd = -1 }, answer = reserve;
	struct resolving s = { .state = c->state,
		.api = t,
		.became_active = c->markers[SUBSCRIBE],
		.reserves = c->reserves,
		.reserve = &reserve,
		.answers = c->answers,
		.answer = &answer,
		.stop = &c->stop };
	enum resolved resolved;
	int64_t deadline = 0;

	resolved = w->directory == SUBSCRIBE ?
	    see_to_active(c, &s, w->record) :
	    resolve_record(&s, c->markers[w->directory], w->record, &deadline);
	pthread_mutex_lock(&c->mutex);
	c->busy--;
	w->busy = false;
	if (resolved == RESOLVE_LATER)
		w->next = backoff_now() +
		    backoff_wait(w->tries++, kinds[w->directory].retry_max, deadline != 0,
			deadline - time(NULL));
	else
		w->tries = 0;
	/* Its marker is gone, unless it could not be removed, or waits for something new. */
	if (resolved == RESOLVED || resolved == RESOLVE_NOTHING)
		w->next = backoff_now() + BACKOFF_FIRST * 1000;
	if (resolved == RESOLVED) {
		c->n_resolved++;
		eventfd_write(c->resolved, 1);
	}
	eventfd_write(c->wake, 1);
	pthread_mutex_unlock(&c->mutex);
}

static void
on_ended(void *user)
{
	struct provision *c = user;

	eventfd_write(c->wake, 1);
}

/* While all is done here, without a thread, nobody sets `stop`: a signal that waits to be read does it. */
static bool
is_stopping(const struct provision *c)
{
	sigset_t waiting;

	return (atomic_load(&c->stop) ||
	    (sigpending(&waiting) == 0 &&
		(sigismember(&waiting, SIGTERM) == 1 || sigismember(&waiting, SIGINT) == 1)));
}

/* One reading of a directory. */
struct reading {
	struct provision *c;
	enum markers_directory directory;
};

/* A marker is there. The mutex is held. */
static int
see_marker(void *user, const char *record)
{
	struct reading *r = user;
	struct provision *c = r->c;
	struct marked **at = markers_find(&c->seen, r->directory, record), *w = *at;

	if (w == NULL) {
		if ((w = *at = calloc(1, sizeof(*w))) == NULL)
			return (0);
		w->directory = r->directory;
		snprintf(w->record, sizeof(w->record), "%s", record);
	}
	w->pass = c->seen.pass;
	if (w->busy || w->next > backoff_now() || is_elsewhere(c, r->directory, record))
		return (0);
	w->busy = true;
	c->busy++;
	c->n_given++;
	lane_add(&c->lanes[r->directory], &w->item);
	return (0);
}

/* Give what is due to the lanes. Returns when something is due again (see backoff_now()), 0 when nothing waits. */
static int64_t
pass(struct provision *c)
{
	bool complete = true;
	int64_t next;

	pthread_mutex_lock(&c->mutex);
	c->seen.pass++;
	c->n_given = 0;
	c->passed = backoff_now();
	for (enum markers_directory directory = PENDING; directory < N_DIRECTORIES; directory++) {
		struct reading r = { .c = c, .directory = directory };

		if (index_each(c->state->queue, layout_name(kinds[directory].dir), 0, see_marker,
			&r) == 0)
			continue;
		log_errno(LOG_LEVEL_ERROR, "queue cannot be read", "directory",
		    layout_path(kinds[directory].dir), NULL);
		complete = false;
	}
	next = markers_sweep(&c->seen, complete);
	if (c->busy)
		c->rested = false;
	pthread_mutex_unlock(&c->mutex);
	for (enum markers_directory directory = PENDING; directory < N_DIRECTORIES; directory++)
		if (lane_start(&c->lanes[directory]))
			log_errno(LOG_LEVEL_ERROR, "thread cannot be started", NULL);
	return (next);
}

static bool
is_busy(struct provision *c)
{
	bool busy = false;

	pthread_mutex_lock(&c->mutex);
	for (enum markers_directory directory = PENDING; directory < N_DIRECTORIES; directory++)
		busy = busy || c->lanes[directory].running ||
		    (c->lanes[directory].queued && !c->stop);
	pthread_mutex_unlock(&c->mutex);
	return (busy);
}

/* Wait for a call's end or a marker, for at most so long. watch: -1 for none. */
static void
wait_for_something(struct provision *c, int watch, int64_t ms)
{
	struct pollfd fds[2] = {
		{ .fd = c->wake, .events = POLLIN },
		{ .fd = watch, .events = POLLIN },
	};
	char events[4096];
	eventfd_t count;

	poll(fds, 2, ms < 0 ? 0 : ms < POLL_MS ? (int)ms : POLL_MS);
	eventfd_read(c->wake, &count);
	while (watch != -1 && read(watch, events, sizeof(events)) > 0)
		;
}

unsigned
provision_run(struct provision *c)
{
	bool was_busy, more = true;

	c->n_resolved = c->n_adopted;
	c->n_adopted = 0;
	/* Until a pass has found nothing to do, and nothing was being done that could bring more. */
	while (more) {
		if (is_stopping(c)) {
			atomic_store(&c->stop, true);
			more = is_busy(c);
		} else {
			was_busy = is_busy(c);
			pass(c);
			more = was_busy || c->n_given;
		}
		if (more)
			wait_for_something(c, -1, SIGNAL_MS);
	}
	return (c->n_resolved);
}

/* Wakes the thread when there is a marker. -1 where there is no inotify. */
static int
watch_directories(const struct provision *c)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[PATH_SIZE];

	for (size_t i = 0; fd != -1 && i < N_DIRECTORIES; i++) {
		snprintf(path, sizeof(path), "%s/%s", c->state->path, layout_path(kinds[i].dir));
		inotify_add_watch(fd, path, IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE);
	}
	return (fd);
}

static void *
thread(void *arg)
{
	struct provision *c = arg;
	int watch = watch_directories(c);
	int64_t next, wait;

	while (!atomic_load(&c->stop)) {
		/* Many calls that end one after the other are one reason to look. */
		if ((wait = c->passed + PASS_MS - backoff_now()) > 0)
			poll(NULL, 0, (int)wait);
		next = pass(c);
		if (!c->rested && !is_busy(c)) {
			fluid_api_rest(c->api);
			c->rested = true;
		}
		wait_for_something(c, watch, next ? next - backoff_now() : POLL_MS);
	}
	if (watch != -1)
		close(watch);
	return (NULL);
}

int
provision_start(struct provision *c)
{
	int error = pthread_create(&c->thread, NULL, thread, c);

	c->has_thread = error == 0;
	errno = error;
	return (error ? -1 : 0);
}

int
provision_resolved(const struct provision *c)
{
	return (c->resolved);
}

int
provision_want(const struct provision *c, const char *record)
{
	/* Also with ids in its record: those can be from before an uninstall. */
	if (c->conf->public_url == NULL || c->conf->n_subscribe == 0 ||
	    marker_set(c->markers[SUBSCRIBE], record) == 0)
		return (0);
	log_errno(LOG_LEVEL_ERROR, "subscriptions not noted", "record", record, NULL);
	return (-1);
}
