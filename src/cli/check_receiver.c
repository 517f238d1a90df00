#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/check.h"
#include "store/durable.h"
#include "store/layout.h"
#include "store/receivers.h"

/* Do the receivers that were started answer? Each is asked for its health as a web server would do it. */

enum { ASK_SECONDS = 5, ANSWER_SIZE = 4096 };

/* FastCGI records (specification, appendix A): header, content and no padding. */
enum { FCGI_BEGIN = 1, FCGI_PARAMS = 4, FCGI_STDIN = 5, FCGI_STDOUT = 6, FCGI_HEADER = 8 };

#define RECORD(type, length) 1, type, 0, 1, 0, length, 0, 0

/* GET, as the responder role, without a body. */
static const unsigned char request[] = {
	RECORD(FCGI_BEGIN, 8),
	0,
	1,
	0,
	0,
	0,
	0,
	0,
	0,
	RECORD(FCGI_PARAMS, 19),
	14,
	3,
	'R',
	'E',
	'Q',
	'U',
	'E',
	'S',
	'T',
	'_',
	'M',
	'E',
	'T',
	'H',
	'O',
	'D',
	'G',
	'E',
	'T',
	RECORD(FCGI_PARAMS, 0),
	RECORD(FCGI_STDIN, 0),
};

static int
connect_unix(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t len = strlen(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd == -1)
		return (-1);
	if (len >= sizeof(a.sun_path))
		len = sizeof(a.sun_path) - 1;
	memcpy(a.sun_path, path, len);
	if (*path == '@')
		a.sun_path[0] = '\0';
	if (connect(fd, (struct sockaddr *)&a,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == 0)
		return (fd);
	close(fd);
	return (-1);
}

/* "127.0.0.1:9000" or "[::1]:9000": numbers, as receivers_each() gives them. */
static int
connect_tcp(const char *address)
{
	const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(address, ':');
	struct addrinfo *found;
	char host[64];
	bool brackets = *address == '[';
	int fd, length = colon ? (int)(colon - address) - 2 * brackets : 0;

	if (colon == NULL || length <= 0) {
		errno = EINVAL;
		return (-1);
	}
	snprintf(host, sizeof(host), "%.*s", length, address + brackets);
	if (getaddrinfo(host, colon + 1, &hints, &found)) {
		errno = EINVAL;
		return (-1);
	}
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd != -1 && connect(fd, found->ai_addr, found->ai_addrlen)) {
		close(fd);
		fd = -1;
	}
	freeaddrinfo(found);
	return (fd);
}

/* Read the text of the answer's standard output until its end, or until there is no more room. */
static int
read_answer(int fd, char out[ANSWER_SIZE])
{
	unsigned char raw[ANSWER_SIZE];
	size_t len = 0, at = 0, text = 0, content;
	ssize_t n;

	while (len < sizeof(raw) && (n = read(fd, raw + len, sizeof(raw) - len)) != 0) {
		if (n == -1)
			return (-1);
		len += (size_t)n;
	}
	for (; at + FCGI_HEADER <= len; at += FCGI_HEADER + content + raw[at + 6]) {
		content = (size_t)raw[at + 4] << 8 | raw[at + 5];
		if (at + FCGI_HEADER + content > len)
			break;
		if (raw[at + 1] != FCGI_STDOUT)
			continue;
		memcpy(out + text, raw + at + FCGI_HEADER, content);
		text += content;
	}
	out[text < ANSWER_SIZE ? text : ANSWER_SIZE - 1] = '\0';
	return (0);
}

/* Ask for the health. Returns the HTTP status, or -1 with errno set. */
static int
ask(const char *address)
{
	const struct timeval timeout = { .tv_sec = ASK_SECONDS };
	char answer[ANSWER_SIZE] = "";
	int fd = strncmp(address, "unix:", 5) == 0 ? connect_unix(address + 5) :
						     connect_tcp(address);
	int result, status = -1;

	if (fd == -1)
		return (-1);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	result = file_write_all(fd, request, sizeof(request)) || read_answer(fd, answer) ? -1 : 0;
	file_close(fd);
	if (result)
		return (-1);
	if (strncmp(answer, "Status: ", 8) == 0)
		sscanf(answer + 8, "%d", &status);
	errno = EPROTO;
	return (status);
}

struct receivers {
	struct checklist *list;
	const char *state_dir;
	unsigned n;
};

static void
check_one(void *user, const char *name, const char *address, bool alive)
{
	struct receivers *r = user;
	char hint[512];
	int status;

	r->n++;
	if (!alive) {
		snprintf(hint, sizeof(hint),
		    "Start it again. If it is not wanted any more: rm %s/%s/%s", r->state_dir,
		    layout_path(LAYOUT_RECEIVERS), name);
		checklist_bad(r->list, "receiver", hint,
		    "%s: it was started and did not end in order", address);
		return;
	}
	status = ask(address);
	if (status == 200)
		checklist_good(r->list, "receiver", "%s: ready", address);
	else if (status == -1 && errno == EACCES)
		checklist_good(r->list, "receiver",
		    "%s: it runs; this user may not ask for its health", address);
	else if (status == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		checklist_bad(r->list, "receiver", "Look at its log; restart it.",
		    "%s: no answer within %d s", address, ASK_SECONDS);
	else if (status == -1)
		checklist_bad(r->list, "receiver", "Look at its log; restart it.", "%s: %s",
		    address, strerror(errno));
	else
		checklist_bad(r->list, "receiver",
		    "Its log says why. A change of the configuration needs a "
		    "reload.",
		    "%s: it answers %d, and so it would to deliveries", address, status);
}

void
check_receivers(struct checklist *l, const struct conf *conf)
{
	struct receivers r = { .list = l, .state_dir = conf->state_dir };
	int top = open(conf->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* What is wrong with the directory itself, check_state() says. */
	if (top == -1)
		return;
	if (receivers_each(top, check_one, &r)) {
		if (errno != ENOENT)
			checklist_bad(l, "receiver", "Its owner needs all rights on it.",
			    "%s/%s: %s", conf->state_dir, layout_path(LAYOUT_RECEIVERS),
			    strerror(errno));
	} else if (r.n == 0) {
		checklist_good(l, "receiver",
		    "none serves now (a CGI program is started by each request)");
	}
	close(top);
}
