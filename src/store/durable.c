#include "store/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "store/fstype.h"

/* ext4 counts in hundredths of a second or finer, others in whole seconds, FAT in two. */
enum { SETTLED_SECONDS = 2 };

int
write_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	while (len) {
		if ((n = write(fd, p, len)) == -1) {
			if (errno == EINTR)
				continue;
			return (-1);
		}
		p += n;
		len -= (size_t)n;
	}
	return (0);
}

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
		close(fd);
		return (-1);
	}
	return (fd);
}

int
durable_replace(int dir, const char *name, const void *data, size_t len, mode_t mode)
{
	char tmp[256];
	int fd, saved;

	if (snprintf(tmp, sizeof(tmp), ".%s.new", name) >= (int)sizeof(tmp)) {
		errno = ENAMETOOLONG;
		goto err0;
	}
	if (unlinkat(dir, tmp, 0) && errno != ENOENT)
		goto err0;
	if ((fd = openat(dir, tmp, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode)) ==
	    -1)
		goto err0;
	if (write_all(fd, data, len) || fsync(fd))
		goto err2;
	if (close(fd))
		goto err1;
	if (renameat(dir, tmp, dir, name))
		goto err1;
	return (sync_directory(dir));

err2:
	saved = errno;
	close(fd);
	errno = saved;
err1:
	saved = errno;
	unlinkat(dir, tmp, 0);
	errno = saved;
err0:
	return (-1);
}

/* Read the open file to its end and close it, whatever comes of it. */
static int
read_and_close(int fd, size_t most, struct buf *out)
{
	struct stat st;
	ssize_t n;
	size_t total = 0;
	int saved;

	if (fstat(fd, &st))
		goto err;
	if (!S_ISREG(st.st_mode)) {
		errno = EINVAL;
		goto err;
	}
	for (;;) {
		if (total > most) {
			errno = EFBIG;
			goto err;
		}
		if (buf_reserve(out,
			(size_t)st.st_size > total ? (size_t)st.st_size - total + 1 : 4096))
			goto err;
		if ((n = read(fd, out->data + out->len, out->cap - out->len - 1)) == -1) {
			if (errno == EINTR)
				continue;
			goto err;
		}
		if (n == 0)
			break;
		out->len += (size_t)n;
		total += (size_t)n;
		out->data[out->len] = '\0';
	}
	close(fd);
	return (0);

err:
	saved = errno;
	close(fd);
	errno = saved;
	return (-1);
}

int
read_whole(int dir, const char *name, size_t most, struct buf *out)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	return (fd == -1 ? -1 : read_and_close(fd, most, out));
}

int
read_whole_path(const char *path, size_t most, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	return (fd == -1 ? -1 : read_and_close(fd, most, out));
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
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (st->st_ctim.tv_sec < now.tv_sec - SETTLED_SECONDS);
}
