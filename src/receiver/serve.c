#include "receiver/serve.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/notify.h"
#include "receiver/receiver.h"
#include "receiver/request.h"
#include "receiver/work.h"

enum {
	DRAIN_MS = 10 * 1000,
	STACK_SIZE = 256 * 1024,
	STOP_MS = 100,    /* how often a stopping server looks for what is overdue */
	TEND_SECONDS = 1, /* how often the state directory is seen to */
};

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
		log_line(LOG_LEVEL_ERROR, "configuration not taken, the old one stays", "file",
		    file, NULL);
		buf_free(&errors);
		return;
	}
	if (conf_open_log(conf, "fluidhook.fcgi"))
		log_errno(LOG_LEVEL_ERROR, "log file cannot be opened, the log stays where it is",
		    "file", conf->log_file, NULL);
	log_line(LOG_LEVEL_INFO, "configuration read", "file", file, NULL);
	serve_warn(conf);
	pthread_mutex_lock(&s->mutex);
	old = s->receiver;
	s->receiver = new;
	atomic_store(&s->max_body, conf->max_body);
	pthread_mutex_unlock(&s->mutex);
	receiver_release(old);
}

/*
 * How many of the threads take requests: as many as there are processors. More would only be in each other's
 * way. At least two, since one may have to wait for the disk with its commit. The others are for what is slow.
 */
static unsigned
count_fast(unsigned threads)
{
	unsigned n = 2;
	cpu_set_t cpus;

	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 2)
		n = (unsigned)CPU_COUNT(&cpus);
	if (threads > 3 && n > threads / 2)
		n = threads / 2;
	return (n < threads ? n : threads);
}

static unsigned
start_threads(struct server *s, pthread_t *threads, unsigned n)
{
	unsigned n_fast = count_fast(n);
	pthread_attr_t attr;
	unsigned started = 0;
	int error = 0;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	s->n_slow_threads = n - n_fast;
	while (started < n &&
	    (error = pthread_create(&threads[started], &attr,
		 started < n_fast ? work_fast : work_slowly, s)) == 0)
		started++;
	pthread_attr_destroy(&attr);
	if (error) {
		errno = error;
		log_errno(LOG_LEVEL_ERROR, "cannot start thread", NULL);
		if (started <= n_fast)
			s->n_slow_threads = 0;
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
		work_close_overdue(s);
	} while (!room_wait_empty(s->room, STOP_MS) && request_now_ms() < deadline);
	while ((c = room_oldest(s->room)) != NULL)
		work_give_up(s, c, "stopping");
	atomic_store(&s->quit, true);
	if (eventfd_write(s->quit_fd, 1))
		log_errno(LOG_LEVEL_ERROR, "cannot stop", NULL);
	backlog_end(&s->slow);
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
	backlog_init(&s->slow);
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
		free(threads);
		return (1);
	}
	/* A state directory that cannot be opened may come back: until then requests get 503. */
	store_release(receiver_store(s.receiver));
	n = start_threads(&s, threads, how->descriptors.threads);
	if (n == 0 || work_watch_listener(&s, EPOLL_CTL_ADD)) {
		log_errno(LOG_LEVEL_ERROR, "cannot serve", NULL);
		free(threads);
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
