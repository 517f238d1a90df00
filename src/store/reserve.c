#include "store/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "store/durable.h"

int
reserve_make(struct reserve *r, int dir, const char *name, size_t size)
{
	int error;

	*r = (struct reserve){ .dir = dir, .fd = -1 };
	if (snprintf(r->name, sizeof(r->name), "%s", name) >= (int)sizeof(r->name)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	if (unlinkat(dir, name, 0) && errno != ENOENT)
		return (-1);
	if ((r->fd = openat(dir, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600)) ==
	    -1)
		return (-1);
	while ((error = posix_fallocate(r->fd, 0, (off_t)size)) == EINTR)
		;
	if (error == 0)
		return (0);
	reserve_drop(r);
	errno = error;
	return (-1);
}

int
reserve_use(struct reserve *r, int to, const char *name, const void *data, size_t len)
{
	if (r->fd == -1) {
		errno = EBADF;
		return (-1);
	}
	if (lseek(r->fd, 0, SEEK_SET) == -1 || file_write_all(r->fd, data, len) ||
	    ftruncate(r->fd, (off_t)len) || fsync(r->fd) || renameat(r->dir, r->name, to, name))
		return (-1);
	close(r->fd);
	r->fd = -1;
	return (fsync(to));
}

int
reserve_fill(struct reserve *r, const void *data, size_t len)
{
	if (r->fd == -1) {
		errno = EBADF;
		return (-1);
	}
	if (lseek(r->fd, 0, SEEK_SET) == -1 || file_write_all(r->fd, data, len) || fsync(r->fd))
		return (-1);
	return (sync_directory(r->dir));
}

void
reserve_leave(struct reserve *r)
{
	if (r->fd != -1)
		close(r->fd);
	r->fd = -1;
}

void
reserve_drop(struct reserve *r)
{
	if (r->fd == -1)
		return;
	close(r->fd);
	unlinkat(r->dir, r->name, 0);
	r->fd = -1;
}
