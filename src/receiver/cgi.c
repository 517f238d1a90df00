#include "receiver/cgi.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "receiver/answer.h"
#include "receiver/handle.h"
#include "receiver/serve.h"
#include "store/durable.h"

enum { DISCARD_MAX = 16 << 20, DISCARD_MS = 2000 };

struct input {
	uint64_t announced; /* bytes still to come by Content-Length; or LENGTH_UNKNOWN */
	int64_t deadline_ms;
};

/* Returns 0 when there is something to read, or -1 at the deadline. */
static int
wait_for_input(struct pollfd *fds, int64_t deadline_ms)
{
	int64_t left;

	do {
		left = deadline_ms - request_now_ms();
	} while (left > 0 && poll(fds, 1, (int)left) == -1 && errno == EINTR);
	return (left > 0 && fds->revents ? 0 : -1);
}

/*
 * Standard input need not end behind the body (RFC 3875, 4.2). Where a length is announced, what is
 * behind it counts only if it is there already.
 */
static ssize_t
read_input(void *source, char *out, size_t size)
{
	struct input *in = source;
	struct pollfd fds = { .fd = STDIN_FILENO, .events = POLLIN };
	ssize_t n;

	if (in->announced == 0) {
		if (poll(&fds, 1, 0) <= 0)
			return (0);
		size = 1;
	} else {
		if (size > in->announced)
			size = in->announced;
		if (wait_for_input(&fds, in->deadline_ms)) {
			errno = ETIMEDOUT;
			return (-1);
		}
	}
	while ((n = read(STDIN_FILENO, out, size)) == -1 && errno == EINTR)
		;
	if (n > 0 && in->announced != LENGTH_UNKNOWN && in->announced != 0)
		in->announced -= (uint64_t)n;
	return (n);
}

/*
 * Take what is left of the body, after the answer: with Apache's mod_cgid standard input and output are
 * one socket, and closing that with bytes unread would reset it before the answer was read.
 */
static void
discard_input(void)
{
	struct pollfd fds = { .fd = STDIN_FILENO, .events = POLLIN };
	char trash[16 * 1024];
	size_t left = DISCARD_MAX;
	struct stat st;
	ssize_t n;

	if (fstat(STDIN_FILENO, &st) || !S_ISSOCK(st.st_mode))
		return;
	shutdown(STDOUT_FILENO, SHUT_WR);
	while (left && poll(&fds, 1, DISCARD_MS) == 1) {
		if ((n = read(STDIN_FILENO, trash, sizeof(trash))) <= 0)
			return;
		left -= (size_t)n < left ? (size_t)n : left;
	}
}

/* Where no configuration can be read: nothing can be judged, and it may heal. */
static void
answer_unconfigured(const struct buf *errors, bool head, struct buf *out)
{
	const struct answer answer = answer_unavailable("configuration");
	const struct answer_subject about = { .event = NULL };

	serve_log_errors(errors);
	answer_format(&answer, &about, head, out);
	answer_log(&answer, &about, NULL, 0);
}

int
cgi(void)
{
	char *file = conf_find(NULL);
	struct buf errors = { 0 }, answer = { 0 };
	struct conf *conf = file ? serve_conf(file, &errors) : NULL;
	struct receiver *receiver = conf ? receiver_new(conf) : NULL;
	struct input in;
	struct request q;
	const char *text;
	size_t len;

	signal(SIGPIPE, SIG_IGN);
	request_from_params(&q, environ);
	in = (struct input){ .announced = q.length, .deadline_ms = request_now_ms() + REQUEST_MS };
	q.read = read_input;
	q.source = &in;
	if (receiver) {
		serve_become_owner(conf);
		/* A delivery does not depend on the log: stderr is there. */
		if (conf_open_log(conf, "fluidhook.fcgi"))
			log_errno(LOG_LEVEL_ERROR, "log file cannot be opened", "file",
			    conf->log_file, NULL);
		receiver_tend_once(receiver);
		handle(receiver, &q, &answer);
		receiver_release(receiver);
	} else {
		answer_unconfigured(&errors, strcmp(q.method, "HEAD") == 0, &answer);
	}
	text = answer_text(&answer, &len);
	if (file_write_all(STDOUT_FILENO, text, len))
		log_errno(LOG_LEVEL_ERROR, "answer not sent", NULL);
	discard_input();
	buf_free(&answer);
	buf_free(&errors);
	free(file);
	return (0);
}
