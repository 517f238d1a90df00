#include "receiver/listen.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A full backlog makes nginx answer 502 at once. */
enum { BACKLOG = 4096 };

static const char *
unix_path(const struct listen *l)
{
	return (strncmp(l->address, "unix:", 5) == 0 ? l->address + 5 : NULL);
}

static int
say(struct buf *error, const struct listen *l, const char *what)
{
	buf_addf(error, "%s: %s\n", l->address, what);
	return (-1);
}

/* Remove what a crash left behind. Returns 0 when the name is free, or -1 with the error said. */
static int
clear_stale(const struct listen *l, const struct sockaddr_un *addr, struct buf *error)
{
	struct stat st;
	int fd, result;

	if (lstat(addr->sun_path, &st))
		return (errno == ENOENT ? 0 : say(error, l, strerror(errno)));
	if (!S_ISSOCK(st.st_mode))
		return (say(error, l, "exists and is no socket"));
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) == -1)
		return (say(error, l, strerror(errno)));
	result = connect(fd, (const struct sockaddr *)addr, sizeof(*addr));
	if (result == -1 && errno == ECONNREFUSED)
		result = unlink(addr->sun_path) ? say(error, l, strerror(errno)) : 0;
	else if (result == -1 && errno != EAGAIN)
		result = say(error, l, strerror(errno));
	else
		result = say(error, l, "in use by another process");
	close(fd);
	return (result);
}

/* Give the socket's file its group and mode; until then nobody else can connect. */
static int
share(const struct listen *l, const char *path, struct buf *error)
{
	const struct group *group = NULL;

	if (l->group && (group = getgrnam(l->group)) == NULL) {
		buf_addf(error, "--socket-group: no group \"%s\"\n", l->group);
		return (-1);
	}
	if (group && lchown(path, (uid_t)-1, group->gr_gid)) {
		buf_addf(error, "%s: cannot give it to group %s: %s\n", l->address, l->group,
		    strerror(errno));
		return (-1);
	}
	if (chmod(path, l->mode))
		return (say(error, l, strerror(errno)));
	return (0);
}

static int
open_unix(const struct listen *l, struct buf *error)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	const char *path = unix_path(l);
	mode_t mask;
	int fd, result;

	if (*path == '\0' || strlen(path) >= sizeof(addr.sun_path)) {
		buf_addf(error, "%s: the path of a unix socket has 1 to %zu bytes\n", l->address,
		    sizeof(addr.sun_path) - 1);
		return (-1);
	}
	memcpy(addr.sun_path, path, strlen(path));
	if (clear_stale(l, &addr, error))
		return (-1);
	if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) == -1)
		return (say(error, l, strerror(errno)));
	mask = umask(0177);
	result = bind(fd, (const struct sockaddr *)&addr, sizeof(addr));
	umask(mask);
	if (result) {
		say(error, l, strerror(errno));
		goto err0;
	}
	if (share(l, path, error))
		goto err1;
	if (listen(fd, BACKLOG)) {
		say(error, l, strerror(errno));
		goto err1;
	}
	return (fd);

err1:
	unlink(path);
err0:
	close(fd);
	return (-1);
}

static int
bind_inet(const struct addrinfo *ai)
{
	const int on = 1;
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol);
	int saved;

	if (fd == -1)
		return (-1);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, BACKLOG)) {
		saved = errno;
		close(fd);
		errno = saved;
		return (-1);
	}
	return (fd);
}

static int
open_inet(const struct listen *l, struct buf *error)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	const char *host = l->address, *colon = strrchr(host, ':');
	struct addrinfo *found;
	char name[256];
	size_t len;
	int fd = -1, result;

	if (colon == NULL || colon == host || colon[1] == '\0')
		return (say(error, l, "neither unix:PATH nor HOST:PORT"));
	len = (size_t)(colon - host);
	if (*host == '[' && colon[-1] == ']') {
		host++;
		len -= 2;
	} else if (memchr(host, ':', len)) {
		return (say(error, l, "an IPv6 address goes in brackets: [::1]:9000"));
	}
	snprintf(name, sizeof(name), "%.*s", (int)len, host);
	if ((result = getaddrinfo(name, colon + 1, &hints, &found)) != 0)
		return (say(error, l, gai_strerror(result)));
	for (const struct addrinfo *ai = found; ai && fd == -1; ai = ai->ai_next)
		fd = bind_inet(ai);
	if (fd == -1)
		say(error, l, strerror(errno));
	freeaddrinfo(found);
	return (fd);
}

int
listen_open(const struct listen *l, struct buf *error)
{
	return (unix_path(l) ? open_unix(l, error) : open_inet(l, error));
}

void
listen_remove(const struct listen *l)
{
	if (unix_path(l))
		unlink(unix_path(l));
}

int
listen_is_listening(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on);
}
