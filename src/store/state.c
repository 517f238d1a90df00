#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/durable.h"

enum { MIN_FREE_INODES = 16 };

/* The state directory itself may be a symbolic link: its name comes from the configuration. */
static int
open_top(const char *path)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int fd = open(path, flags);

	if (fd != -1 || errno != ENOENT)
		return (fd);
	if (mkdir(path, 0700) && errno != EEXIST)
		return (-1);
	return (open(path, flags));
}

struct state *
state_open(const char *path)
{
	struct state *s = calloc(1, sizeof(*s));
	struct stat st;
	int saved;

	if (s == NULL)
		return (NULL);
	s->dir = s->installations = s->shops = s->companies = s->journal = s->queue = -1;
	s->pending = s->unconfirmed = s->lock_fd = -1;
	pthread_mutex_init(&s->mutex, NULL);
	if ((s->path = strdup(path)) == NULL ||
	    (s->dir = open_top(path)) == -1 || fstat(s->dir, &st) ||
	    (s->installations = durable_folder(s->dir, "installations")) == -1 ||
	    (s->shops = durable_folder(s->dir, "shops")) == -1 ||
	    (s->companies = durable_folder(s->dir, "companies")) == -1 ||
	    (s->journal = durable_folder(s->dir, "journal")) == -1 ||
	    (s->queue = durable_folder(s->dir, "queue")) == -1 ||
	    (s->pending = durable_folder(s->queue, "pending")) == -1 ||
	    (s->unconfirmed = durable_folder(s->queue, "unconfirmed")) == -1 ||
	    (s->lock_fd = openat(s->installations, ".lock",
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600)) == -1) {
		saved = errno;
		state_close(s);
		errno = saved;
		return (NULL);
	}
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return (s);
}

void
state_close(struct state *s)
{
	const int *fds;

	if (s == NULL)
		return;
	fds = (const int[]){ s->dir, s->installations, s->shops, s->companies, s->journal, s->queue,
	    s->pending, s->unconfirmed, s->lock_fd };
	for (size_t i = 0; i < 9; i++)
		if (fds[i] != -1)
			close(fds[i]);
	pthread_mutex_destroy(&s->mutex);
	free(s->path);
	free(s);
}

bool
state_in_place(const struct state *s)
{
	struct stat named;

	return (stat(s->path, &named) == 0 && named.st_ino == s->ino && named.st_dev == s->dev);
}

int
state_lock(struct state *s)
{
	pthread_mutex_lock(&s->mutex);
	while (flock(s->lock_fd, LOCK_EX))
		if (errno != EINTR) {
			pthread_mutex_unlock(&s->mutex);
			return (-1);
		}
	return (0);
}

void
state_unlock(struct state *s)
{
	flock(s->lock_fd, LOCK_UN);
	pthread_mutex_unlock(&s->mutex);
}

int
state_has_room(const struct state *s, uint64_t min_free)
{
	struct statvfs fs;

	if (fstatvfs(s->journal, &fs))
		return (-1);
	if ((uint64_t)fs.f_bavail * fs.f_frsize < min_free ||
	    (fs.f_files && fs.f_favail < MIN_FREE_INODES)) {
		errno = ENOSPC;
		return (-1);
	}
	return (0);
}

/* Whether files can be made in this open folder, which has not been removed meanwhile. */
static int
folder_ready(int dir)
{
	struct stat st;

	if (fstat(dir, &st))
		return (-1);
	if (st.st_nlink == 0) {
		errno = ESTALE;
		return (-1);
	}
	return (faccessat(dir, ".", W_OK | X_OK, AT_EACCESS));
}

int
state_ready(const struct state *s, uint64_t min_free)
{
	const int folders[] = { s->installations, s->shops, s->companies, s->journal };

	if (state_has_room(s, min_free))
		return (-1);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
		if (folder_ready(folders[i]))
			return (-1);
	return (0);
}
