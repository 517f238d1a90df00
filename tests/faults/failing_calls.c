/*
 * A library to be preloaded where strace may not trace: counts the calls of libc that touch files and
 * connections, and lets one of them fail, or kills the program there. Names are those of the system calls.
 *
 * FAILING_CALLS_TRACE: a file to which each call is appended, as "openat(path)" or "fsync()".
 * FAILING_CALLS: "CALL NUMBER FAULT", such as "fsync 2 EIO" or "write 1 killed". Only the main thread's
 * calls count, as with strace without -f.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { CALLS_MAX = 64 };

static const struct {
	const char *name;
	int number;
} errors[] = { { "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EMFILE", EMFILE }, { "EACCES", EACCES },
	{ "EAGAIN", EAGAIN }, { "ENOMEM", ENOMEM }, { "ECONNREFUSED", ECONNREFUSED } };

static struct {
	const char *name;
	unsigned n;
} counts[CALLS_MAX];

static int trace = -1;
static char wanted[32], fault[32];
static unsigned wanted_number;

static void
say(const char *call, const char *what, const char *end)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "%s(%.300s)%s\n", call, what ? what : "", end);

	if (trace != -1 && n > 0)
		syscall(SYS_write, trace, line, (size_t)n);
}

__attribute__((constructor)) static void
begin(void)
{
	const char *path = getenv("FAILING_CALLS_TRACE"), *point = getenv("FAILING_CALLS");

	if (path)
		trace = (int)syscall(SYS_openat, AT_FDCWD, path,
		    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (point && sscanf(point, "%31s %u %31s", wanted, &wanted_number, fault) != 3)
		wanted[0] = '\0';
	/* Programs that this one starts are none of the table's. */
	unsetenv("LD_PRELOAD");
}

/* Count a call. Returns whether it has to fail, with errno set. Does not return where it has to kill. */
static bool
fails(const char *call, const char *what)
{
	size_t i;

	if (gettid() != getpid())
		return (false);
	for (i = 0; i < CALLS_MAX - 1 && counts[i].name && strcmp(counts[i].name, call) != 0; i++)
		;
	counts[i].name = call;
	counts[i].n++;
	if (strcmp(call, wanted) != 0 || counts[i].n != wanted_number) {
		say(call, what, "");
		return (false);
	}
	if (strcmp(fault, "killed") == 0) {
		say(call, what, " killed by SIGKILL");
		kill(getpid(), SIGKILL);
	}
	say(call, what, " (INJECTED)");
	errno = EIO;
	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(errors[i].name, fault) == 0)
			errno = errors[i].number;
	return (true);
}

#define NEXT(type, name, ...) \
	static type (*next)(__VA_ARGS__); \
	if (next == NULL) \
	*(void **)&next = dlsym(RTLD_NEXT, name)

/* A function of libc, in front of which the system call is counted. */
#define WRAP(type, function, call, what, parameters, arguments) \
	type function parameters \
	{ \
		static type(*next) parameters; \
		if (next == NULL) \
			*(void **)&next = dlsym(RTLD_NEXT, #function); \
		if (fails(call, what)) \
			return (-1); \
		return (next arguments); \
	}

WRAP(ssize_t, read, "read", NULL, (int fd, void *p, size_t n), (fd, p, n))
WRAP(ssize_t, __read_chk, "read", NULL, (int fd, void *p, size_t n, size_t most), (fd, p, n, most))
WRAP(ssize_t, pread, "pread64", NULL, (int fd, void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(ssize_t, __pread_chk, "pread64", NULL, (int fd, void *p, size_t n, off_t at, size_t most),
    (fd, p, n, at, most))
WRAP(ssize_t, write, "write", NULL, (int fd, const void *p, size_t n), (fd, p, n))
WRAP(ssize_t, writev, "writev", NULL, (int fd, const struct iovec *p, int n), (fd, p, n))
WRAP(ssize_t, pwrite, "pwrite64", NULL, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(int, fsync, "fsync", NULL, (int fd), (fd))
WRAP(int, fdatasync, "fdatasync", NULL, (int fd), (fd))
WRAP(int, ftruncate, "ftruncate", NULL, (int fd, off_t n), (fd, n))
WRAP(int, fallocate, "fallocate", NULL, (int fd, int mode, off_t at, off_t n), (fd, mode, at, n))
WRAP(int, rename, "rename", to, (const char *from, const char *to), (from, to))
WRAP(int, renameat, "renameat", to, (int a, const char *from, int b, const char *to),
    (a, from, b, to))
WRAP(int, symlinkat, "symlinkat", to, (const char *from, int dir, const char *to), (from, dir, to))
WRAP(ssize_t, readlinkat, "readlinkat", path, (int dir, const char *path, char *p, size_t n),
    (dir, path, p, n))
WRAP(int, unlink, "unlink", path, (const char *path), (path))
WRAP(int, unlinkat, "unlinkat", path, (int dir, const char *path, int flags), (dir, path, flags))
WRAP(int, mkdir, "mkdir", path, (const char *path, mode_t mode), (path, mode))
WRAP(int, mkdirat, "mkdirat", path, (int dir, const char *path, mode_t mode), (dir, path, mode))
WRAP(int, flock, "flock", NULL, (int fd, int how), (fd, how))
WRAP(int, fstat, "fstat", NULL, (int fd, struct stat *st), (fd, st))
WRAP(int, stat, "newfstatat", path, (const char *path, struct stat *st), (path, st))
WRAP(int, fstatat, "newfstatat", path, (int dir, const char *path, struct stat *st, int flags),
    (dir, path, st, flags))
WRAP(int, fstatvfs, "fstatfs", NULL, (int fd, struct statvfs *st), (fd, st))
WRAP(int, statvfs, "statfs", path, (const char *path, struct statvfs *st), (path, st))
WRAP(int, socket, "socket", NULL, (int family, int type, int protocol), (family, type, protocol))
WRAP(int, connect, "connect", NULL, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n))
WRAP(ssize_t, send, "sendto", NULL, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(ssize_t, recv, "recvfrom", NULL, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
WRAP(ssize_t, __recv_chk, "recvfrom", NULL, (int fd, void *p, size_t n, size_t most, int flags),
    (fd, p, n, most, flags))
WRAP(int, poll, "poll", NULL, (struct pollfd * p, nfds_t n, int ms), (p, n, ms))
WRAP(int, __poll_chk, "poll", NULL, (struct pollfd * p, nfds_t n, int ms, size_t most),
    (p, n, ms, most))
WRAP(int, pipe2, "pipe2", NULL, (int fds[2], int flags), (fds, flags))
WRAP(int, memfd_create, "memfd_create", NULL, (const char *name, unsigned flags), (name, flags))

int
open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;
	NEXT(int, "open", const char *, int, ...);

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return (fails("openat", path) ? -1 : next(path, flags, mode));
}

int
openat(int dir, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;
	NEXT(int, "openat", int, const char *, int, ...);

	va_start(ap, flags);
	mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return (fails("openat", path) ? -1 : next(dir, path, flags, mode));
}

FILE *
fopen(const char *path, const char *mode)
{
	NEXT(FILE *, "fopen", const char *, const char *);

	return (fails("openat", path) ? NULL : next(path, mode));
}

struct dirent *
readdir(DIR *d)
{
	NEXT(struct dirent *, "readdir", DIR *);

	return (fails("getdents64", NULL) ? NULL : next(d));
}

pid_t
fork(void)
{
	NEXT(pid_t, "fork", void);

	return (fails("clone", NULL) ? -1 : next());
}
