#include "worker/hooks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/durable.h"
#include "worker/backoff.h"

/* How long a home directory counts: not every user database is a file. */
enum { HOME_MS = 60000 };

struct hooks {
	char *path; /* of the directory that was read; NULL: none */
	struct stat seen;
	char **names; /* of hooks, sorted */
	size_t n;
	bool has_links; /* what these point to can change without a trace here */
	struct stat users;
	int64_t home_until; /* backoff_now() */
	char *home;
};

struct hooks *
hooks_new(void)
{
	return (calloc(1, sizeof(struct hooks)));
}

/* The next call reads the directory. */
static void
forget(struct hooks *h)
{
	for (size_t i = 0; i < h->n; i++)
		free(h->names[i]);
	free(h->names);
	free(h->path);
	h->names = NULL;
	h->path = NULL;
	h->n = 0;
	h->has_links = false;
}

void
hooks_free(struct hooks *h)
{
	if (h == NULL)
		return;
	forget(h);
	free(h->home);
	free(h);
}

/* Whether a name in the directory is a hook: 1, 0, or -1 with errno set. */
static int
is_hook(struct hooks *h, int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return (errno == ENOENT ? 0 : -1);
	if (S_ISLNK(st.st_mode)) {
		h->has_links = true;
		/* A link to nothing is a hook that cannot be executed. */
		if (fstatat(dir, name, &st, 0))
			return (1);
	}
	return (!S_ISDIR(st.st_mode));
}

static int
by_name(const void *a, const void *b)
{
	return (strcmp(*(char *const *)a, *(char *const *)b));
}

/* Returns 0, or -1 with errno set. */
static int
add(struct hooks *h, const char *name)
{
	void *more = reallocarray(h->names, h->n + 1, sizeof(*h->names));

	if (more == NULL)
		return (-1);
	h->names = more;
	if ((h->names[h->n] = strdup(name)) == NULL)
		return (-1);
	h->n++;
	return (0);
}

static int
read_names(struct hooks *h, DIR *directory)
{
	struct dirent *entry;
	int hook;

	while ((errno = 0, entry = readdir(directory)) != NULL) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if ((hook = is_hook(h, dirfd(directory), entry->d_name)) == -1 ||
		    (hook && add(h, entry->d_name)))
			return (-1);
	}
	if (errno)
		return (-1);
	if (h->n)
		qsort(h->names, h->n, sizeof(*h->names), by_name);
	return (0);
}

static int
read_directory(struct hooks *h, const char *path)
{
	DIR *directory = opendir(path);
	int result = -1, saved;

	forget(h);
	if (directory == NULL)
		return (-1);
	if (fstat(dirfd(directory), &h->seen) == 0 && read_names(h, directory) == 0 &&
	    (h->path = strdup(path)) != NULL)
		result = 0;
	saved = errno;
	closedir(directory);
	if (result)
		forget(h);
	errno = saved;
	return (result);
}

/* Know what the directory has now. Returns 0, or -1 with errno set. */
static int
look(struct hooks *h, const char *path)
{
	struct stat st;

	if (h->path && !h->has_links && strcmp(h->path, path) == 0 && stat(path, &st) == 0 &&
	    stat_same(&st, &h->seen) && stat_settled(&st))
		return (0);
	return (read_directory(h, path));
}

static bool
has(const struct hooks *h, const char *name)
{
	return (h->n && bsearch(&name, h->names, h->n, sizeof(*h->names), by_name) != NULL);
}

int
hooks_find(struct hooks *h, const char *path, bool optional, const char *event, char *out,
    size_t size)
{
	const char *dot = strchr(event, '.');
	const char *const names[] = { event, event, "any" };
	const int lengths[] = { (int)strlen(event), dot ? (int)(dot - event) : 0, 3 };
	int start;

	if (look(h, path))
		return (errno == ENOENT && optional ? 0 : -1);
	for (size_t i = 0; i < 3; i++) {
		/* Alerts go only to hooks that are named after them (contract section 6). */
		if (lengths[i] == 0 || (i == 2 && strncmp(event, "fluidhook.", 10) == 0))
			continue;
		start = snprintf(out, size, "%s/", path);
		if (start < 0 || (size_t)start + (size_t)lengths[i] >= size) {
			errno = ENAMETOOLONG;
			return (-1);
		}
		snprintf(out + start, size - (size_t)start, "%.*s", lengths[i], names[i]);
		if (has(h, out + start))
			return (1);
	}
	return (0);
}

const char *
hooks_home(struct hooks *h)
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
