#include "receiver/serve.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/notify.h"
#include "receiver/answer.h"
#include "receiver/exchange.h"
#include "receiver/receiver.h"
#include "receiver/request.h"
#include "receiver/room.h"

enum {
	DRAIN_MS = 10 * 1000,
	STACK_SIZE = 256 * 1024,
	BACKOFF_MS = 100,		/* when there are no descriptors left */
	STOP_MS = 100,			/* how often a stopping server looks for what is overdue */
	TEND_SECONDS = 1,		/* how often the state directory is seen to */
};

struct server {
	int listener;
	int epoll;
	int timer;			/* the room's */
	int quit_fd;			/* readable for ever once the threads shall end */
	atomic_bool stopping;		/* accept no more */
	atomic_bool quit;
	atomic_uint silent;		/* connections closed without a request, not yet logged */
	atomic_ullong max_body;
	struct room *room;
	pthread_mutex_t mutex;		/* of receiver */
	struct receiver *receiver;
};

/* How events that are of no connection are known; room_take() knows the others by larger keys. */
enum { KEY_LISTENER, KEY_TIMER, KEY_QUIT, N_KEYS };

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
	struct answer answer = { .reason = reason };
	struct buf formatted = { 0 };
	const char *text;
	size_t len;

	answer_error(&answer, 503, "unavailable");
	answer_format(&answer, false, &formatted);
	text = answer_text(&formatted, &len);
	connection_answer(c, text, len);
	answer_log(&answer, NULL, (double)(request_now_ms() - c->accepted_ms));
	buf_free(&formatted);
	answer_free(&answer);
}

/* Close the connection, and answer 503 to a request that has begun and waits for its rest. */
static void
give_up(struct server *s, struct connection *c, const char *reason)
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

/* Returns whether the connection is kept for another request. */
static bool
serve_request(struct server *s, struct connection *c, enum look look)
{
	struct receiver *receiver = hold_receiver(s);
	enum exchanged exchanged = look == LOOK_IN_SOCKET ? exchange_in_socket(receiver, c) :
	    exchange_in_spool(receiver, c, look == LOOK_IN_SPOOL);

	receiver_release(receiver);
	if (exchanged == EXCHANGE_LEAVE)
		return (begin_to_leave(c));
	if (exchanged != EXCHANGE_KEEP || atomic_load(&s->stopping))
		return (false);
	connection_next(c, request_now_ms());
	return (true);
}

/*
 * Do what can be done now for a connection that this thread holds. Returns true when it has to wait,
 * or false when it has been left.
 */
static bool
advance(struct server *s, struct connection *c, char *peek)
{
	enum look look;

	do {
		if (c->state == CONNECTION_LEAVING) {
			if (connection_discard(c))
				return (true);
			break;
		}
		look = connection_look(c, peek, atomic_load(&s->max_body));
		if (c->state == CONNECTION_KEPT && c->spool.len) {
			c->state = CONNECTION_WAITING;
			c->accepted_ms = request_now_ms();
		}
		switch (look) {
		case LOOK_PART:
			return (true);
		case LOOK_NO_MEMORY:
			refuse(c, "no_memory");
			if (begin_to_leave(c))
				return (true);
			room_leave(s->room, c);
			return (false);
		case LOOK_ENDED:
			give_up(s, c, "truncated");
			return (false);
		case LOOK_BROKEN:
			log_line(LOG_LEVEL_INFO, "no FastCGI request, or one that was aborted", NULL);
			room_leave(s->room, c);
			return (false);
		default:
			break;
		}
	} while (serve_request(s, c, look));
	room_leave(s->room, c);
	return (false);
}

/* Work on a connection until it has to wait for the web server. */
static void
work_on(struct server *s, struct connection *c, char *peek)
{
	struct connection *other;
	enum waiting waiting;

	do {
		if (!advance(s, c, peek))
			return;
		waiting = room_wait(s->room, c, request_now_ms());
	} while (waiting == ROOM_LOOK_AGAIN);
	if (waiting == ROOM_FAILED) {
		log_errno(LOG_LEVEL_ERROR, "cannot wait for a request", NULL);
		give_up(s, c, "crowded");
	}
	while ((other = room_over_memory(s->room)) != NULL)
		give_up(s, other, "no_memory");
}

/* Close what has waited too long. */
static void
close_overdue(struct server *s)
{
	struct connection *c;
	unsigned silent;
	char count[16];

	while ((c = room_overdue(s->room, request_now_ms(), atomic_load(&s->stopping))) != NULL)
		if (c->state == CONNECTION_WAITING)
			give_up(s, c, "late");
		else
			room_leave(s->room, c);
	if ((silent = atomic_exchange(&s->silent, 0)) != 0) {
		snprintf(count, sizeof(count), "%u", silent);
		log_line(LOG_LEVEL_INFO, "connections closed on which no request began", "count",
		    count, NULL);
	}
}

/* What to do about an accept() that failed. */
static void
on_accept_error(struct server *s)
{
	struct connection *c;

	switch (errno) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		log_errno(LOG_LEVEL_ERROR, "cannot accept", NULL);
		if ((c = room_oldest(s->room)) != NULL)
			give_up(s, c, "crowded");
		else
			poll(NULL, 0, BACKOFF_MS);
		return;
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
		log_errno(LOG_LEVEL_ERROR, "listening socket lost", NULL);
		kill(getpid(), SIGTERM);
		return;
	default:
		/* Another process was quicker, or the connection has gone again. */
		return;
	}
}

/* Watch the listener for one more connection: an event wakes one thread, which accepts one. */
static int
watch_listener(struct server *s, int operation)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = KEY_LISTENER };

	return (epoll_ctl(s->epoll, operation, s->listener, &event));
}

static void
accept_one(struct server *s, char *peek)
{
	struct connection *c, *oldest;
	int fd;

	if (atomic_load(&s->stopping))
		return;
	if ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) == -1)
		on_accept_error(s);
	watch_listener(s, EPOLL_CTL_MOD);
	if (fd == -1)
		return;
	while ((c = room_enter(s->room, fd, request_now_ms())) == NULL) {
		if ((oldest = room_oldest(s->room)) == NULL) {
			close(fd);
			return;
		}
		give_up(s, oldest, "crowded");
	}
	work_on(s, c, peek);
}

static void *
serve_thread(void *arg)
{
	struct server *s = arg;
	struct epoll_event event;
	struct connection *c;
	char *peek = malloc(PEEK_SIZE);
	uint64_t ticks;

	if (peek == NULL)
		log_errno(LOG_LEVEL_ERROR, "a thread cannot serve", NULL);
	while (peek && !atomic_load(&s->quit)) {
		if (epoll_wait(s->epoll, &event, 1, -1) != 1)
			continue;
		if (event.data.u64 == KEY_LISTENER) {
			accept_one(s, peek);
		} else if (event.data.u64 == KEY_TIMER) {
			if (read(s->timer, &ticks, sizeof(ticks)) > 0)
				close_overdue(s);
		} else if (event.data.u64 >= N_KEYS &&
		    (c = room_take(s->room, event.data.u64)) != NULL) {
			work_on(s, c, peek);
		}
	}
	free(peek);
	return (NULL);
}

/* SIGHUP: take over a new configuration, or say why not. Requests that run keep the old one. */
static void
reload(struct server *s, const char *file)
{
	struct buf errors = { 0 };
	struct conf *conf = serve_conf(file, &errors);
	struct receiver *new = conf ? receiver_new(conf) : NULL, *old;

	if (new == NULL) {
		if (conf)
			conf_free(conf);
		serve_log_errors(&errors);
		log_line(LOG_LEVEL_ERROR, "configuration not taken, the old one stays", "file", file,
		    NULL);
		buf_free(&errors);
		return;
	}
	if (conf_open_log(conf, "fluidhook.fcgi"))
		log_errno(LOG_LEVEL_ERROR, "log file cannot be opened, the log stays where it is", "file",
		    conf->log_file, NULL);
	log_line(LOG_LEVEL_INFO, "configuration read", "file", file, NULL);
	serve_warn(conf);
	pthread_mutex_lock(&s->mutex);
	old = s->receiver;
	s->receiver = new;
	atomic_store(&s->max_body, conf->max_body);
	pthread_mutex_unlock(&s->mutex);
	receiver_release(old);
}

static unsigned
start_threads(struct server *s, pthread_t *threads, unsigned n)
{
	pthread_attr_t attr;
	unsigned started = 0;
	int error = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	while (started < n && (error = pthread_create(&threads[started], &attr, serve_thread, s)) == 0)
		started++;
	pthread_attr_destroy(&attr);
	if (error) {
		errno = error;
		log_errno(LOG_LEVEL_ERROR, "cannot start thread", NULL);
	}
	return (started);
}

/* Stop accepting and wait for what is in flight. Returns whether all threads have ended in time. */
static bool
stop_threads(struct server *s, pthread_t *threads, unsigned n)
{
	const int64_t deadline = request_now_ms() + DRAIN_MS;
	struct connection *c;
	struct timespec until;

	atomic_store(&s->stopping, true);
	epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->listener, NULL);
	do {
		close_overdue(s);
	} while (!room_wait_empty(s->room, STOP_MS) && request_now_ms() < deadline);
	while ((c = room_oldest(s->room)) != NULL)
		give_up(s, c, "stopping");
	atomic_store(&s->quit, true);
	if (eventfd_write(s->quit_fd, 1))
		log_errno(LOG_LEVEL_ERROR, "cannot stop", NULL);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += request_now_ms() < deadline;
	for (unsigned i = 0; i < n; i++)
		if (pthread_clockjoin_np(threads[i], NULL, CLOCK_MONOTONIC, &until)) {
			log_line(LOG_LEVEL_WARN, "stopped with requests in flight", NULL);
			return (false);
		}
	return (true);
}

/* Whether one of these signals waits for us. */
static bool
is_signalled(void *signals)
{
	sigset_t pending, both;

	return (sigpending(&pending) == 0 && sigandset(&both, &pending, signals) == 0 &&
	    !sigisemptyset(&both));
}

/* Handle signals until one says to stop. Meanwhile see to the state directory. */
static void
wait_for_signals(struct server *s, sigset_t *signals, const char *conf_file)
{
	const struct timespec pause = { .tv_sec = TEND_SECONDS };
	int signal;

	for (;;) {
		/* Only this thread replaces the receiver. */
		receiver_tend(s->receiver, s->listener, is_signalled, signals);
		if ((signal = sigtimedwait(signals, NULL, &pause)) == -1)
			continue;
		if (signal != SIGHUP)
			return;
		reload(s, conf_file);
	}
}

static int
watch(struct server *s, int fd, unsigned key, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = key };

	return (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event));
}

static int
open_server(struct server *s, const struct serving *how, struct conf *conf)
{
	int flags = fcntl(how->listener, F_GETFL);

	*s = (struct server){ .listener = how->listener };
	atomic_store(&s->max_body, conf->max_body);
	if (flags == -1 || fcntl(how->listener, F_SETFL, flags | O_NONBLOCK) ||
	    (s->epoll = epoll_create1(EPOLL_CLOEXEC)) == -1 ||
	    (s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)) == -1 ||
	    (s->quit_fd = eventfd(0, EFD_CLOEXEC)) == -1 ||
	    watch(s, s->timer, KEY_TIMER, EPOLLIN | EPOLLET) ||
	    watch(s, s->quit_fd, KEY_QUIT, EPOLLIN) ||
	    (s->room = room_new(how->descriptors.connections, s->epoll, s->timer)) == NULL ||
	    (s->receiver = receiver_new(conf)) == NULL)
		return (-1);
	pthread_mutex_init(&s->mutex, NULL);
	return (0);
}

/* Block the signals that serve() waits for, in this thread and all that it will start. */
static void
take_signals(sigset_t *signals)
{
	sigemptyset(signals);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	sigaddset(signals, SIGUSR1);
	sigaddset(signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, signals, NULL);
	/* libfcgi installs handlers of its own for some of these: only then may ours be set. */
	FCGX_Init();
	for (int i = 0; i < 4; i++)
		signal((const int[]){ SIGTERM, SIGINT, SIGUSR1, SIGHUP }[i], SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
}

static void
limit_memory(void)
{
	mallopt(M_ARENA_MAX, 2);
	mallopt(M_MMAP_THRESHOLD, 128 * 1024);
	mallopt(M_TRIM_THRESHOLD, 128 * 1024);
}

int
serve(const struct serving *how, struct conf *conf)
{
	pthread_t *threads = calloc(how->descriptors.threads, sizeof(*threads));
	struct server s;
	sigset_t signals;
	unsigned n;

	limit_memory();
	take_signals(&signals);
	serve_warn(conf);
	if (threads == NULL || open_server(&s, how, conf)) {
		log_errno(LOG_LEVEL_ERROR, "cannot serve", NULL);
		return (1);
	}
	/* A state directory that cannot be opened may come back: until then requests get 503. */
	receiver_store_release(s.receiver, receiver_store(s.receiver));
	n = start_threads(&s, threads, how->descriptors.threads);
	if (n == 0 || watch_listener(&s, EPOLL_CTL_ADD)) {
		log_errno(LOG_LEVEL_ERROR, "cannot serve", NULL);
		return (1);
	}
	log_line(LOG_LEVEL_INFO, "serving", "state_dir", conf->state_dir, NULL);
	/* Under a supervisor it is the supervisor whom the service manager knows. */
	if (how->ready_fd == -1)
		notify("READY=1");
	else if (write(how->ready_fd, "", 1) != 1)
		log_errno(LOG_LEVEL_ERROR, "supervisor is gone", NULL);
	wait_for_signals(&s, &signals, how->conf_file);
	if (!stop_threads(&s, threads, n)) {
		/* Threads still run: no tidying up under their feet. */
		_exit(0);
	}
	log_line(LOG_LEVEL_INFO, "stopped", NULL);
	receiver_release(s.receiver);
	room_free(s.room);
	close(s.quit_fd);
	close(s.timer);
	close(s.epoll);
	free(threads);
	return (0);
}
