#include "receiver/room.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/timerfd.h>
#include <time.h>

#include "receiver/request.h"

enum {
	N_STATES = CONNECTION_LEAVING + 1,
	SPOOLS_MAX = 64 * 1024 * 1024, /* bytes of incomplete requests in memory */
};

/* A place is used again and again. An event of an earlier user is known by its generation. */
struct place {
	struct connection c; /* first: a connection is its place */
	unsigned generation;
	bool held;
	bool registered;    /* with epoll */
	bool missed;        /* there was an event while it was held */
	int64_t waiting_ms; /* since when */
	size_t spooled;     /* as it counts in room.spooled */
	TAILQ_ENTRY(place) link;
};

TAILQ_HEAD(places, place);

struct room {
	int epoll, timer;
	pthread_mutex_t mutex;
	pthread_cond_t empty;
	struct place *places;
	unsigned n_places, n_used;
	struct places unused;
	struct places waiting[N_STATES]; /* by enum connection_state, the oldest first */
	size_t spooled;
	bool ticking;
};

struct room *
room_new(unsigned places, int epoll, int timer)
{
	struct room *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;

	if (r == NULL || (r->places = calloc(places, sizeof(*r->places))) == NULL) {
		free(r);
		return (NULL);
	}
	r->epoll = epoll;
	r->timer = timer;
	r->n_places = places;
	TAILQ_INIT(&r->unused);
	for (int i = 0; i < N_STATES; i++)
		TAILQ_INIT(&r->waiting[i]);
	pthread_mutex_init(&r->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->empty, &attr);
	pthread_condattr_destroy(&attr);
	return (r);
}

void
room_free(struct room *r)
{
	for (unsigned i = 0; i < r->n_places; i++)
		if (r->places[i].generation & 1)
			connection_close(&r->places[i].c);
	pthread_cond_destroy(&r->empty);
	pthread_mutex_destroy(&r->mutex);
	free(r->places);
	free(r);
}

/* What epoll remembers of a connection. Never 0 to 2^32: the generation of a used place is odd. */
static uint64_t
key_of(const struct room *r, const struct place *p)
{
	return ((uint64_t)p->generation << 32 | (uint64_t)(p - r->places));
}

/* Take it off its list; the caller has the lock. */
static struct connection *
hold(struct room *r, struct place *p)
{
	TAILQ_REMOVE(&r->waiting[p->c.state], p, link);
	p->held = true;
	p->missed = false;
	return (&p->c);
}

struct connection *
room_enter(struct room *r, int fd, int64_t now_ms)
{
	struct place *p;
	unsigned generation;

	pthread_mutex_lock(&r->mutex);
	/* Places that were used lately are in the cache, and the others cost no memory. */
	if ((p = TAILQ_FIRST(&r->unused)) != NULL)
		TAILQ_REMOVE(&r->unused, p, link);
	else if (r->n_used < r->n_places)
		p = &r->places[r->n_used];
	if (p) {
		r->n_used++;
		generation = p->generation + 1;
		*p = (struct place){
			.c = { .fd = fd, .state = CONNECTION_WAITING, .accepted_ms = now_ms },
			.generation = generation,
			.held = true,
		};
	}
	pthread_mutex_unlock(&r->mutex);
	return (p ? &p->c : NULL);
}

struct connection *
room_take(struct room *r, uint64_t key)
{
	struct place *p = &r->places[(uint32_t)key];
	struct connection *c = NULL;

	pthread_mutex_lock(&r->mutex);
	if (key_of(r, p) == key) {
		if (p->held)
			p->missed = true;
		else
			c = hold(r, p);
	}
	pthread_mutex_unlock(&r->mutex);
	return (c);
}

/* Let the timer tick while somebody waits; the caller has the lock. */
static void
tick(struct room *r, bool on)
{
	const struct itimerspec each_second = {
		.it_interval = { .tv_sec = on },
		.it_value = { .tv_sec = on },
	};

	if (r->ticking != on && timerfd_settime(r->timer, 0, &each_second, NULL) == 0)
		r->ticking = on;
}

static bool
register_events(struct room *r, struct place *p)
{
	struct epoll_event event = {
		.events = EPOLLIN | EPOLLRDHUP | EPOLLET,
		.data.u64 = key_of(r, p),
	};

	return (epoll_ctl(r->epoll, EPOLL_CTL_ADD, p->c.fd, &event) == 0);
}

enum waiting
room_wait(struct room *r, struct connection *c, int64_t now_ms)
{
	struct place *p = (struct place *)c;
	enum waiting result = ROOM_WAITS;

	pthread_mutex_lock(&r->mutex);
	r->spooled += c->spool.cap - p->spooled;
	p->spooled = c->spool.cap;
	if (!p->registered && !(p->registered = register_events(r, p))) {
		result = ROOM_FAILED;
	} else if (p->missed) {
		p->missed = false;
		result = ROOM_LOOK_AGAIN;
	} else {
		p->held = false;
		p->waiting_ms = c->state == CONNECTION_LEAVING ? now_ms : c->accepted_ms;
		TAILQ_INSERT_TAIL(&r->waiting[c->state], p, link);
		tick(r, true);
	}
	pthread_mutex_unlock(&r->mutex);
	return (result);
}

void
room_leave(struct room *r, struct connection *c)
{
	struct place *p = (struct place *)c;

	/* Closing takes it out of the epoll set. The place stays held until then. */
	connection_close(c);
	pthread_mutex_lock(&r->mutex);
	r->spooled -= p->spooled;
	p->generation++;
	TAILQ_INSERT_HEAD(&r->unused, p, link);
	if (--r->n_used == 0)
		pthread_cond_broadcast(&r->empty);
	pthread_mutex_unlock(&r->mutex);
}

/* The first of this state that has waited so long; the caller has the lock. */
static struct place *
first_overdue(struct room *r, enum connection_state state, int64_t before_ms, bool silent)
{
	struct place *p;

	TAILQ_FOREACH(p, &r->waiting[state], link)
	if (p->waiting_ms <= before_ms && (!silent || p->c.arrival.id == 0))
		return (p);
	return (NULL);
}

struct connection *
room_overdue(struct room *r, int64_t now_ms, bool stopping)
{
	struct place *p;
	bool anybody = false;

	pthread_mutex_lock(&r->mutex);
	p = first_overdue(r, CONNECTION_WAITING, now_ms - REQUEST_MS, false);
	if (p == NULL && stopping)
		p = first_overdue(r, CONNECTION_WAITING, now_ms - SILENT_MS, true);
	if (p == NULL)
		p = first_overdue(r, CONNECTION_KEPT, stopping ? now_ms : now_ms - KEPT_MS, false);
	if (p == NULL)
		p = first_overdue(r, CONNECTION_LEAVING, now_ms - LEAVING_MS, false);
	if (p)
		hold(r, p);
	for (int i = 0; i < N_STATES; i++)
		anybody |= !TAILQ_EMPTY(&r->waiting[i]);
	if (p == NULL && !anybody)
		tick(r, false);
	pthread_mutex_unlock(&r->mutex);
	return (p ? &p->c : NULL);
}

struct connection *
room_oldest(struct room *r)
{
	struct place *p = NULL;

	pthread_mutex_lock(&r->mutex);
	/* A kept connection comes last: the web server may be about to send a request on it. */
	if ((p = TAILQ_FIRST(&r->waiting[CONNECTION_WAITING])) == NULL &&
	    (p = TAILQ_FIRST(&r->waiting[CONNECTION_LEAVING])) == NULL)
		p = TAILQ_FIRST(&r->waiting[CONNECTION_KEPT]);
	if (p)
		hold(r, p);
	pthread_mutex_unlock(&r->mutex);
	return (p ? &p->c : NULL);
}

struct connection *
room_over_memory(struct room *r)
{
	struct place *p = NULL;

	pthread_mutex_lock(&r->mutex);
	if (r->spooled > SPOOLS_MAX)
		TAILQ_FOREACH(p, &r->waiting[CONNECTION_WAITING], link)
	if (p->spooled)
		break;
	if (p)
		hold(r, p);
	pthread_mutex_unlock(&r->mutex);
	return (p ? &p->c : NULL);
}

bool
room_wait_empty(struct room *r, int ms)
{
	struct timespec until;
	bool empty;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += ms % 1000 * 1000000L;
	if (until.tv_nsec >= 1000000000L) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000L;
	}
	pthread_mutex_lock(&r->mutex);
	while (r->n_used && pthread_cond_timedwait(&r->empty, &r->mutex, &until) == 0)
		;
	empty = r->n_used == 0;
	pthread_mutex_unlock(&r->mutex);
	return (empty);
}
