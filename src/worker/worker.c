#include "worker/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/notify.h"
#include "store/index.h"
#include "store/reindex.h"
#include "worker/backoff.h"
#include "worker/provision.h"
#include "worker/kept.h"
#include "worker/position.h"
#include "worker/queue.h"
#include "worker/reload.h"
#include "worker/runner.h"

enum {
	POLL_MS = 5000,    /* for file systems without inotify */
	PROVISION_MS = 20, /* how often --once looks at what waits for Fluid */
	PATH_SIZE = 4096,
};

struct worker {
	const struct conf *conf;
	struct state *state;
	struct queue *queue;
	struct follow *follow;
	struct runner *runner;
	bool stopping;
	bool failed;
	bool moved;          /* the state directory is not under its path any more */
	int64_t provisioned; /* with --once: when Fluid was last asked; milliseconds */
	int64_t refreshed;   /* when queue/waiting was last looked at; milliseconds */
	int signal_fd, journal_watch;

	/* talks to Fluid; NULL while one after a SIGHUP is to come */
	struct provision *provision;
	struct retiring {
		/* being ended in a thread, as a call to Fluid can take long */
		struct provision *old;
		pthread_t thread;
		int ended; /* an eventfd */
	} retiring;
	bool reload_due;
	struct conf *own_conf; /* read after a SIGHUP; NULL: it is the caller's */
	struct conf *old_conf; /* what is being ended still uses it */
	char *own_file;
	struct kept *kept;
	bool kept_due; /* look at the kept requests */
};

/* Accept requests that came before their key. Returns whether there are new lines, or more to look at. */
static bool
accept_requests(struct worker *w)
{
	unsigned accepted;

	w->kept_due = kept_run(w->kept, w->conf, &accepted);
	return (accepted || w->kept_due);
}

/* Credentials are there, or never will be. */
static void
on_resolved(struct worker *w)
{
	runner_wake(w->runner);
	w->kept_due = true;
}

static void *
retire(void *arg)
{
	struct retiring *r = arg;

	provision_free(r->old);
	eventfd_write(r->ended, 1);
	return (NULL);
}

/* Begin again to talk to Fluid, with the new configuration. Without it the worker cannot go on. */
static void
renew_provision(struct worker *w, bool once)
{
	conf_free(w->old_conf);
	w->old_conf = NULL;
	if ((w->provision = provision_new(w->conf, w->state)) == NULL ||
	    (!once && provision_start(w->provision))) {
		log_errno(LOG_LEVEL_ERROR, "worker cannot go on; it ends, start it again", NULL);
		w->stopping = w->failed = true;
	}
	runner_configure(w->runner, w->conf, w->own_file, w->provision);
	on_resolved(w);
}

/* What talked to Fluid has ended. */
static void
on_retired(struct worker *w)
{
	pthread_join(w->retiring.thread, NULL);
	w->retiring.old = NULL;
	renew_provision(w, false);
}

/*
 * Take a new configuration. Hooks that run go on. Calls to Fluid that are under way end first: an exchange token
 * must not be sent twice.
 */
static void
reload(struct worker *w, bool once)
{
	char *path;
	struct conf *conf = reload_conf(w->conf, &path);

	w->reload_due = false;
	if (conf == NULL)
		return;
	free(w->own_file);
	w->old_conf = w->own_conf;
	w->conf = w->own_conf = conf;
	w->own_file = path;
	w->retiring.old = w->provision;
	w->provision = NULL;
	runner_configure(w->runner, conf, path, NULL);
	log_line(LOG_LEVEL_INFO, "configuration read again", "file", path, "hooks", conf->hooks,
	    NULL);
	runner_look(w->runner);
	if (!once && pthread_create(&w->retiring.thread, NULL, retire, &w->retiring) == 0)
		return;
	provision_free(w->retiring.old);
	w->retiring.old = NULL;
	renew_provision(w, once);
}

static void
read_signals(struct worker *w)
{
	struct signalfd_siginfo info;

	while (read(w->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo == SIGHUP)
			w->reload_due = true;
		else if ((info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT) && !w->stopping) {
			w->stopping = true;
			runner_stop(w->runner);
			log_line(LOG_LEVEL_INFO, "stopping", NULL);
		}
}

/*
 * Wait for all processes that have ended: hooks, and what these have left behind, where the worker is process 1 of a
 * container.
 */
static void
reap(struct worker *w)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		runner_ended(w->runner, pid, status);
}

/* Wait for a hook, a line, a signal, the thread or the clock. */
static void
wait_for_something(struct worker *w, int timeout)
{
	struct pollfd fds[3 + RUNNER_POLL_FDS];
	char events[4096];
	eventfd_t count;
	unsigned n;

	fds[0] = (struct pollfd){ .fd = w->signal_fd, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = w->journal_watch, .events = POLLIN };
	fds[2] = (struct pollfd){ .events = POLLIN,
		.fd = w->provision ? provision_resolved(w->provision) : w->retiring.ended };
	n = 3 + runner_poll(w->runner, fds + 3, &timeout);
	if (poll(fds, n, timeout) == -1) {
		if (errno != EINTR) {
			/* More hooks run than there may be descriptors, or no memory: not as fast as possible. */
			log_errno(LOG_LEVEL_ERROR, "worker cannot wait for events", NULL);
			nanosleep(&(const struct timespec){ .tv_sec = 1 }, NULL);
		}
		return;
	}
	runner_step(w->runner, fds + 3);
	while (fds[1].revents && read(w->journal_watch, events, sizeof(events)) > 0)
		;
	if (fds[2].revents && eventfd_read(fds[2].fd, &count) == 0) {
		if (w->provision)
			on_resolved(w);
		else
			on_retired(w);
	}
	if (fds[0].revents)
		read_signals(w);
	reap(w);
}

/*
 * Whether the state directory is still the one under its path. Where it is not, another one is or will be there:
 * what is noted here would be lost, and what is received there would not be read.
 */
static bool
is_in_place(struct worker *w)
{
	char why[STATE_WHY_SIZE] = "it was replaced";

	if (state_in_place(w->state))
		return (true);
	state_is_complete(w->state->path, why);
	log_line(LOG_LEVEL_ERROR,
	    "the state directory was moved or replaced; the worker ends, start it again",
	    "state_dir", w->state->path, "why", why, NULL);
	w->moved = true;
	return (false);
}

/* With --once, while hooks run: ask Fluid now and then, as the thread would. */
static void
provision_between(struct worker *w)
{
	if (backoff_now() - w->provisioned < PROVISION_MS)
		return;
	w->provisioned = backoff_now();
	if (provision_run(w->provision))
		on_resolved(w);
}

/* Look now and then at what nothing tells of. */
static void
refresh(struct worker *w)
{
	if (backoff_now() - w->refreshed < POLL_MS)
		return;
	w->refreshed = backoff_now();
	runner_refresh(w->runner);
	w->kept_due = true;
}

/* With --once, when nothing is left to do: whether what Fluid has said since brings nothing more either. */
static bool
is_done(struct worker *w)
{
	if (!runner_is_idle(w->runner))
		return (false);
	if (provision_run(w->provision))
		on_resolved(w);
	if (accept_requests(w))
		return (false);
	runner_fill(w->runner);
	return (runner_is_idle(w->runner));
}

static void
loop(struct worker *w, bool once)
{
	while (is_in_place(w)) {
		runner_save(w->runner);
		if (w->reload_due && w->retiring.old == NULL && !w->stopping)
			reload(w, once);
		/* What waits for Fluid comes first, where no thread sees to it. */
		if (once && !w->stopping)
			provision_between(w);
		refresh(w);
		if (w->kept_due && !w->stopping)
			accept_requests(w);
		if (!w->stopping)
			runner_fill(w->runner);
		runner_sync(w->runner);
		if (w->stopping && runner_running(w->runner) == 0)
			return;
		if (once && !w->stopping && is_done(w))
			return;
		runner_save_position(w->runner);
		wait_for_something(w, w->kept_due && !w->stopping ? 0 : POLL_MS);
	}
}

static int
open_watch(const struct worker *w)
{
	char path[PATH_SIZE];
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	snprintf(path, sizeof(path), "%s/journal", w->state->path);
	if (fd != -1)
		inotify_add_watch(fd, w->state->path,
		    IN_MOVE_SELF | IN_DELETE_SELF | IN_MOVED_FROM);
	if (fd != -1 && inotify_add_watch(fd, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO) == -1) {
		close(fd);
		fd = -1;
	}
	if (fd == -1)
		log_errno(LOG_LEVEL_WARN, "no inotify: the journal is looked at every few seconds",
		    NULL);
	return (fd);
}

/* Signals are for signal_fd, and threads started from now on do not get any. */
static int
open_signals(struct worker *w)
{
	sigset_t signals;

	signal(SIGPIPE, SIG_IGN);
	/* A limit of the size of files is an error of write(), not the worker's end. */
	signal(SIGXFSZ, SIG_IGN);
	/* Inherited as ignored, it would keep from us how a hook ended. */
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	return (w->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
}

static int
open_worker(struct worker *w, const char *conf_file)
{
	if (open_signals(w) == -1 ||
	    (w->retiring.ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) == -1)
		return (-1);
	if ((w->queue = queue_open(w->state->queue, true)) == NULL ||
	    (w->follow = position_follow(w->state->queue, w->state->journal)) == NULL)
		return (-1);
	if ((w->kept = kept_new(w->state)) == NULL)
		return (-1);
	if ((w->provision = provision_new(w->conf, w->state)) == NULL)
		return (-1);
	if ((w->runner = runner_new(w->conf, conf_file, w->state, w->queue, w->follow,
		 w->provision)) == NULL)
		return (-1);
	w->journal_watch = open_watch(w);
	runner_look(w->runner);
	return (0);
}

static void
close_worker(struct worker *w)
{
	const int fds[] = { w->signal_fd, w->journal_watch, w->retiring.ended };

	runner_free(w->runner);
	if (w->retiring.old)
		pthread_join(w->retiring.thread, NULL);
	provision_free(w->provision);
	kept_free(w->kept);
	follow_free(w->follow);
	queue_close(w->queue);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] != -1)
			close(fds[i]);
	conf_free(w->own_conf);
	conf_free(w->old_conf);
	free(w->own_file);
}

/* A signal waits for signal_fd. */
static bool
is_told_to_stop(void *user)
{
	sigset_t pending;

	(void)user;
	return (sigpending(&pending) == 0 &&
	    (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1));
}

int
work(const struct conf *conf, const char *conf_file, struct state *state, bool once)
{
	struct worker *w = calloc(1, sizeof(*w));
	int result = -1;

	if (w == NULL)
		return (-1);
	*w = (struct worker){ .conf = conf,
		.state = state,
		.signal_fd = -1,
		.journal_watch = -1,
		.retiring = { .ended = -1 } };
	if (open_worker(w, conf_file)) {
		if (errno == EWOULDBLOCK) {
			/* For cron: that worker does what this one would. */
			log_line(once ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
			    "another worker runs on this state directory", "state_dir", state->path,
			    NULL);
			result = once ? 0 : -1;
		} else {
			log_errno(LOG_LEVEL_ERROR, "worker cannot start", "state_dir", state->path,
			    NULL);
		}
		goto out;
	}
	if (!once && provision_start(w->provision)) {
		log_errno(LOG_LEVEL_ERROR, "worker cannot start", NULL);
		goto out;
	}
	/* With --once every minute, only if something is lost: it takes a second for some thousand records. */
	if (!once || !index_is_complete(state))
		reindex_logged(state, is_told_to_stop, NULL);
	log_line(LOG_LEVEL_INFO, "working", "state_dir", state->path, "hooks", conf->hooks, NULL);
	notify("READY=1");
	loop(w, once);
	/* Elsewhere nothing is written any more. Its hooks are killed, and run again if it comes back. */
	if (!w->moved && runner_finish(w->runner) == 0 && !w->failed &&
	    !(once && runner_has_failed(w->runner)))
		result = 0;
out:
	close_worker(w);
	free(w);
	return (result);
}
