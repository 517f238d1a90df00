#include "receiver/work.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "receiver/answer.h"
#include "receiver/exchange.h"
#include "receiver/request.h"

enum {
	BATCH_LINES = 64,  /* one thread adds no more to the batch before it commits */
	BATCH_STEPS = 128, /* nor does it do more while lines of its own wait */
	ACCEPT_MAX = 64,   /* connections, before other events have their turn */
	BACKOFF_MS = 100,  /* when there are no descriptors left */
	FULL_MS = 10,      /* when there is no place left */
};

/* A thread. It may have added to a journal's batch, and then commits that before it waits. */
struct worker {
	struct server *server;
	char *peek;
	struct receiver *receiver; /* of this store, or NULL */
	struct store *store;
	unsigned added;
	unsigned steps; /* since the first one was added */
};

static _Thread_local struct worker *self;

static struct receiver *
hold_receiver(struct server *s)
{
	struct receiver *receiver;

	pthread_mutex_lock(&s->mutex);
	receiver = receiver_hold(s->receiver);
	pthread_mutex_unlock(&s->mutex);
	return (receiver);
}

/* Answer 503 to a request that will not be complete. */
static void
refuse(struct connection *c, const char *reason)
{
	const struct answer answer = answer_unavailable(reason);
	const struct answer_subject about = { .event = NULL };
	struct buf formatted = { 0 };
	const char *text;
	size_t len;

	answer_format(&answer, &about, false, &formatted);
	text = answer_text(&formatted, &len);
	connection_answer(c, text, len);
	answer_log(&answer, &about, NULL, (request_now_ms() - c->accepted_ms) * 1000);
	buf_free(&formatted);
}

void
work_give_up(struct server *s, struct connection *c, const char *reason)
{
	if (c->state == CONNECTION_WAITING && c->arrival.id) {
		refuse(c, reason);
		connection_discard(c);
	} else if (c->state == CONNECTION_WAITING) {
		atomic_fetch_add(&s->silent, 1);
	}
	room_leave(s->room, c);
}

/* It was answered, but the peer may still send: closing now could lose the answer. */
static bool
begin_to_leave(struct connection *c)
{
	buf_wipe(&c->spool);
	c->state = CONNECTION_LEAVING;
	return (shutdown(c->fd, SHUT_WR) == 0 && connection_discard(c));
}

/* What becomes of a connection. */
enum next {
	NEXT_LOOK, /* for a request */
	NEXT_WAIT,
	NEXT_CLOSE,
	NEXT_NONE, /* it is another thread's by now */
};

/* The request was handled: send the answer. */
static enum next
end_request(struct server *s, struct connection *c)
{
	enum exchanged exchanged = exchange_end(c->exchange);

	c->exchange = NULL;
	if (exchanged == EXCHANGE_LEAVE)
		return (begin_to_leave(c) ? NEXT_WAIT : NEXT_CLOSE);
	if (exchanged != EXCHANGE_KEEP || atomic_load(&s->stopping))
		return (NEXT_CLOSE);
	connection_next(c, request_now_ms());
	return (NEXT_LOOK);
}

/* Leave it to a thread that can wait. */
static enum next
make_slow(struct server *s, struct connection *c)
{
	backlog_add(&s->slow, c);
	return (NEXT_NONE);
}

/* Commit what this thread has added to the batch, unless another one does that now. */
static void
commit(struct worker *w)
{
	struct receiver *receiver = w->receiver;
	struct store *store = w->store;

	if (receiver == NULL)
		return;
	/* Its requests may lead to others, which are added anew. */
	w->receiver = NULL;
	w->store = NULL;
	w->added = w->steps = 0;
	journal_commit(store->journal);
	store_release(store);
	receiver_release(receiver);
}

/* Other requests, however many there are, do not keep those in the batch from their answers. */
static void
commit_in_time(struct worker *w)
{
	if (w->receiver && (++w->steps >= BATCH_STEPS || w->added >= BATCH_LINES))
		commit(w);
}

/* Remember whose batch this is: the request may be answered, and all that it holds be gone, at once. */
static enum next
submit(struct worker *w, struct handling *h)
{
	/* A commit may leave a batch of yet another store. */
	while (w->receiver && w->store != h->in.store)
		commit(w);
	if (w->receiver == NULL) {
		w->receiver = receiver_hold(h->receiver);
		w->store = store_hold(h->in.store);
	}
	w->added++;
	exchange_release(h);
	handle_submit(h);
	return (NEXT_NONE);
}

static enum next
go_on(struct worker *w, struct connection *c, enum handled handled)
{
	switch (handled) {
	case HANDLED:
		return (end_request(w->server, c));
	case HANDLED_IN_BATCH:
		return (submit(w, exchange_handling(c->exchange)));
	case HANDLED_SLOW:
		break;
	}
	return (make_slow(w->server, c));
}

static void proceed(struct worker *w, struct connection *c, enum next next);

/* Its line was committed, or not; by this thread. */
static void
on_committed(struct handling *h)
{
	struct connection *c = exchange_connection(h);

	proceed(self, c, go_on(self, c, handle_committed(h)));
}

static bool
read_request(struct server *s, struct connection *c)
{
	struct receiver *receiver = hold_receiver(s);

	c->exchange = exchange_new(receiver, c, c->look);
	receiver_release(receiver);
	if (c->exchange == NULL)
		return (false);
	exchange_handling(c->exchange)->committed = on_committed;
	return (true);
}

/* There is no memory for it, or libfcgi has closed the connection. */
static enum next
not_read(struct connection *c)
{
	if (c->fd == -1)
		return (NEXT_CLOSE);
	refuse(c, "no_memory");
	return (begin_to_leave(c) ? NEXT_WAIT : NEXT_CLOSE);
}

static enum next
begin_request(struct worker *w, struct connection *c)
{
	/* What is large would take too much memory in a batch. */
	if (c->look != LOOK_IN_SOCKET)
		return (make_slow(w->server, c));
	if (!read_request(w->server, c))
		return (not_read(c));
	return (go_on(w, c, handle_begin(exchange_handling(c->exchange), false)));
}

/* Go on with a request, and wait for all that this takes; what waits for a commit does not wait for that. */
static void
be_slow(struct worker *w, struct connection *c)
{
	commit(w);
	if (c->exchange)
		handle_slow(exchange_handling(c->exchange));
	else if (read_request(w->server, c))
		handle_begin(exchange_handling(c->exchange), true);
	proceed(w, c, c->exchange ? end_request(w->server, c) : not_read(c));
}

/* Do what can be done now for a connection that this thread holds. */
static enum next
advance(struct worker *w, struct connection *c)
{
	struct server *s = w->server;

	if (c->state == CONNECTION_LEAVING)
		return (connection_discard(c) ? NEXT_WAIT : NEXT_CLOSE);
	c->look = connection_look(c, w->peek, atomic_load(&s->max_body));
	if (c->state == CONNECTION_KEPT && c->spool.len) {
		c->state = CONNECTION_WAITING;
		c->accepted_ms = request_now_ms();
	}
	switch (c->look) {
	case LOOK_PART:
		return (NEXT_WAIT);
	case LOOK_NO_MEMORY:
		refuse(c, "no_memory");
		return (begin_to_leave(c) ? NEXT_WAIT : NEXT_CLOSE);
	case LOOK_ENDED:
		work_give_up(s, c, "truncated");
		return (NEXT_NONE);
	case LOOK_BROKEN:
		log_line(LOG_LEVEL_INFO, "no FastCGI request, or one that was aborted", NULL);
		return (NEXT_CLOSE);
	default:
		return (begin_request(w, c));
	}
}

/* Let it wait for the web server. Returns whether there is something to look at already. */
static bool
wait_for_more(struct server *s, struct connection *c)
{
	enum waiting waiting = room_wait(s->room, c, request_now_ms());
	struct connection *other;

	if (waiting == ROOM_LOOK_AGAIN)
		return (true);
	if (waiting == ROOM_FAILED) {
		log_errno(LOG_LEVEL_ERROR, "cannot wait for a request", NULL);
		work_give_up(s, c, "crowded");
	}
	while ((other = room_over_memory(s->room)) != NULL)
		work_give_up(s, other, "no_memory");
	return (false);
}

/* Work on a connection until it has to wait. */
static void
proceed(struct worker *w, struct connection *c, enum next next)
{
	for (;;) {
		if (next == NEXT_WAIT && wait_for_more(w->server, c))
			next = NEXT_LOOK;
		if (next == NEXT_CLOSE)
			room_leave(w->server->room, c);
		if (next != NEXT_LOOK)
			return;
		next = advance(w, c);
	}
}

void
work_close_overdue(struct server *s)
{
	struct connection *c;
	unsigned silent;
	char count[16];

	while ((c = room_overdue(s->room, request_now_ms(), atomic_load(&s->stopping))) != NULL)
		if (c->state == CONNECTION_WAITING)
			work_give_up(s, c, "late");
		else
			room_leave(s->room, c);
	if ((silent = atomic_exchange(&s->silent, 0)) != 0) {
		snprintf(count, sizeof(count), "%u", silent);
		log_line(LOG_LEVEL_INFO, "connections closed on which no request began", "count",
		    count, NULL);
	}
}

/* Nothing can be accepted. Do what may make room, or else pause. */
static void
make_room(struct worker *w, int ms)
{
	struct connection *c = w->server->n_slow_threads == 0 ?
	    backlog_next(&w->server->slow, false) :
	    NULL;

	commit(w);
	if (c)
		be_slow(w, c);
	else
		poll(NULL, 0, ms);
}

/* What to do about an accept() that failed. Returns whether to try again. */
static bool
on_accept_error(struct worker *w)
{
	struct connection *c;

	switch (errno) {
	case EAGAIN:
		return (false);
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		log_errno(LOG_LEVEL_ERROR, "cannot accept", NULL);
		if ((c = room_oldest(w->server->room)) != NULL) {
			work_give_up(w->server, c, "crowded");
			return (true);
		}
		make_room(w, BACKOFF_MS);
		return (true);
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
		log_errno(LOG_LEVEL_ERROR, "listening socket lost", NULL);
		kill(getpid(), SIGTERM);
		return (false);
	default:
		/* The connection has gone again. */
		return (true);
	}
}

int
work_watch_listener(struct server *s, int operation)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = KEY_LISTENER };

	return (epoll_ctl(s->epoll, operation, s->listener, &event));
}

/* A place for a connection, if need be that of an older one. NULL: the server stops. */
static struct connection *
enter(struct worker *w, int fd)
{
	struct server *s = w->server;
	struct connection *c, *oldest;

	while ((c = room_enter(s->room, fd, request_now_ms())) == NULL) {
		if ((oldest = room_oldest(s->room)) != NULL) {
			work_give_up(s, oldest, "crowded");
		} else if (atomic_load(&s->stopping)) {
			close(fd);
			break;
		} else {
			/* All of them wait for the disk. */
			make_room(w, FULL_MS);
		}
	}
	return (c);
}

/* Returns whether there may be another one. */
static bool
accept_one(struct worker *w)
{
	struct server *s = w->server;
	struct connection *c;
	int fd;

	if (atomic_load(&s->stopping))
		return (false);
	if ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) == -1)
		return (on_accept_error(w));
	if ((c = enter(w, fd)) != NULL)
		proceed(w, c, NEXT_LOOK);
	commit_in_time(w);
	return (true);
}

/* Accept what there is. There is no other event for it. */
static void
accept_all(struct worker *w)
{
	for (unsigned n = 0; n < ACCEPT_MAX; n++)
		if (!accept_one(w))
			return;
	/* Now other events have their turn, and this one comes again. */
	work_watch_listener(w->server, EPOLL_CTL_MOD);
}

/* Handle one event. Returns false if there was none. */
static bool
serve_event(struct worker *w, bool wait)
{
	struct server *s = w->server;
	struct epoll_event event;
	struct connection *c;
	uint64_t ticks;

	if (epoll_wait(s->epoll, &event, 1, wait ? -1 : 0) != 1)
		return (false);
	if (event.data.u64 == KEY_LISTENER) {
		accept_all(w);
	} else if (event.data.u64 == KEY_TIMER) {
		if (read(s->timer, &ticks, sizeof(ticks)) > 0)
			work_close_overdue(s);
	} else if (event.data.u64 >= N_KEYS && (c = room_take(s->room, event.data.u64)) != NULL) {
		proceed(w, c, NEXT_LOOK);
	}
	return (true);
}

/* Take what comes, and commit when nothing more comes. */
static void
serve_fast(struct worker *w)
{
	struct server *s = w->server;
	struct connection *c = NULL;

	while (!atomic_load(&s->quit)) {
		if (s->n_slow_threads == 0 && (c = backlog_next(&s->slow, false)) != NULL)
			be_slow(w, c);
		if (!serve_event(w, w->receiver == NULL && c == NULL) && c == NULL)
			commit(w);
		commit_in_time(w);
	}
}

static void
serve_slowly(struct worker *w)
{
	struct connection *c;

	while ((c = backlog_next(&w->server->slow, w->receiver == NULL)) != NULL || w->receiver) {
		if (c)
			be_slow(w, c);
		else
			commit(w);
	}
}

static void *
run(struct server *s, void (*serve_so)(struct worker *w))
{
	struct worker w = { .server = s, .peek = malloc(PEEK_SIZE) };

	self = &w;
	if (w.peek)
		serve_so(&w);
	else
		log_errno(LOG_LEVEL_ERROR, "a thread cannot serve", NULL);
	commit(&w);
	free(w.peek);
	self = NULL;
	return (NULL);
}

void *
work_fast(void *server)
{
	return (run(server, serve_fast));
}

void *
work_slowly(void *server)
{
	return (run(server, serve_slowly));
}
