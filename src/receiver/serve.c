#include "receiver/serve.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <limits.h>
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
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "receiver/handle.h"

enum {
	DRAIN_SECONDS = 10,
	IO_SECONDS = 60,		/* a web server that neither sends nor takes anything */
	STACK_SIZE = 256 * 1024,
	BACKOFF_MS = 100,		/* when there are no descriptors left */
};

struct server {
	int listener;
	int stop_fd;			/* readable for ever once the server stops */
	atomic_bool stopping;
	pthread_mutex_t mutex;		/* of receiver */
	struct receiver *receiver;
};

struct conf *
serve_conf(const char *file, struct buf *errors)
{
	struct conf *conf = conf_load(file, errors);

	if (conf && conf_check_secrets(conf, errors)) {
		conf_free(conf);
		conf = NULL;
	}
	return (conf);
}

void
serve_log_errors(const struct buf *errors)
{
	char line[1024];
	size_t len;

	for (size_t at = 0; at < errors->len; at += len + 1) {
		len = strcspn(errors->data + at, "\n");
		snprintf(line, sizeof(line), "%.*s", (int)len, errors->data + at);
		log_line(LOG_LEVEL_ERROR, "configuration", "error", line, NULL);
	}
}

/* Say at the start what would otherwise be found out one refused delivery at a time. */
static void
warn_of(const struct conf *conf)
{
	bool secrets = false;

	for (size_t i = 0; i < conf->n_droplets; i++)
		secrets |= conf->droplets[i].secrets != NULL;
	if (!secrets)
		log_line(LOG_LEVEL_WARN, "no droplet has secrets: every signed install will be refused",
		    "file", conf->file, NULL);
}

/* Wait until `fd` (-1: nothing) is readable or the server stops. Returns whether it is. */
static bool
wait_for(struct server *s, int fd, int ms)
{
	struct pollfd fds[] = {
		{ .fd = fd, .events = POLLIN },
		{ .fd = s->stop_fd, .events = POLLIN },
	};

	return (poll(fds, 2, ms) > 0 && fds[1].revents == 0);
}

/*
 * Where a thread waits for connections: a set of its own, in which the kernel wakes one thread for a
 * connection and not all. Returns a descriptor, or -1 with errno set.
 */
static int
open_waiting(const struct server *s)
{
	struct epoll_event listener = { .events = EPOLLIN | EPOLLEXCLUSIVE };
	struct epoll_event stop = { .events = EPOLLIN };
	int fd = epoll_create1(EPOLL_CLOEXEC);

	if (fd == -1)
		return (-1);
	if (epoll_ctl(fd, EPOLL_CTL_ADD, s->listener, &listener) ||
	    epoll_ctl(fd, EPOLL_CTL_ADD, s->stop_fd, &stop)) {
		close(fd);
		return (-1);
	}
	return (fd);
}

/* What to do about an accept() that failed. */
static void
on_accept_error(struct server *s)
{
	switch (errno) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		log_errno(LOG_LEVEL_ERROR, "cannot accept", NULL);
		wait_for(s, -1, BACKOFF_MS);
		return;
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
		log_errno(LOG_LEVEL_ERROR, "listening socket lost", NULL);
		kill(getpid(), SIGTERM);
		wait_for(s, -1, -1);
		return;
	default:
		/* Another thread was quicker, or the connection has gone again. */
		return;
	}
}

/* The next connection, or -1 when the server stops. */
static int
next_connection(struct server *s, int waiting)
{
	struct epoll_event event;
	int fd;

	while (!atomic_load(&s->stopping)) {
		if (epoll_wait(waiting, &event, 1, -1) != 1 || atomic_load(&s->stopping))
			continue;
		if ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) != -1)
			return (fd);
		on_accept_error(s);
	}
	return (-1);
}

static ssize_t
read_stream(void *source, char *out, size_t size)
{
	FCGX_Stream *in = source;
	int n = FCGX_GetStr(out, size > INT_MAX ? INT_MAX : (int)size, in);

	if (n > 0)
		return (n);
	/* The end of the stream and a broken connection look alike but for this. */
	if (FCGX_GetError(in) == 0)
		return (0);
	errno = EPIPE;
	return (-1);
}

static void
serve_request(struct server *s, FCGX_Request *fcgi)
{
	struct receiver *receiver;
	struct buf answer = { 0 };
	struct request q;

	pthread_mutex_lock(&s->mutex);
	receiver = receiver_hold(s->receiver);
	pthread_mutex_unlock(&s->mutex);
	request_from_params(&q, fcgi->envp);
	q.read = read_stream;
	q.source = fcgi->in;
	handle(receiver, &q, &answer);
	if (!answer.failed)
		FCGX_PutStr(answer.data, (int)answer.len, fcgi->out);
	buf_free(&answer);
	receiver_release(receiver);
}

/*
 * Serve the requests of one connection. libfcgi gets a connection that is accepted already, by the
 * fields its header calls internal: only so can it have timeouts. Its own accept is left a descriptor
 * that is none, where it gives up at once.
 */
static void
serve_connection(struct server *s, int fd)
{
	const struct timeval timeout = { .tv_sec = IO_SECONDS };
	FCGX_Request fcgi;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (FCGX_InitRequest(&fcgi, -1, 0)) {
		close(fd);
		return;
	}
	fcgi.ipcFd = fd;
	fcgi.keepConnection = 1;
	while (FCGX_Accept_r(&fcgi) == 0) {
		serve_request(s, &fcgi);
		FCGX_Finish_r(&fcgi);
		/* Kept open for more, as the web server wants it: but not when this one stops. */
		if (fcgi.ipcFd != -1 && !wait_for(s, fcgi.ipcFd, IO_SECONDS * 1000))
			break;
	}
	FCGX_Free(&fcgi, 1);
}

static void *
serve_thread(void *arg)
{
	struct server *s = arg;
	int fd, waiting = open_waiting(s);

	if (waiting == -1) {
		log_errno(LOG_LEVEL_ERROR, "thread cannot serve", NULL);
		return (NULL);
	}
	while ((fd = next_connection(s, waiting)) != -1)
		serve_connection(s, fd);
	close(waiting);
	/*
	 * The kernel may have woken this thread for a connection, and no thread of the process that goes
	 * on in our place: then it is for us to take.
	 */
	if ((fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC)) != -1)
		serve_connection(s, fd);
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
	warn_of(conf);
	pthread_mutex_lock(&s->mutex);
	old = s->receiver;
	s->receiver = new;
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
	struct timespec deadline;

	atomic_store(&s->stopping, true);
	if (eventfd_write(s->stop_fd, 1))
		log_errno(LOG_LEVEL_ERROR, "cannot stop", NULL);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += DRAIN_SECONDS;
	for (unsigned i = 0; i < n; i++)
		if (pthread_timedjoin_np(threads[i], NULL, &deadline)) {
			log_line(LOG_LEVEL_WARN, "stopped with requests in flight", NULL);
			return (false);
		}
	return (true);
}

/* Handle signals until one says to stop. */
static void
wait_for_signals(struct server *s, const sigset_t *signals, const char *conf_file)
{
	int signal;

	for (;;) {
		if (sigwait(signals, &signal))
			continue;
		if (signal != SIGHUP)
			return;
		reload(s, conf_file);
	}
}

static int
open_server(struct server *s, const struct serving *how, struct conf *conf)
{
	int flags = fcntl(how->listener, F_GETFL);

	*s = (struct server){ .listener = how->listener, .stop_fd = -1 };
	if (flags == -1 || fcntl(how->listener, F_SETFL, flags | O_NONBLOCK) ||
	    (s->stop_fd = eventfd(0, EFD_CLOEXEC)) == -1 ||
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
	pthread_t *threads = calloc(how->threads, sizeof(*threads));
	struct server s;
	sigset_t signals;
	unsigned n;

	limit_memory();
	take_signals(&signals);
	warn_of(conf);
	if (threads == NULL || open_server(&s, how, conf)) {
		log_errno(LOG_LEVEL_ERROR, "cannot serve", NULL);
		return (1);
	}
	/* A state directory that cannot be opened may come back: until then requests get 503. */
	receiver_store_release(s.receiver, receiver_store(s.receiver));
	if ((n = start_threads(&s, threads, how->threads)) == 0)
		return (1);
	log_line(LOG_LEVEL_INFO, "serving", "state_dir", conf->state_dir, NULL);
	if (how->ready_fd != -1 && write(how->ready_fd, "", 1) != 1)
		log_errno(LOG_LEVEL_ERROR, "supervisor is gone", NULL);
	wait_for_signals(&s, &signals, how->conf_file);
	if (!stop_threads(&s, threads, n)) {
		/* Threads still run: no tidying up under their feet. */
		_exit(0);
	}
	log_line(LOG_LEVEL_INFO, "stopped", NULL);
	receiver_release(s.receiver);
	close(s.stop_fd);
	free(threads);
	return (0);
}
