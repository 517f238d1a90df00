#include "receiver/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/notify.h"
#include "base/number.h"
#include "receiver/serve.h"

enum {
	CHILDREN_MAX = 64,  /* the one that serves, and those that finish what they have */
	SHORT_LIFE_MS = 50, /* a process that dies younger than this did not serve */
	SHORT_LIVES = 5,    /* so many of these in a row, and it is given a rest */
	REST_MS = 1000,
	LOOK_MS = 2000,  /* how often to look after the socket's file */
	STOP_MS = 12000, /* a little more than a process takes to finish what is in flight */
};

struct supervisor {
	const struct supervision *how;
	struct conf *conf;
	pid_t pid; /* its own */
	struct listening listener;
	int64_t look_ms; /* when to see whether its file is still there */
	bool lost;       /* it is not, and cannot be made again */
	int signal_fd;
	pid_t serving;  /* 0: none */
	pid_t starting; /* will serve once it is ready; 0: none */
	int ready_fd;   /* where `starting` says that it is; -1: none */
	pid_t draining[CHILDREN_MAX];
	unsigned n_draining;
	bool reload; /* asked for while one was starting */
	bool stopping;
	unsigned short_lives;
	int64_t started_ms; /* when the last process was started */
	int64_t wake_ms;    /* when something is to be done; 0: nothing */
};

/* The names of what a serving process is told. */
static const char env_ready[] = "FLUIDHOOK_READY_FD", env_parent[] = "FLUIDHOOK_SUPERVISOR";

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

static void
log_pid(enum log_level level, const char *msg, pid_t pid, const char *why)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	log_line(level, msg, "pid", text, "why", why, NULL);
}

/* Tell the program that will be executed who its supervisor is. Returns 0, or -1 with errno set. */
static int
introduce(const struct supervisor *s, int ready_fd)
{
	char fd[16], pid[16];

	snprintf(fd, sizeof(fd), "%d", ready_fd);
	snprintf(pid, sizeof(pid), "%d", (int)s->pid);
	return (
	    setenv(env_ready, fd, 1) || setenv(env_parent, pid, 1) || fcntl(ready_fd, F_SETFD, 0) ?
		-1 :
		0);
}

/* The process that will serve: executes the program with the socket as standard input. Never returns. */
static void
be_child(const struct supervisor *s, int ready_fd)
{
	char threads[16];
	const char *const argv[] = { s->how->program, "-c", s->how->conf_file, "--threads", threads,
		NULL };
	char *const *args = (char *const *)(uintptr_t)argv;

	snprintf(threads, sizeof(threads), "%u", s->how->descriptors.threads);
	if (introduce(s, ready_fd) || dup2(s->listener.fd, STDIN_FILENO) == -1 ||
	    fcntl(STDIN_FILENO, F_SETFD, 0)) {
		log_errno(LOG_LEVEL_ERROR, "cannot start", NULL);
		_exit(1);
	}
	execv(s->how->program, args);
	/* It may be about to be replaced. What runs here still works. */
	log_errno(LOG_LEVEL_ERROR, "program cannot be executed, the running one serves on",
	    "program", s->how->program, NULL);
	execv("/proc/self/exe", args);
	log_errno(LOG_LEVEL_ERROR, "cannot start", NULL);
	_exit(1);
}

struct supervised
supervised_by(void)
{
	struct supervised s = { .ready_fd = -1 };
	const char *fd = getenv(env_ready), *parent = getenv(env_parent);
	uint64_t n, pid;

	if (fd && parent && number_parse(fd, 3, INT32_MAX, &n) == 0 &&
	    number_parse(parent, 1, INT32_MAX, &pid) == 0 &&
	    fcntl((int)n, F_SETFD, FD_CLOEXEC) == 0) {
		s.ready_fd = (int)n;
		s.parent = (int)pid;
	}
	unsetenv(env_ready);
	unsetenv(env_parent);
	return (s);
}

void
supervised_end_together(const struct supervised *s)
{
	if (s->ready_fd == -1)
		return;
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != s->parent)
		_exit(0);
}

/* Start a process that will serve. One that cannot be started is tried again a little later. */
static void
start_child(struct supervisor *s)
{
	int fds[2];

	s->started_ms = now_ms();
	s->wake_ms = 0;
	if (pipe2(fds, O_CLOEXEC)) {
		log_errno(LOG_LEVEL_ERROR, "cannot start", NULL);
		s->wake_ms = s->started_ms + REST_MS;
		return;
	}
	if ((s->starting = fork()) == 0) {
		close(fds[0]);
		be_child(s, fds[1]);
	}
	close(fds[1]);
	if (s->starting == -1) {
		log_errno(LOG_LEVEL_ERROR, "cannot start", NULL);
		close(fds[0]);
		s->starting = 0;
		s->wake_ms = s->started_ms + REST_MS;
		return;
	}
	s->ready_fd = fds[0];
}

static void
forget_start(struct supervisor *s)
{
	close(s->ready_fd);
	s->ready_fd = -1;
	s->starting = 0;
}

/* Tell a process to finish what it has. */
static void
drain(struct supervisor *s, pid_t pid)
{
	/* When there are that many already, they do not end: the oldest has had its time. */
	if (s->n_draining == CHILDREN_MAX) {
		kill(s->draining[0], SIGKILL);
		memmove(s->draining, s->draining + 1, (CHILDREN_MAX - 1) * sizeof(pid_t));
		s->n_draining--;
	}
	s->draining[s->n_draining++] = pid;
	kill(pid, SIGTERM);
}

/* The starting process is ready (or has died before it was). */
static void
on_ready(struct supervisor *s)
{
	pid_t old = s->serving;
	char c;

	if (read(s->ready_fd, &c, 1) == 1) {
		s->serving = s->starting;
		forget_start(s);
		if (old)
			drain(s, old);
		else
			notify("READY=1");
	} else {
		/* It says no more; that it died SIGCHLD tells. */
		close(s->ready_fd);
		s->ready_fd = -1;
	}
}

static void
reload(struct supervisor *s)
{
	struct buf errors = { 0 };
	struct conf *conf;

	s->reload = false;
	if ((conf = serve_conf(s->how->conf_file, &errors)) == NULL) {
		serve_log_errors(&errors);
		log_line(LOG_LEVEL_ERROR, "configuration not taken, the old one stays", "file",
		    s->how->conf_file, NULL);
		buf_free(&errors);
		return;
	}
	conf_free(s->conf);
	s->conf = conf;
	if (conf_open_log(conf, "fluidhook.fcgi"))
		log_errno(LOG_LEVEL_ERROR, "log file cannot be opened, the log stays where it is",
		    "file", conf->log_file, NULL);
	log_line(LOG_LEVEL_INFO, "configuration read", "file", s->how->conf_file, NULL);
	start_child(s);
}

/* Nobody serves any more, or will soon. A process that dies again and again is given a rest. */
static void
replace_child(struct supervisor *s)
{
	int64_t now = now_ms();

	if (now - s->started_ms < SHORT_LIFE_MS)
		s->short_lives++;
	else
		s->short_lives = 0;
	if (s->short_lives >= SHORT_LIVES)
		s->wake_ms = now + REST_MS;
	else
		start_child(s);
}

static void
on_death(struct supervisor *s, pid_t pid, int status)
{
	char why[32];

	if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "signal %d", WTERMSIG(status));
	else
		snprintf(why, sizeof(why), "status %d", WEXITSTATUS(status));
	for (unsigned i = 0; i < s->n_draining; i++)
		if (s->draining[i] == pid) {
			s->draining[i] = s->draining[--s->n_draining];
			return;
		}
	if (pid == s->starting) {
		s->starting = 0;
		if (s->ready_fd != -1)
			forget_start(s);
	} else if (pid == s->serving) {
		s->serving = 0;
	} else {
		return;
	}
	if (s->stopping)
		return;
	log_pid(LOG_LEVEL_ERROR, "serving process died", pid, why);
	if (s->starting == 0 && s->serving == 0)
		replace_child(s);
}

static void
reap(struct supervisor *s)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		on_death(s, pid, status);
}

static void
stop(struct supervisor *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->wake_ms = now_ms() + STOP_MS;
	if (s->starting) {
		pid_t pid = s->starting;

		if (s->ready_fd != -1)
			forget_start(s);
		s->starting = 0;
		drain(s, pid);
	}
	if (s->serving)
		drain(s, s->serving);
	s->serving = 0;
}

static void
on_signal(struct supervisor *s)
{
	struct signalfd_siginfo info;

	while (read(s->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		switch (info.ssi_signo) {
		case SIGCHLD:
			reap(s);
			break;
		case SIGHUP:
			s->reload = true;
			break;
		default:
			stop(s);
			break;
		}
}

static void
on_time(struct supervisor *s)
{
	s->wake_ms = 0;
	if (s->stopping) {
		log_line(LOG_LEVEL_WARN, "stopped with requests in flight", NULL);
		for (unsigned i = 0; i < s->n_draining; i++)
			kill(s->draining[i], SIGKILL);
	} else if (s->serving == 0 && s->starting == 0) {
		start_child(s);
	}
}

/*
 * A socket whose file was removed gets no more connections. Make it again, and have a new process serve
 * it; the old one finishes what it has.
 */
static void
look_after_socket(struct supervisor *s)
{
	struct listening again;
	struct buf error = { 0 };

	s->look_ms = now_ms() + LOOK_MS;
	if (s->stopping || s->starting || !listen_is_lost(&s->listener)) {
		s->lost = false;
		return;
	}
	if (listen_open(&s->how->listen, &again, &error)) {
		if (!s->lost)
			log_line(LOG_LEVEL_ERROR, "the socket was removed and cannot be made again",
			    "error", error.data ? strtok(error.data, "\n") : "out of memory", NULL);
		s->lost = true;
		buf_free(&error);
		return;
	}
	s->lost = false;
	log_line(LOG_LEVEL_WARN, "the socket was removed: made again", "address", again.path, NULL);
	listen_close(&s->listener, false);
	s->listener = again;
	start_child(s);
}

/* How long to wait for something to happen, in milliseconds. */
static int
time_left(const struct supervisor *s)
{
	int64_t until = s->wake_ms && s->wake_ms < s->look_ms ? s->wake_ms : s->look_ms;
	int64_t left = until - now_ms();

	return (left > 0 ? (int)left : 0);
}

static void
loop(struct supervisor *s)
{
	struct pollfd fds[2];

	while (!s->stopping || s->n_draining) {
		if (s->reload && s->starting == 0 && !s->stopping)
			reload(s);
		fds[0] = (struct pollfd){ .fd = s->signal_fd, .events = POLLIN };
		fds[1] = (struct pollfd){ .fd = s->ready_fd, .events = POLLIN };
		if (poll(fds, 2, time_left(s)) == -1 && errno != EINTR)
			log_errno(LOG_LEVEL_ERROR, "poll", NULL);
		if (fds[1].revents && s->ready_fd != -1)
			on_ready(s);
		if (fds[0].revents)
			on_signal(s);
		if (s->wake_ms && now_ms() >= s->wake_ms)
			on_time(s);
		if (now_ms() >= s->look_ms)
			look_after_socket(s);
	}
}

int
supervise(const struct supervision *how, struct conf *conf)
{
	struct supervisor s = { .how = how, .conf = conf, .pid = getpid(), .ready_fd = -1 };
	struct buf error = { 0 };
	sigset_t signals;

	/* Inherited as ignored, it would keep from us that a serving process died. */
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if ((s.signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK)) == -1) {
		log_errno(LOG_LEVEL_ERROR, "signals cannot be received", NULL);
		return (1);
	}
	if (listen_open(&how->listen, &s.listener, &error)) {
		fprintf(stderr, "fluidhook.fcgi: %s", error.data);
		buf_free(&error);
		return (1);
	}
	log_line(LOG_LEVEL_INFO, "listening", "address",
	    s.listener.path ? s.listener.path : how->listen.address, NULL);
	s.look_ms = now_ms() + LOOK_MS;
	start_child(&s);
	loop(&s);
	listen_close(&s.listener, true);
	close(s.signal_fd);
	conf_free(s.conf);
	return (0);
}
