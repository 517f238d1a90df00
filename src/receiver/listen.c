#include "receiver/listen.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"

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

/* The path in full: the working directory can change, and error messages should say where it is. */
static char *
absolute_path(const char *path)
{
	struct buf full = { 0 };
	char *directory = *path == '/' ? NULL : getcwd(NULL, 0);

	if (*path != '/' && directory == NULL)
		return (NULL);
	if (directory)
		buf_addf(&full, "%s%s", directory, strcmp(directory, "/") == 0 ? "" : "/");
	buf_adds(&full, path);
	free(directory);
	if (full.failed) {
		buf_free(&full);
		errno = ENOMEM;
	}
	return (full.data);
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

/* Make the socket file, which nobody can connect to yet. Returns -1 with the error said. */
static int
bind_unix(const struct listen *l, const struct sockaddr_un *addr, struct buf *error)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), result;
	mode_t mask;

	if (fd == -1)
		return (say(error, l, strerror(errno)));
	mask = umask(0177);
	result = bind(fd, (const struct sockaddr *)addr, sizeof(*addr));
	umask(mask);
	if (result) {
		say(error, l, strerror(errno));
		close(fd);
		return (-1);
	}
	return (fd);
}

static int
open_unix(const struct listen *l, struct listening *out, struct buf *error)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct stat st;

	if (*unix_path(l) == '@')
		return (say(error, l,
		    "an abstract socket has no permissions: give a path "
		    "(a file of this name is ./@...)"));
	if ((out->path = absolute_path(unix_path(l))) == NULL)
		return (say(error, l, strerror(errno)));
	if (*unix_path(l) == '\0' || strlen(out->path) >= sizeof(addr.sun_path)) {
		buf_addf(error, "%s: the absolute path of a unix socket has 1 to %zu bytes\n",
		    l->address, sizeof(addr.sun_path) - 1);
		goto err0;
	}
	memcpy(addr.sun_path, out->path, strlen(out->path));
	if (clear_stale(l, &addr, error))
		goto err0;
	if ((out->fd = bind_unix(l, &addr, error)) == -1)
		goto err0;
	if (share(l, out->path, error))
		goto err1;
	if (listen(out->fd, BACKLOG) || lstat(out->path, &st)) {
		say(error, l, strerror(errno));
		goto err1;
	}
	out->dev = st.st_dev;
	out->ino = st.st_ino;
	return (0);

err1:
	unlink(out->path);
	close(out->fd);
err0:
	free(out->path);
	out->path = NULL;
	return (-1);
}

static int
bind_inet(const struct addrinfo *ai)
{
	const int on = 1;
	int fd = socket(ai->ai_family, ai->ai_socktype | SOCK_CLOEXEC, ai->ai_protocol);

	if (fd == -1)
		return (-1);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
	    bind(fd, ai->ai_addr, ai->ai_addrlen) || listen(fd, BACKLOG)) {
		file_close(fd);
		return (-1);
	}
	return (fd);
}

/* getaddrinfo() takes the rest of 99999 by 65536. */
static bool
is_port(const char *text)
{
	size_t len = strlen(text);

	return (len >= 1 && len <= 5 && text[strspn(text, "0123456789")] == '\0' &&
	    atoi(text) >= 1 && atoi(text) <= 65535);
}

static bool
is_several(const struct addrinfo *found)
{
	for (const struct addrinfo *ai = found->ai_next; ai; ai = ai->ai_next)
		if (ai->ai_addrlen != found->ai_addrlen ||
		    memcmp(ai->ai_addr, found->ai_addr, ai->ai_addrlen) != 0)
			return (true);
	return (false);
}

/* Split HOST:PORT. Returns 0, or -1 with the error said. */
static int
split_address(const struct listen *l, char *name, size_t size, const char **port, struct buf *error)
{
	const char *host = l->address, *colon = strrchr(host, ':');
	size_t len;

	if (colon == NULL || colon == host)
		return (say(error, l, "neither unix:PATH nor HOST:PORT"));
	if (!is_port(colon + 1))
		return (say(error, l, "the port is a number from 1 to 65535"));
	len = (size_t)(colon - host);
	if (*host == '[' && colon[-1] == ']') {
		host++;
		len -= 2;
	} else if (memchr(host, ':', len)) {
		return (say(error, l, "an IPv6 address goes in brackets: [::1]:9000"));
	}
	if (len == 1 && *host == '*')
		return (say(error, l,
		    "whoever can connect is trusted: name one address, such as "
		    "127.0.0.1"));
	if (len >= size)
		return (say(error, l, "the host's name is too long"));
	memcpy(name, host, len);
	name[len] = '\0';
	*port = colon + 1;
	return (0);
}

static int
open_inet(const struct listen *l, struct listening *out, struct buf *error)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	const char *port;
	char name[256];
	int result;

	if (split_address(l, name, sizeof(name), &port, error))
		return (-1);
	if ((result = getaddrinfo(name, port, &hints, &found)) != 0)
		return (say(error, l, gai_strerror(result)));
	if (is_several(found))
		result = say(error, l,
		    "this name has several addresses: give one of them, such as "
		    "127.0.0.1, and the same one to the web server");
	else if ((out->fd = bind_inet(found)) == -1)
		result = say(error, l, strerror(errno));
	freeaddrinfo(found);
	return (result);
}

int
listen_open(const struct listen *l, struct listening *out, struct buf *error)
{
	*out = (struct listening){ .fd = -1 };
	return (unix_path(l) ? open_unix(l, out, error) : open_inet(l, out, error));
}

bool
listen_is_lost(const struct listening *s)
{
	struct stat st;

	return (s->path && lstat(s->path, &st) && errno == ENOENT);
}

void
listen_close(struct listening *s, bool remove)
{
	struct stat st;

	if (remove && s->path && lstat(s->path, &st) == 0 && st.st_dev == s->dev &&
	    st.st_ino == s->ino)
		unlink(s->path);
	/* Not before: as long as it is open, no other file gets its number. */
	close(s->fd);
	free(s->path);
	*s = (struct listening){ .fd = -1 };
}

bool
listen_is_listening(int fd)
{
	int on = 0;
	socklen_t len = sizeof(on);

	return (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on);
}
