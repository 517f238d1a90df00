#include "worker/credentials.h"

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
#include "fluid/transport.h"
#include "store/durable.h"
#include "store/index.h"
#include "store/marker.h"
#include "store/name.h"
#include "worker/settle.h"
#include "worker/subscribe.h"

enum {
	RETRY_FIRST = 1,		/* seconds, doubling */
	RETRY_MAX = 3600,
	RETRY_TOKEN_MAX = 30,		/* while an exchange token lives */
	POLL_MS = 5000,			/* for file systems without inotify */
	PATH_SIZE = 4096,
};

/* The folders of queue/ with a marker for each record that waits, in the order they are looked at. */
enum folder { PENDING, UNCONFIRMED, SUBSCRIBE, N_FOLDERS };

static const char *const folder_names[] = { "pending", "unconfirmed", "subscribe" };

/* A record that is to be tried again later. */
struct backoff {
	enum folder folder;
	char record[NAME_SIZE];
	int64_t next;
	unsigned tries;
	struct backoff *following;
};

struct credentials {
	const struct conf *conf;
	struct state *state;
	int markers[N_FOLDERS];		/* the folders; the first two are the state's */
	struct transport *transport;
	struct backoff *backoffs;
	atomic_bool stop;
	pthread_t thread;
	bool has_thread;
	int wake, settled;		/* eventfds: to the thread, and from it */
};

struct credentials *
credentials_new(const struct conf *conf, struct state *state)
{
	struct credentials *c = calloc(1, sizeof(*c));
	struct fluid_error e;

	if (c == NULL)
		return (NULL);
	*c = (struct credentials){ .conf = conf, .state = state, .wake = -1, .settled = -1,
		.markers = { state->pending, state->unconfirmed, -1 } };
	if ((c->transport = transport_new(conf, &e)) == NULL) {
		log_line(LOG_LEVEL_ERROR, "Fluid's API cannot be called", "why", e.text, NULL);
		goto err;
	}
	if ((c->markers[SUBSCRIBE] = durable_folder(state->queue, "subscribe")) == -1 ||
	    (c->wake = eventfd(0, EFD_CLOEXEC)) == -1 ||
	    (c->settled = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) == -1) {
		log_errno(LOG_LEVEL_ERROR, "Fluid's API cannot be called", NULL);
		goto err;
	}
	return (c);

err:
	credentials_free(c);
	return (NULL);
}

void
credentials_free(struct credentials *c)
{
	struct backoff *b;

	if (c == NULL)
		return;
	if (c->has_thread) {
		atomic_store(&c->stop, true);
		eventfd_write(c->wake, 1);
		pthread_join(c->thread, NULL);
	}
	while ((b = c->backoffs) != NULL) {
		c->backoffs = b->following;
		free(b);
	}
	transport_free(c->transport);
	if (c->markers[SUBSCRIBE] != -1)
		close(c->markers[SUBSCRIBE]);
	if (c->wake != -1)
		close(c->wake);
	if (c->settled != -1)
		close(c->settled);
	free(c);
}

/* Where the backoff of this record is; what is there is NULL when it has none. */
static struct backoff **
find_backoff(struct credentials *c, enum folder folder, const char *record)
{
	struct backoff **b;

	for (b = &c->backoffs; *b; b = &(*b)->following)
		if ((*b)->folder == folder && strcmp((*b)->record, record) == 0)
			break;
	return (b);
}

static void
forget_backoff(struct backoff **at)
{
	struct backoff *b = *at;

	if (b) {
		*at = b->following;
		free(b);
	}
}

/*
 * When to try again: after a second, doubling. A token that will have died by then is tried once more
 * just before, and looked at when it is dead.
 */
static int64_t
next_try(unsigned tries, int64_t deadline)
{
	int64_t now = time(NULL), most = deadline ? RETRY_TOKEN_MAX : RETRY_MAX;
	int64_t wait = (int64_t)RETRY_FIRST << (tries < 12 ? tries : 12);

	wait = wait < most ? wait : most;
	if (deadline > now && now + wait >= deadline)
		wait = deadline - now > 1 ? deadline - now - 1 : deadline - now;
	return (now + wait);
}

/* One pass over a folder. */
struct pass {
	struct credentials *c;
	enum folder folder;
	unsigned settled;
	int64_t next;			/* when one of them is due, 0 for none */
};

static void
due_at(struct pass *p, int64_t next)
{
	if (p->next == 0 || next < p->next)
		p->next = next;
}

static void
try_later(struct pass *p, const char *record, int64_t deadline)
{
	struct backoff **at = find_backoff(p->c, p->folder, record), *b = *at;

	if (b == NULL) {
		if ((b = *at = calloc(1, sizeof(*b))) == NULL)
			return;
		b->folder = p->folder;
		snprintf(b->record, sizeof(b->record), "%s", record);
	}
	b->next = next_try(b->tries++, deadline);
	due_at(p, b->next);
}

/* Have the subscriptions of a record that is active. Returns 0, or -1 to try again later. */
static int
subscribe(struct credentials *c, const char *record)
{
	struct fluid_error e;

	if (c->conf->public_url == NULL || c->conf->n_subscribe == 0)
		return (0);
	if (subscribe_record(c->conf, c->transport, c->state, record, false, &e) == 0) {
		log_line(LOG_LEVEL_INFO, "subscribed", "installation", record, NULL);
		return (0);
	}
	log_line(LOG_LEVEL_ERROR, "subscriptions not made", "installation", record, "why", e.text, NULL);
	return (e.failure == FLUID_REFUSED ? 0 : -1);
}

/* See to a record that became active. Its marker goes when all is done that can be. */
static enum settled
see_to_active(struct credentials *c, const struct settling *s, const char *record)
{
	int active = settle_active(s, record);

	if (active == -1 || (active && subscribe(c, record)))
		return (SETTLE_LATER);
	marker_clear(c->markers[SUBSCRIBE], record);
	return (SETTLE_NOTHING);
}

static void run_folder(struct credentials *c, enum folder folder, struct pass *total);

/* While all is done here, without a thread, nobody sets `stop`: a signal that waits to be read does it. */
static bool
is_stopping(const struct credentials *c)
{
	sigset_t waiting;

	return (atomic_load(&c->stop) || (sigpending(&waiting) == 0 &&
	    (sigismember(&waiting, SIGTERM) == 1 || sigismember(&waiting, SIGINT) == 1)));
}

static int
try_marker(void *user, const char *record)
{
	struct pass *p = user;
	struct credentials *c = p->c;
	struct settling s = { .state = c->state, .transport = c->transport,
		.became_active = c->markers[SUBSCRIBE], .stop = &c->stop };
	struct backoff *b = *find_backoff(c, p->folder, record);
	enum settled settled;
	int64_t deadline = 0;

	if (is_stopping(c))
		return (1);
	if (b && b->next > time(NULL)) {
		due_at(p, b->next);
		return (0);
	}
	/* Exchange tokens die; what else there is to do can be long. */
	if (p->folder != PENDING)
		run_folder(c, PENDING, p);
	settled = p->folder == SUBSCRIBE ? see_to_active(c, &s, record) :
	    settle_record(&s, c->markers[p->folder], record, &deadline);
	if (settled == SETTLE_LATER)
		try_later(p, record, deadline);
	else
		forget_backoff(find_backoff(c, p->folder, record));
	p->settled += settled == SETTLED;
	return (0);
}

/* One pass over a folder, whose results are added to *total. */
static void
run_folder(struct credentials *c, enum folder folder, struct pass *total)
{
	struct pass p = { .c = c, .folder = folder };

	if (index_each(c->state->queue, folder_names[folder], 0, try_marker, &p))
		log_errno(LOG_LEVEL_ERROR, "queue cannot be read", "folder", folder_names[folder], NULL);
	if (p.settled)
		eventfd_write(c->settled, p.settled);
	total->settled += p.settled;
	if (p.next)
		due_at(total, p.next);
}

/* Do what is due now. *next is when something is due again (unix seconds), 0 when nothing waits. */
static unsigned
run(struct credentials *c, int64_t *next)
{
	struct pass total = { .c = c };

	for (enum folder folder = PENDING; folder < N_FOLDERS; folder++)
		run_folder(c, folder, &total);
	*next = total.next;
	return (total.settled);
}

unsigned
credentials_run(struct credentials *c)
{
	int64_t next;

	return (run(c, &next));
}

/* Wakes the thread when there is a marker. -1 where there is no inotify. */
static int
watch_folders(const struct credentials *c)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[PATH_SIZE];

	for (size_t i = 0; fd != -1 && i < N_FOLDERS; i++) {
		snprintf(path, sizeof(path), "%s/queue/%s", c->state->path, folder_names[i]);
		inotify_add_watch(fd, path, IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE);
	}
	return (fd);
}

static void *
thread(void *arg)
{
	struct credentials *c = arg;
	struct pollfd fds[2] = {
		{ .fd = c->wake, .events = POLLIN },
		{ .fd = watch_folders(c), .events = POLLIN },
	};
	int64_t next, now, wait;
	char events[4096];

	while (!atomic_load(&c->stop)) {
		while (read(fds[1].fd, events, sizeof(events)) > 0)
			;
		run(c, &next);
		transport_rest(c->transport);
		now = time(NULL);
		wait = next == 0 ? POLL_MS : next > now ? (next - now) * 1000 : 0;
		poll(fds, 2, (int)(wait < POLL_MS ? wait : POLL_MS));
	}
	if (fds[1].fd != -1)
		close(fds[1].fd);
	return (NULL);
}

int
credentials_start(struct credentials *c)
{
	int error = pthread_create(&c->thread, NULL, thread, c);

	c->has_thread = error == 0;
	errno = error;
	return (error ? -1 : 0);
}

int
credentials_settled(const struct credentials *c)
{
	return (c->settled);
}

int
credentials_want(const struct credentials *c, const char *record)
{
	/* Also with ids in its record: those can be from before an uninstall. */
	if (c->conf->public_url == NULL || c->conf->n_subscribe == 0 ||
	    marker_set(c->markers[SUBSCRIBE], record) == 0)
		return (0);
	log_errno(LOG_LEVEL_ERROR, "subscriptions not noted", "record", record, NULL);
	return (-1);
}
