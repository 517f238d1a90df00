#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/timefmt.h"

/* A line is built in a buffer of this size; values are cut so that every pair has a chance. */
enum { LINE_MAX_LEN = 2048, VALUE_MAX_LEN = 256 };

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const int priorities[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* How a line is written so that the write cannot block. */
enum way {
	WAY_WRITE,  /* a regular file, or a descriptor that is non-blocking */
	WAY_POLL,   /* a pipe or terminal that could not be opened anew: ask first */
	WAY_SEND,   /* a stream socket */
	WAY_SYSLOG, /* a datagram socket, to syslog's address */
};

/* The descriptor and the way in one word, so that a thread never sees half of a change. */
static atomic_int output = STDERR_FILENO << 2 | WAY_WRITE;
static int own_fd = -1; /* a descriptor that this file opened; it keeps its number */
static atomic_int least_level = LOG_LEVEL_INFO;
static atomic_bool with_priority;
static atomic_ulong dropped;
static const char *program = "fluidhook";

/* What this thread holds back its lines in. */
static _Thread_local struct log_hold *held;

struct line {
	char text[LINE_MAX_LEN];
	size_t len;
};

static void
set_output(int fd, enum way way)
{
	/* A product, because a descriptor of -1 has no shift to the left. */
	atomic_store(&output, fd * 4 | (int)way);
}

/* Take a new descriptor over, under the number of the one before. Returns its number. */
static int
own(int fd)
{
	if (own_fd == -1) {
		own_fd = fd;
	} else if (fd != own_fd) {
		/* Threads that log use the number meanwhile. */
		dup3(fd, own_fd, O_CLOEXEC);
		close(fd);
	}
	return (own_fd);
}

/* Whether systemd's journal reads stderr (systemd.exec(5), JOURNAL_STREAM). */
static bool
is_journal(const struct stat *st)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char want[64];

	snprintf(want, sizeof(want), "%ju:%ju", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
	return (stream && strcmp(stream, want) == 0);
}

/*
 * stderr is shared with other processes, so O_NONBLOCK cannot be set there. A pipe or a terminal is
 * opened anew instead; for a socket each send says that it must not wait.
 */
static void
open_stderr(void)
{
	struct stat st;
	int fd;

	if (fstat(STDERR_FILENO, &st)) {
		set_output(STDERR_FILENO, WAY_WRITE);
		return;
	}
	atomic_store(&with_priority, is_journal(&st));
	if (S_ISSOCK(st.st_mode))
		set_output(STDERR_FILENO, WAY_SEND);
	else if (S_ISREG(st.st_mode))
		set_output(STDERR_FILENO, WAY_WRITE);
	else if ((fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) != -1)
		set_output(own(fd), WAY_WRITE);
	else
		set_output(STDERR_FILENO, WAY_POLL);
}

int
log_open(const char *ident, enum log_target target, const char *file, enum log_level least)
{
	int fd = -1;

	if (target == LOG_TO_FILE &&
	    (fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		 0640)) == -1)
		return (-1);
	if (target == LOG_TO_SYSLOG && (fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) == -1)
		return (-1);
	atomic_store(&with_priority, false);
	program = ident;
	if (target == LOG_TO_STDERR)
		open_stderr();
	else
		set_output(own(fd), target == LOG_TO_FILE ? WAY_WRITE : WAY_SYSLOG);
	atomic_store(&least_level, (int)least);
	return (0);
}

static void
put(struct line *l, const char *s, size_t len)
{
	if (len > sizeof(l->text) - l->len)
		len = sizeof(l->text) - l->len;
	memcpy(l->text + l->len, s, len);
	l->len += len;
}

/* A value needs quotes unless it is made of these alone. */
static bool
is_plain(const char *s)
{
	if (*s == '\0')
		return (false);
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && strchr("._-:/+@,%", *s) == NULL)
			return (false);
	return (true);
}

static void
put_value(struct line *l, const char *s)
{
	char esc[5];
	size_t n = 0;

	if (is_plain(s) && strlen(s) <= VALUE_MAX_LEN) {
		put(l, s, strlen(s));
		return;
	}
	put(l, "\"", 1);
	for (; *s && n < VALUE_MAX_LEN; s++, n++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\') {
			put(l, "\\", 1);
			put(l, s, 1);
		} else if (c < 0x20 || c >= 0x7f) {
			snprintf(esc, sizeof(esc), "\\x%02x", c);
			put(l, esc, 4);
		} else {
			put(l, s, 1);
		}
	}
	if (*s)
		put(l, "...", 3);
	put(l, "\"", 1);
}

static void
put_pair(struct line *l, const char *key, const char *value)
{
	if (value == NULL)
		return;
	if (l->len)
		put(l, " ", 1);
	put(l, key, strlen(key));
	put(l, "=", 1);
	put_value(l, value);
}

/* syslog(3) waits for a daemon that does not read: this does not. */
static ssize_t
send_syslog(int fd, enum log_level level, const struct line *l)
{
	static const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	char head[128], when[32];
	time_t now = time(NULL);
	struct tm tm;
	struct iovec parts[] = { { head, 0 }, { (void *)(uintptr_t)l->text, l->len } };
	const struct msghdr message = { .msg_name = (void *)(uintptr_t)&address,
		.msg_namelen = sizeof(address),
		.msg_iov = parts,
		.msg_iovlen = 2 };

	if (localtime_r(&now, &tm) == NULL || strftime(when, sizeof(when), "%b %e %T", &tm) == 0)
		return (-1);
	parts[0].iov_len = (size_t)snprintf(head, sizeof(head),
	    "<%d>%s %s[%d]: ", LOG_DAEMON | priorities[level], when, program, (int)getpid());
	return (sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL));
}

/* Write whole lines, unless that would have to wait. Returns whether they were written. */
static bool
write_lines(const char *text, size_t len)
{
	int out = atomic_load(&output), fd = out >> 2;
	struct pollfd writable = { .fd = fd, .events = POLLOUT };

	if ((out & 3) == WAY_SEND)
		return (send(fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL) != -1);
	if ((out & 3) == WAY_POLL && poll(&writable, 1, 0) != 1)
		return (false);
	return (write(fd, text, len) != -1);
}

/* The line as it is written: four bytes longer at most, for the newline and the priority for systemd's journal. */
static size_t
finish_line(char *text, enum log_level level, const struct line *l)
{
	size_t len = 0;

	if (atomic_load(&with_priority)) {
		text[len++] = '<';
		text[len++] = (char)('0' + priorities[level]);
		text[len++] = '>';
	}
	memcpy(text + len, l->text, l->len);
	len += l->len;
	text[len++] = '\n';
	return (len);
}

/* Write a line, without its newline, unless that would have to wait. Returns whether it was written. */
static bool
emit(enum log_level level, const struct line *l)
{
	int out = atomic_load(&output);
	char text[sizeof("<3>") + sizeof(l->text)]; /* the NUL makes room for the newline */

	if ((out & 3) == WAY_SYSLOG)
		return (send_syslog(out >> 2, level, l) != -1);
	return (write_lines(text, finish_line(text, level, l)));
}

static void
begin_line(struct line *l, enum log_level level, const char *msg)
{
	char when[TIMEFMT_MICROS_SIZE];
	struct timespec now;

	l->len = 0;
	if ((atomic_load(&output) & 3) != WAY_SYSLOG) {
		clock_gettime(CLOCK_REALTIME, &now);
		timefmt_micros(when, &now);
		put_pair(l, "time", when);
	}
	put_pair(l, "level", level_names[level]);
	put_pair(l, "msg", msg);
}

/* Report lines that could not be written. Returns whether nothing is left to report. */
static bool
emit_dropped(void)
{
	unsigned long n = atomic_exchange(&dropped, 0);
	struct line l;
	char count[24];

	if (n == 0)
		return (true);
	snprintf(count, sizeof(count), "%lu", n);
	begin_line(&l, LOG_LEVEL_WARN, "log lines were dropped: the log was not read");
	put_pair(&l, "count", count);
	if (emit(LOG_LEVEL_WARN, &l))
		return (true);
	atomic_fetch_add(&dropped, n);
	return (false);
}

/* Write what this thread has held back. */
static void
write_held(struct log_hold *h)
{
	if (h->lines && (!emit_dropped() || !write_lines(h->text, h->len)))
		atomic_fetch_add(&dropped, h->lines);
	h->len = 0;
	h->lines = 0;
}

/* Add a line to those that this thread holds back. Returns whether it was added. */
static bool
hold_line(struct log_hold *h, enum log_level level, const struct line *l)
{
	if (h == NULL)
		return (false);
	/* An error comes after what was before it. */
	if (level == LOG_LEVEL_ERROR || h->len + sizeof("<3>") + l->len > sizeof(h->text))
		write_held(h);
	if (level == LOG_LEVEL_ERROR || (atomic_load(&output) & 3) == WAY_SYSLOG)
		return (false);
	h->len += finish_line(h->text + h->len, level, l);
	h->lines++;
	return (true);
}

void
log_hold(struct log_hold *hold)
{
	hold->len = 0;
	hold->lines = 0;
	if (held == NULL)
		held = hold;
}

void
log_release(struct log_hold *hold)
{
	if (held != hold)
		return;
	write_held(hold);
	held = NULL;
}

static void
vlog(enum log_level level, const char *error, const char *msg, va_list ap)
{
	struct line l;
	const char *key;

	if ((int)level > atomic_load(&least_level))
		return;
	begin_line(&l, level, msg);
	while ((key = va_arg(ap, const char *)) != NULL)
		put_pair(&l, key, va_arg(ap, const char *));
	put_pair(&l, "error", error);
	if (hold_line(held, level, &l))
		return;
	if (!emit_dropped() || !emit(level, &l))
		atomic_fetch_add(&dropped, 1);
}

void
log_line(enum log_level level, const char *msg, ...)
{
	int saved = errno;
	va_list ap;

	va_start(ap, msg);
	vlog(level, NULL, msg, ap);
	va_end(ap);
	errno = saved;
}

void
log_errno(enum log_level level, const char *msg, ...)
{
	int saved = errno;
	char text[128];
	va_list ap;

	va_start(ap, msg);
	/* This project's word for a file that is not what was written there; libc's is "Bad message". */
	vlog(level, saved == EBADMSG ? "damaged contents" : strerror_r(saved, text, sizeof(text)),
	    msg, ap);
	va_end(ap);
	errno = saved;
}
