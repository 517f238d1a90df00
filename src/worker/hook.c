#include "worker/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "worker/hook_env.h"

enum {
	LOG_LINES_MAX = 200,  /* of one run; the rest is read and dropped */
	LOG_LINE_MAX = 240,   /* bytes of a line */
	EXIT_PERMANENT = 100, /* contract section 6 */
};

struct hook {
	pid_t pid;       /* 0: it has ended */
	int out;         /* our end of its output; -1: closed */
	int exec_errno;  /* why it could not be executed; 0: it was */
	struct buf line; /* of its output, not ended yet */
	unsigned lines;
	char name[TARGET_SIZE];
	char delivery[64];
	int64_t deadline; /* milliseconds, CLOCK_MONOTONIC */
	bool timed_out;
	int status;
};

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

static void
close_fd(int *fd)
{
	int saved = errno;

	if (*fd != -1)
		close(*fd);
	*fd = -1;
	errno = saved;
}

/*
 * The body as a file in memory that nobody can change, read from its start. A pipe would need us to
 * write while the hook reads, and if we were killed would give it half a body that looks whole.
 * Returns a descriptor, or -1 with errno set.
 */
static int
make_input(const struct hook_call *call)
{
	int fd = memfd_create("delivery", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t done = 0;
	ssize_t n;

	if (fd == -1)
		return (-1);
	/* Not write(): the hook reads from where the offset is. */
	while (done < call->target->body_len &&
	    (n = pwrite(fd, call->target->body + done, call->target->body_len - done,
		 (off_t)done)) > 0)
		done += (size_t)n;
	if (done == call->target->body_len &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		return (fd);
	close_fd(&fd);
	return (-1);
}

/* What the new process needs to become the hook. It shares our memory until then, and we wait for it. */
struct birth {
	const char *path;
	char **env;
	int in, out;
	const struct hook_signals *signals;
	struct running_note note;
	/* What it reports. */
	int error; /* why it did not become the hook; 0: it did */
	bool own;  /* that is the worker's or the machine's failure, not the hook's */
};

/* Whether execve() failed for a reason that has nothing to do with the program. */
static bool
is_own_failure(int error)
{
	return (error == ENOMEM || error == EAGAIN || error == ENFILE || error == EMFILE ||
	    error == EIO || error == ESTALE);
}

/* Standard descriptors that were closed have made a number small. */
static int
above_standard(int fd)
{
	return (fd > STDERR_FILENO ? fd : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
}

/*
 * In the new process, after vfork(): become the hook. Only what is safe there is called, and nothing of ours is changed
 * but *b.
 */
static _Noreturn void
be_hook(struct birth *b)
{
	char *const argv[] = { (char *)(uintptr_t)b->path, NULL };
	sigset_t none;
	int in, out;

	b->own = true;
	setpgid(0, 0);
	for (size_t i = 0; i < b->signals->n; i++)
		signal(b->signals->ignored[i], SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (running_write(&b->note) || (in = above_standard(b->in)) == -1 ||
	    (out = above_standard(b->out)) == -1 || dup2(in, 0) == -1 || dup2(out, 1) == -1 ||
	    dup2(out, 2) == -1 || chdir("/") == -1)
		goto fail;
	/* All else is close-on-exec, but for what libraries opened without that flag. */
	syscall(SYS_close_range, STDERR_FILENO + 1U, ~0U, 0U);
	umask(077);
	execve(b->path, argv, b->env);
	b->own = is_own_failure(errno);
fail:
	b->error = errno;
	_exit(127);
}

/* Make the process, which is the hook on return. Returns it, or -1 with errno set. */
static pid_t
make_process(struct birth *b)
{
	pid_t pid = vfork();

	if (pid == 0)
		be_hook(b);
	return (pid);
}

/* Start the hook. Returns 0, also if it cannot be executed, or -1 with errno set. */
static int
spawn(struct hook *h, const struct hook_call *call)
{
	char *env[HOOK_ENV_MAX] = { NULL };
	int out[2] = { -1, -1 }, result = -1;
	struct birth b = {
		.path = call->path,
		.env = env,
		.in = make_input(call),
		.signals = call->signals,
	};

	if (b.in == -1 || hook_env_make(env, call->target, call->home, call->conf) ||
	    pipe2(out, O_CLOEXEC) || fcntl(out[0], F_SETFL, O_NONBLOCK))
		goto done;
	b.out = out[1];
	running_prepare(call->running, call->target->slot, call->target->delivery, &b.note);
	if ((h->pid = make_process(&b)) == -1)
		goto done;
	if (b.error && b.own) {
		waitpid(h->pid, NULL, 0);
		errno = b.error;
		goto done;
	}
	h->exec_errno = b.error;
	h->out = out[0];
	out[0] = -1;
	result = 0;
done:
	close_fd(&b.in);
	close_fd(&out[0]);
	close_fd(&out[1]);
	hook_env_free(env);
	return (result);
}

void
hook_signals_read(struct hook_signals *s)
{
	struct sigaction action;

	s->n = 0;
	for (int i = 1; i < NSIG; i++)
		if (sigaction(i, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
			s->ignored[s->n++] = i;
}

struct hook *
hook_start(const struct hook_call *call, unsigned timeout)
{
	struct hook *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return (NULL);
	h->out = -1;
	snprintf(h->name, sizeof(h->name), "%s", call->name);
	snprintf(h->delivery, sizeof(h->delivery), "%s", call->target->delivery);
	h->deadline = now_ms() + (int64_t)timeout * 1000;
	if (spawn(h, call)) {
		h->pid = 0;
		hook_free(h);
		return (NULL);
	}
	return (h);
}

int
hook_poll(const struct hook *h, struct pollfd *fds)
{
	int64_t left = h->deadline - now_ms();

	*fds = (struct pollfd){ .fd = h->out, .events = POLLIN };
	if (h->timed_out)
		return (INT_MAX);
	return (left < 0 ? 0 : (int)left);
}

static void
log_output(struct hook *h)
{
	if (h->lines < LOG_LINES_MAX)
		log_line(LOG_LEVEL_INFO, "hook output", "hook", h->name, "delivery", h->delivery,
		    "line", h->line.data ? h->line.data : "", NULL);
	else if (h->lines == LOG_LINES_MAX)
		log_line(LOG_LEVEL_WARN, "hook prints too much, the rest is dropped", "hook",
		    h->name, "delivery", h->delivery, NULL);
	h->lines++;
	buf_reset(&h->line);
}

/* Take what it printed, a bounded part at a time so that nothing else has to wait for it. */
static void
read_output(struct hook *h)
{
	char chunk[16 * 1024];
	ssize_t n;

	for (int rounds = 0; h->out != -1 && rounds < 16; rounds++) {
		if ((n = read(h->out, chunk, sizeof(chunk))) <= 0) {
			if (n == 0 || (errno != EAGAIN && errno != EINTR))
				close_fd(&h->out);
			return;
		}
		for (ssize_t i = 0; i < n && h->lines <= LOG_LINES_MAX; i++) {
			if (chunk[i] == '\n' || h->line.len == LOG_LINE_MAX)
				log_output(h);
			if (chunk[i] != '\n')
				buf_addc(&h->line, chunk[i] ? chunk[i] : '?');
		}
	}
}

void
hook_step(struct hook *h, const struct pollfd *fds)
{
	if (h->out != -1 && fds->revents)
		read_output(h);
	if (!h->timed_out && now_ms() >= h->deadline) {
		h->timed_out = true;
		kill(-h->pid, SIGKILL);
		kill(h->pid, SIGKILL);
	}
}

/* What it left running may hold its output open: only what is there is read. */
void
hook_ended(struct hook *h, int status)
{
	h->pid = 0;
	h->status = status;
	read_output(h);
	if (h->line.len)
		log_output(h);
	close_fd(&h->out);
}

enum target_outcome
hook_outcome(const struct hook *h, char *why, size_t size)
{
	bool exited = !h->timed_out && h->exec_errno == 0 && WIFEXITED(h->status);

	if (h->timed_out)
		snprintf(why, size, "timeout");
	else if (h->exec_errno)
		snprintf(why, size, "cannot be executed: %s", strerror(h->exec_errno));
	else if (WIFSIGNALED(h->status))
		snprintf(why, size, "signal %d", WTERMSIG(h->status));
	else
		snprintf(why, size, "exit %d", WEXITSTATUS(h->status));
	if (exited && WEXITSTATUS(h->status) == 0)
		return (TARGET_DONE);
	return (exited && WEXITSTATUS(h->status) == EXIT_PERMANENT ? TARGET_FAILED_FOR_GOOD :
								     TARGET_FAILED);
}

pid_t
hook_process(const struct hook *h)
{
	return (h->pid);
}

bool
hook_did_not_run(const struct hook *h)
{
	return (h->exec_errno != 0);
}

void
hook_free(struct hook *h)
{
	int saved = errno;

	if (h == NULL)
		return;
	if (h->pid > 0) {
		kill(-h->pid, SIGKILL);
		kill(h->pid, SIGKILL);
		waitpid(h->pid, NULL, 0);
	}
	close_fd(&h->out);
	buf_free(&h->line);
	free(h);
	errno = saved;
}
