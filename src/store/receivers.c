#include "store/receivers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/dir.h"
#include "base/file.h"
#include "store/durable.h"
#include "store/layout.h"
#include "store/lock.h"

/* Where the socket listens, as text. Returns 0, or -1 with errno set. */
static int
address_of(int listener, char out[RECEIVERS_ADDRESS_SIZE])
{
	union {
		struct sockaddr any;
		struct sockaddr_un un;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} a = { .un = { .sun_family = AF_UNSPEC } };
	socklen_t len = sizeof(a);
	char host[INET6_ADDRSTRLEN] = "";
	size_t path;

	if (getsockname(listener, &a.any, &len))
		return (-1);
	switch (a.any.sa_family) {
	case AF_UNIX:
		path = len > offsetof(struct sockaddr_un, sun_path) ?
		    len - offsetof(struct sockaddr_un, sun_path) :
		    0;
		if (path && a.un.sun_path[0] == '\0')
			snprintf(out, RECEIVERS_ADDRESS_SIZE, "unix:@%.*s", (int)path - 1,
			    a.un.sun_path + 1);
		else
			snprintf(out, RECEIVERS_ADDRESS_SIZE, "unix:%.*s", (int)path,
			    a.un.sun_path);
		return (0);
	case AF_INET:
		inet_ntop(AF_INET, &a.in.sin_addr, host, sizeof(host));
		snprintf(out, RECEIVERS_ADDRESS_SIZE, "%s:%u", host, ntohs(a.in.sin_port));
		return (0);
	case AF_INET6:
		inet_ntop(AF_INET6, &a.in6.sin6_addr, host, sizeof(host));
		snprintf(out, RECEIVERS_ADDRESS_SIZE, "[%s]:%u", host, ntohs(a.in6.sin6_port));
		return (0);
	default:
		errno = EAFNOSUPPORT;
		return (-1);
	}
}

/* Read a note. Returns its open descriptor, or -1 with errno set. */
static int
note_read(int dir, const char *name, char address[RECEIVERS_ADDRESS_SIZE])
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return (-1);
	n = read(fd, address, RECEIVERS_ADDRESS_SIZE - 1);
	address[n > 0 ? n : 0] = '\0';
	address[strcspn(address, "\n")] = '\0';
	return (fd);
}

/* Call each() for the notes in the open directory, with the note's descriptor. */
static int
each_note(int dir,
    void (*each)(void *user, int dir, const char *name, const char *address, bool alive),
    void *user)
{
	char address[RECEIVERS_ADDRESS_SIZE];
	const char *name;
	struct dir d;
	bool alive;
	int fd, more;

	if (dir_open(&d, dir, "."))
		return (-1);
	while ((more = dir_next(&d, &name)) == 1) {
		if (name[0] == '.' || (fd = note_read(dir, name, address)) == -1)
			continue;
		alive = lock_try(fd) != 0;
		each(user, dir, name, address, alive);
		close(fd);
	}
	dir_close(&d);
	return (more);
}

static void
remove_stale(void *user, int dir, const char *name, const char *address, bool alive)
{
	if (!alive && strcmp(address, user) == 0)
		unlinkat(dir, name, 0);
}

/* Make the note under a name that readers skip, and rename it once it is locked and written. */
static int
make_note(struct receiver_note *n, const char *address)
{
	char hidden[RECEIVERS_NAME_SIZE + 1];

	snprintf(hidden, sizeof(hidden), ".%s", n->name);
	n->fd = openat(n->dir, hidden, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (n->fd == -1)
		return (-1);
	if (lock_try(n->fd) == 0 && file_write_all(n->fd, address, strlen(address)) == 0 &&
	    file_write_all(n->fd, "\n", 1) == 0 && renameat(n->dir, hidden, n->dir, n->name) == 0)
		return (0);
	unlinkat(n->dir, hidden, 0);
	close(n->fd);
	n->fd = -1;
	return (-1);
}

int
receivers_enter(struct receiver_note *n, int top, int listener)
{
	/* A process that reloads has two for a moment. */
	static atomic_uint number;
	char address[RECEIVERS_ADDRESS_SIZE];

	*n = (struct receiver_note){ .dir = -1, .fd = -1 };
	if (address_of(listener, address) || (n->dir = layout_open(top, LAYOUT_RECEIVERS)) == -1)
		return (-1);
	snprintf(n->name, sizeof(n->name), "%d.%u", (int)getpid(), atomic_fetch_add(&number, 1));
	if (each_note(n->dir, remove_stale, address) == 0 && make_note(n, address) == 0)
		return (0);
	file_close(n->dir);
	n->dir = -1;
	return (-1);
}

void
receivers_leave(struct receiver_note *n)
{
	if (n->fd == -1)
		return;
	unlinkat(n->dir, n->name, 0);
	close(n->fd);
	close(n->dir);
	n->fd = n->dir = -1;
}

struct telling {
	void (*each)(void *user, const char *name, const char *address, bool alive);
	void *user;
};

static void
tell(void *user, int dir, const char *name, const char *address, bool alive)
{
	struct telling *t = user;

	(void)dir;
	t->each(t->user, name, address, alive);
}

int
receivers_each(int top, void (*each)(void *user, const char *name, const char *address, bool alive),
    void *user)
{
	struct telling t = { each, user };
	int dir = layout_open(top, LAYOUT_RECEIVERS), result;

	if (dir == -1)
		return (-1);
	result = each_note(dir, tell, &t);
	file_close(dir);
	return (result);
}
