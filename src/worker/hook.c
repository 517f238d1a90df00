#include "worker/hook.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/log.h"
#include "store/durable.h"
#include "worker/hook_env.h"

enum {
	LOG_LINES_MAX = 200,  /* of one run; the rest is read and dropped */
	LOG_LINE_MAX = 240,   /* bytes of a line */
	EXIT_PERMANENT = 100, /* contract section 6 */
	KILLED_MS = 50,       /* how often one that was killed is looked at, where nothing tells */
};

struct hook {
	pid_t pid;       /* 0: it has ended */
	int pid_fd;      /* readable when it has */
	int out;         /* our end of its output; -1: closed */
	int exec_errno;  /* why it could not be executed; 0: it was */
	struct buf line; /* of its output, not ended yet */
	unsigned lines;
	char name[128]; /* for the log: the program's */
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

/* Whether a name in the directory is a hook: 1, 0, or -1 with errno set. */
static int
is_hook(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return (errno == ENOENT ? 0 : -1);
	/* A link to nothing is a hook that cannot be executed. A directory is none. */
	if (S_ISLNK(st.st_mode) && fstatat(dir, name, &st, 0))
		return (1);
	return (!S_ISDIR(st.st_mode));
}

int
hook_find(const char *hooks, bool optional, const char *event, char *out, size_t size)
{
	int dir = open(hooks, O_RDONLY | O_DIRECTORY | O_CLOEXEC), found = 0;
	const char *dot = strchr(event, '.');
	const char *const names[] = { event, event, "any" };
	const int lengths[] = { (int)strlen(event), dot ? (int)(dot - event) : 0, 3 };
	const char *name;

	if (dir == -1)
		return (errno == ENOENT && optional ? 0 : -1);
	for (size_t i = 0; i < 3 && found == 0; i++) {
		/* Alerts go only to hooks that are named after them (contract section 6). */
		if (lengths[i] == 0 || (i == 2 && strncmp(event, "fluidhook.", 10) == 0))
			continue;
		if ((size_t)snprintf(out, size, "%s/%.*s", hooks, lengths[i], names[i]) >= size) {
			errno = ENAMETOOLONG;
			found = -1;
			break;
		}
		name = strrchr(out, '/') + 1;
		found = is_hook(dir, name);
	}
	file_close(dir);
	return (found);
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

	if (fd == -1)
		return (-1);
	if (file_write_all(fd, call->body, call->body_len) == 0 && lseek(fd, 0, SEEK_SET) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) == 0)
		return (fd);
	file_close(fd);
	return (-1);
}

/* Why a hook was not executed, as its process reports it. */
struct report {
	int error;
	bool own; /* the worker's or the machine's failure, not the hook's */
};

/* Whether execve() failed for a reason that has nothing to do with the program. */
static bool
is_own_failure(int error)
{
	return (error == ENOMEM || error == EAGAIN || error == ENFILE || error == EMFILE ||
	    error == EIO || error == ESTALE);
}

/*
 * In the new process: become the hook once the other end of `link` says so, or tell it why not. If the worker is
 * killed before it has noted this process, the link just ends.
 */
static void
be_hook(const struct hook_call *call, char **env, int in, int out, int link)
{
	char *const argv[] = { (char *)(uintptr_t)call->path, NULL };
	sigset_t none;
	char go;
	struct report failure = { .own = true };

	setsid();
	sigemptyset(&none);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (read(link, &go, 1) != 1)
		_exit(127);
	/* Standard descriptors that were closed have made these numbers small. */
	if ((in = fcntl(in, F_DUPFD_CLOEXEC, 10)) == -1 ||
	    (out = fcntl(out, F_DUPFD_CLOEXEC, 10)) == -1 ||
	    (link = fcntl(link, F_DUPFD_CLOEXEC, 10)) == -1 || dup2(in, 0) == -1 ||
	    dup2(out, 1) == -1 || dup2(out, 2) == -1 || chdir("/") == -1)
		goto fail;
	/* All else is close-on-exec; what libraries opened without that flag goes here. */
	syscall(SYS_close_range, 3U, (unsigned)link - 1, 0U);
	syscall(SYS_close_range, (unsigned)link + 1, ~0U, 0U);
	umask(077);
	execve(call->path, argv, env);
	failure.own = is_own_failure(errno);
fail:
	failure.error = errno;
	if (write(link, &failure, sizeof(failure)) != (ssize_t)sizeof(failure))
		_exit(126);
	_exit(127);
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

/* End a process that has not become a hook. errno stays. */
static void
end_process(pid_t pid)
{
	int saved = errno;

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	errno = saved;
}

/* Let the process become the hook. Returns 0 also if it cannot be executed, or -1 with errno set. */
static int
let_go(struct hook *h, const struct hook_call *call, int link)
{
	struct report failure;

	if (running_note(call->running, call->slot, h->pid, call->delivery))
		return (-1);
	if (send(link, "", 1, MSG_NOSIGNAL) != 1)
		return (-1);
	/* Ends when the program runs, or says why it does not. */
	if (read(link, &failure, sizeof(failure)) != (ssize_t)sizeof(failure))
		return (0);
	if (!failure.own)
		h->exec_errno = failure.error;
	errno = failure.error;
	return (failure.own ? -1 : 0);
}

/* Make the process. Returns 0, or -1 with errno set. */
static int
spawn(struct hook *h, const struct hook_call *call)
{
	int in = make_input(call), out[2] = { -1, -1 }, link[2] = { -1, -1 };
	char *env[HOOK_ENV_MAX] = { NULL };
	int result = -1;

	if (in == -1 || hook_env_make(env, call) || pipe2(out, O_CLOEXEC) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) ||
	    fcntl(out[0], F_SETFL, O_NONBLOCK))
		goto done;
	if ((h->pid = fork()) == -1)
		goto done;
	if (h->pid == 0) {
		close(link[0]);
		be_hook(call, env, in, out[1], link[1]);
	}
	close_fd(&link[1]);
	if (let_go(h, call, link[0])) {
		end_process(h->pid);
		goto done;
	}
	h->out = out[0];
	out[0] = -1;
	result = 0;
done:
	close_fd(&in);
	for (int i = 0; i < 2; i++) {
		close_fd(&out[i]);
		close_fd(&link[i]);
	}
	hook_env_free(env);
	return (result);
}

struct hook *
hook_start(const struct hook_call *call, unsigned timeout)
{
	struct hook *h = calloc(1, sizeof(*h));
	const char *name = strrchr(call->path, '/');

	if (h == NULL)
		return (NULL);
	h->out = h->pid_fd = -1;
	snprintf(h->name, sizeof(h->name), "%s", name ? name + 1 : call->path);
	snprintf(h->delivery, sizeof(h->delivery), "%s", call->delivery);
	h->deadline = now_ms() + (int64_t)timeout * 1000;
	if (spawn(h, call)) {
		h->pid = 0;
		hook_free(h);
		return (NULL);
	}
	h->pid_fd = (int)syscall(SYS_pidfd_open, h->pid, 0);
	return (h);
}

int
hook_poll(const struct hook *h, struct pollfd *fds)
{
	int64_t left = h->timed_out ? KILLED_MS : h->deadline - now_ms();

	fds[0] = (struct pollfd){ .fd = h->out, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = h->pid_fd, .events = POLLIN };
	/* Without a pidfd (an old kernel): look now and then. */
	if (h->pid_fd == -1 && left > KILLED_MS)
		left = KILLED_MS;
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

/* The program has ended: take the rest of its output. What it left running may hold the pipe open. */
static void
end(struct hook *h)
{
	h->pid = 0;
	read_output(h);
	if (h->line.len)
		log_output(h);
	close_fd(&h->out);
	close_fd(&h->pid_fd);
}

bool
hook_step(struct hook *h, const struct pollfd *fds)
{
	if (h->pid == 0)
		return (true);
	if (h->out != -1 && fds[0].revents)
		read_output(h);
	if (!h->timed_out && now_ms() >= h->deadline) {
		h->timed_out = true;
		kill(-h->pid, SIGKILL);
		kill(h->pid, SIGKILL);
	}
	if (waitpid(h->pid, &h->status, WNOHANG) != h->pid)
		return (false);
	end(h);
	return (true);
}

enum hook_outcome
hook_result(const struct hook *h, char *why, size_t size)
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
		return (HOOK_DONE);
	return (exited && WEXITSTATUS(h->status) == EXIT_PERMANENT ? HOOK_FAILED_FOR_GOOD :
								     HOOK_FAILED);
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
	close_fd(&h->pid_fd);
	buf_free(&h->line);
	free(h);
	errno = saved;
}
