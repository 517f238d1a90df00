#include "store/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "store/fstype.h"

/* ext4 counts in hundredths of a second or finer, others in whole seconds, FAT in two. */
enum { SETTLED_SECONDS = 2 };

int
sync_directory(int dir)
{
	char type[FSTYPE_SIZE];
	int saved;

	if (fsync(dir) == 0)
		return (0);
	saved = errno;
	if (saved == EINVAL || saved == ENOSYS || saved == EOPNOTSUPP)
		log_errno(LOG_LEVEL_ERROR,
		    "this file system cannot sync a directory: nothing can be stored here", "call",
		    "fsync", "file_system", fstype_of(dir, type), NULL);
	errno = saved;
	return (-1);
}

int
make_directory(int parent, const char *name, bool *made)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(parent, name, flags);

	*made = false;
	if (fd != -1 || errno != ENOENT)
		return (fd);
	if (mkdirat(parent, name, 0700) && errno != EEXIST)
		return (-1);
	*made = true;
	return (openat(parent, name, flags));
}

int
durable_directory(int parent, const char *name)
{
	bool made;
	int fd = make_directory(parent, name, &made);

	if (fd != -1 && made && (sync_directory(fd) || sync_directory(parent))) {
		file_close(fd);
		return (-1);
	}
	return (fd);
}

int
durable_create(int dir, const char *name, mode_t mode)
{
	if (unlinkat(dir, name, 0) && errno != ENOENT)
		return (-1);
	return (openat(dir, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode));
}

int
durable_replace(int dir, const char *name, const void *data, size_t len, mode_t mode)
{
	char tmp[256];
	int fd;

	if (snprintf(tmp, sizeof(tmp), ".%s.new", name) >= (int)sizeof(tmp)) {
		errno = ENAMETOOLONG;
		goto err0;
	}
	if ((fd = durable_create(dir, tmp, mode)) == -1)
		goto err0;
	if (file_write_all(fd, data, len) || fsync(fd))
		goto err2;
	if (close(fd))
		goto err1;
	if (renameat(dir, tmp, dir, name))
		goto err1;
	return (sync_directory(dir));

err2:
	file_close(fd);
err1:
	file_unlink(dir, tmp);
err0:
	return (-1);
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return (a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec);
}

bool
stat_same(const struct stat *a, const struct stat *b)
{
	return (a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_mode == b->st_mode &&
	    a->st_size == b->st_size && same_time(&a->st_mtim, &b->st_mtim) &&
	    same_time(&a->st_ctim, &b->st_ctim));
}

bool
stat_settled(const struct stat *st)
{
	return (st->st_ctim.tv_sec < clock_wall_s() - SETTLED_SECONDS);
}
