#include "worker/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dir.h"
#include "base/log.h"
#include "delivery/event.h"
#include "store/durable.h"
#include "worker/backoff.h"
#include "worker/hook.h"

enum {
	HOME_MS = 60000, /* how long a home directory counts: not every user database is a file */
	PATH_SIZE = 4096,
};

/* "order.created.d", in the hooks directory, as it was when it was read. */
struct subdirectory {
	char *name;
	struct stat seen;
};

struct hooks {
	const struct conf *conf;
	const char *conf_file;
	struct running *running; /* NULL: none is run */
	struct hook_signals signals;
	/* What was read. */
	char *path; /* NULL: nothing */
	struct stat seen;
	char **
	    names; /* of hooks, and of what is in subdirectories: "order.created.d/10-crm"; sorted */
	size_t n;
	struct subdirectory *subs;
	size_t n_subs;
	bool has_links; /* what these point to can change without a trace here */
	struct stat users;
	int64_t home_until; /* backoff_now() */
	char *home;
};

struct hooks *
hooks_new(int queue)
{
	struct hooks *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return (NULL);
	hook_signals_read(&h->signals);
	if (queue != -1 && (h->running = running_open(queue)) == NULL) {
		free(h);
		return (NULL);
	}
	return (h);
}

/* The next look reads the directory. */
static void
forget(struct hooks *h)
{
	for (size_t i = 0; i < h->n; i++)
		free(h->names[i]);
	for (size_t i = 0; i < h->n_subs; i++)
		free(h->subs[i].name);
	free(h->names);
	free(h->subs);
	free(h->path);
	h->names = NULL;
	h->subs = NULL;
	h->path = NULL;
	h->n = h->n_subs = 0;
	h->has_links = false;
}

void
hooks_free(struct hooks *h)
{
	if (h == NULL)
		return;
	forget(h);
	running_close(h->running);
	free(h->home);
	free(h);
}

void
hooks_configure(struct hooks *h, const struct conf *conf, const char *conf_file)
{
	h->conf = conf;
	h->conf_file = conf_file;
	forget(h);
}

/* Returns 0, or -1 with errno set. */
static int
add_name(struct hooks *h, const char *directory, const char *name)
{
	void *more = reallocarray(h->names, h->n + 1, sizeof(*h->names));

	if (more == NULL)
		return (-1);
	h->names = more;
	if (asprintf(&h->names[h->n], "%s%s%s", directory ? directory : "", directory ? "/" : "",
		name) == -1)
		return (-1);
	if (strlen(h->names[h->n]) >= TARGET_SIZE) {
		log_line(LOG_LEVEL_WARN, "hook is ignored: its name is too long", "hook",
		    h->names[h->n], NULL);
		free(h->names[h->n]);
		return (0);
	}
	h->n++;
	return (0);
}

/*
 * Add what is in a subdirectory, which may be a symbolic link; hidden files are an editor's. Returns 0, also if it is gone,
 * or -1 with errno set.
 */
static int
read_subdirectory(struct hooks *h, const char *name)
{
	void *more = reallocarray(h->subs, h->n_subs + 1, sizeof(*h->subs));
	char path[PATH_SIZE];
	struct subdirectory *sub;
	const char *file;
	struct dir d;
	int next;

	if (more == NULL)
		return (-1);
	h->subs = more;
	sub = &h->subs[h->n_subs];
	snprintf(path, sizeof(path), "%s/%s", h->conf->hooks, name);
	if (stat(path, &sub->seen) || dir_open_path(&d, path))
		return (errno == ENOENT ? 0 : -1);
	if ((sub->name = strdup(name)) == NULL) {
		dir_close(&d);
		return (-1);
	}
	h->n_subs++;
	while ((next = dir_next(&d, &file)) == 1)
		if (*file != '.' && add_name(h, name, file)) {
			next = -1;
			break;
		}
	dir_close(&d);
	return (next);
}

static bool
is_subdirectory(const char *name)
{
	size_t len = strlen(name);

	return (len > 2 && strcmp(name + len - 2, ".d") == 0);
}

/* Add an entry of the directory, if it is a hook or has hooks in it. Returns 0, or -1 with errno set. */
static int
add_entry(struct hooks *h, int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return (errno == ENOENT ? 0 : -1);
	if (S_ISLNK(st.st_mode)) {
		h->has_links = true;
		/* A link to nothing is a hook that cannot be executed. */
		if (fstatat(dir, name, &st, 0))
			return (add_name(h, NULL, name));
	}
	if (!S_ISDIR(st.st_mode))
		return (add_name(h, NULL, name));
	return (is_subdirectory(name) ? read_subdirectory(h, name) : 0);
}

static int
by_name(const void *a, const void *b)
{
	return (strcmp(*(char *const *)a, *(char *const *)b));
}

static int
read_directory(struct hooks *h)
{
	const char *name;
	struct dir d;
	int next;

	forget(h);
	if (dir_open_path(&d, h->conf->hooks))
		return (-1);
	if ((next = fstat(dir_fd(&d), &h->seen)) == 0)
		while ((next = dir_next(&d, &name)) == 1)
			if (add_entry(h, dir_fd(&d), name)) {
				next = -1;
				break;
			}
	dir_close(&d);
	if (next || (h->path = strdup(h->conf->hooks)) == NULL) {
		int error = errno;

		forget(h);
		errno = error;
		return (-1);
	}
	if (h->n)
		qsort(h->names, h->n, sizeof(*h->names), by_name);
	return (0);
}

/* Whether a directory is as it was, for long enough that this means something. */
static bool
is_unchanged(const char *path, const struct stat *seen)
{
	struct stat st;

	return (stat(path, &st) == 0 && stat_same(&st, seen) && stat_settled(&st));
}

static bool
is_current(const struct hooks *h)
{
	char path[PATH_SIZE];

	if (h->path == NULL || h->has_links || !is_unchanged(h->path, &h->seen))
		return (false);
	for (size_t i = 0; i < h->n_subs; i++) {
		snprintf(path, sizeof(path), "%s/%s", h->path, h->subs[i].name);
		if (!is_unchanged(path, &h->subs[i].seen))
			return (false);
	}
	return (true);
}

int
hooks_look(struct hooks *h)
{
	if (is_current(h) || read_directory(h) == 0)
		return (0);
	return (errno == ENOENT && h->conf->hooks_by_default ? 0 : -1);
}

/* Where the names are that are not before this one. */
static size_t
find(const struct hooks *h, const char *name)
{
	size_t low = 0, high = h->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(h->names[middle], name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return (low);
}

/* Call each() for the executable files in name.d. */
static int
match_subdirectory(const struct hooks *h, const char *name, target_each *each, void *user)
{
	char prefix[EVENT_SIZE + 4], path[PATH_SIZE];
	int len = snprintf(prefix, sizeof(prefix), "%s.d/", name);
	struct stat st;

	for (size_t i = find(h, prefix); i < h->n && strncmp(h->names[i], prefix, (size_t)len) == 0;
	     i++) {
		snprintf(path, sizeof(path), "%s/%s", h->path, h->names[i]);
		if (stat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 0111) &&
		    each(user, h->names[i]))
			return (-1);
	}
	return (0);
}

static int
match(void *self, const char *event, target_each *each, void *user)
{
	struct hooks *h = self;
	char names[3][EVENT_SIZE] = { "", "", "any" };
	size_t n = 3, at;

	if (hooks_look(h))
		return (-1);
	snprintf(names[0], EVENT_SIZE, "%s", event);
	snprintf(names[1], EVENT_SIZE, "%.*s", (int)strcspn(event, "."), event);
	/* Alerts go only to hooks that are named after them (contract section 6). */
	if (strcmp(names[1], "fluidhook") == 0)
		n = 2;
	for (size_t i = 0; i < n; i++)
		if ((at = find(h, names[i])) < h->n && strcmp(h->names[at], names[i]) == 0) {
			if (each(user, names[i]))
				return (-1);
			break;
		}
	for (size_t i = 0; i < n; i++)
		if (match_subdirectory(h, names[i], each, user))
			return (-1);
	return (0);
}

/* The home directory of this process's user, or NULL. */
static const char *
home(struct hooks *h)
{
	const struct passwd *pw;
	struct stat st = { .st_ino = 0 };
	int64_t now = backoff_now();

	stat("/etc/passwd", &st);
	if (now >= h->home_until || !stat_same(&st, &h->users)) {
		pw = getpwuid(geteuid());
		free(h->home);
		h->home = pw && pw->pw_dir ? strdup(pw->pw_dir) : NULL;
		h->home_until = now + HOME_MS;
		h->users = st;
	}
	return (h->home);
}

/* A hook that runs. */
struct hook_attempt {
	struct target_attempt base;
	struct hook *hook;
};

static const struct hook *
hook_of(const struct target_attempt *a)
{
	return (((const struct hook_attempt *)(const void *)a)->hook);
}

static struct target_attempt *
start(void *self, const char *name, const struct target_call *call)
{
	struct hooks *h = self;
	struct hook_attempt *a = calloc(1, sizeof(*a));
	char path[PATH_SIZE];
	const struct hook_call told = {
		.path = path,
		.name = name,
		.target = call,
		.conf = h->conf_file,
		.home = home(h),
		.signals = &h->signals,
		.running = h->running,
	};

	if (a == NULL)
		return (NULL);
	a->base.kind = &hooks_kind;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", h->conf->hooks, name) >= sizeof(path))
		errno = ENAMETOOLONG;
	else if ((a->hook = hook_start(&told, h->conf->hook_timeout)) != NULL)
		return (&a->base);
	free(a);
	return (NULL);
}

static int
poll_hook(const struct target_attempt *a, struct pollfd *fd)
{
	return (hook_poll(hook_of(a), fd));
}

static bool
step(struct target_attempt *a, const struct pollfd *fd)
{
	hook_step(((struct hook_attempt *)(void *)a)->hook, fd);
	return (false);
}

static pid_t
process(const struct target_attempt *a)
{
	return (hook_process(hook_of(a)));
}

static void
ended(struct target_attempt *a, int status)
{
	hook_ended(((struct hook_attempt *)(void *)a)->hook, status);
}

static enum target_outcome
outcome(const struct target_attempt *a, char *why, size_t size)
{
	return (hook_outcome(hook_of(a), why, size));
}

static bool
did_not_run(const struct target_attempt *a)
{
	return (hook_did_not_run(hook_of(a)));
}

static void
free_attempt(struct target_attempt *a)
{
	hook_free(((struct hook_attempt *)(void *)a)->hook);
	free(a);
}

static void *
open_hooks(int queue)
{
	return (hooks_new(queue));
}

static void
close_hooks(void *self)
{
	hooks_free(self);
}

static void
configure(void *self, const struct conf *conf, const char *conf_file)
{
	hooks_configure(self, conf, conf_file);
}

static void
log_seen(const void *self, bool seen)
{
	const struct hooks *h = self;

	if (seen)
		log_line(LOG_LEVEL_INFO, "hooks directory is available again", "hooks",
		    h->conf->hooks, NULL);
	else
		log_errno(LOG_LEVEL_ERROR, "hooks directory is unavailable: deliveries wait for it",
		    "hooks", h->conf->hooks, NULL);
}

const struct target_kind hooks_kind = {
	.prefix = "",
	.open = open_hooks,
	.close = close_hooks,
	.configure = configure,
	.log_seen = log_seen,
	.match = match,
	.start = start,
	.poll = poll_hook,
	.step = step,
	.process = process,
	.ended = ended,
	.outcome = outcome,
	.did_not_run = did_not_run,
	.free = free_attempt,
};
