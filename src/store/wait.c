#include "store/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static _Thread_local bool forbidden, needed;

/* The kernel (before 5.12), or a filter of system calls, does not open a file without waiting. */
static atomic_bool cannot_open;

void
wait_permit(bool permitted)
{
	forbidden = !permitted;
	needed = false;
}

bool
wait_was_needed(void)
{
	return (needed);
}

void
wait_note_needed(void)
{
	needed = true;
}

static int
would_wait(void)
{
	wait_note_needed();
	errno = EAGAIN;
	return (-1);
}

int
wait_open(int dir, const char *name, int flags)
{
	struct open_how how = { .flags = (unsigned long long)flags, .resolve = RESOLVE_CACHED };
	long fd;

	if (!forbidden)
		return (openat(dir, name, flags));
	if (atomic_load(&cannot_open))
		return (would_wait());
	if ((fd = syscall(SYS_openat2, dir, name, &how, sizeof(how))) != -1)
		return ((int)fd);
	if (errno == ENOSYS || errno == EINVAL || errno == EPERM)
		atomic_store(&cannot_open, true);
	else if (errno != EAGAIN)
		return (-1);
	return (would_wait());
}

ssize_t
wait_read(int fd, void *data, size_t len, off_t at)
{
	struct iovec part = { data, len };
	ssize_t n;

	if (!forbidden)
		return (pread(fd, data, len, at));
	n = preadv2(fd, &part, 1, at, RWF_NOWAIT);
	/* Not every file system can tell. */
	if (n == -1 && (errno == EAGAIN || errno == EOPNOTSUPP || errno == ENOSYS))
		return (would_wait());
	return (n);
}
