#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/timefmt.h"

/* A line is built in a buffer of this size; values are cut so that every pair has a chance. */
enum { LINE_MAX_LEN = 2048, VALUE_MAX_LEN = 256 };

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const int syslog_levels[] = { LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

static atomic_bool use_syslog;
static atomic_int least_level = LOG_LEVEL_INFO;

struct line {
	char text[LINE_MAX_LEN];
	size_t len;
};

void
log_open(const char *ident, bool to_syslog, enum log_level least)
{
	if (to_syslog)
		openlog(ident, LOG_PID, LOG_DAEMON);
	atomic_store(&use_syslog, to_syslog);
	atomic_store(&least_level, (int)least);
}

static void
put(struct line *l, const char *s, size_t len)
{
	/* The last byte stays free for the newline. */
	if (len > sizeof(l->text) - 1 - l->len)
		len = sizeof(l->text) - 1 - l->len;
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

static void
vlog(enum log_level level, const char *error, const char *msg, va_list ap)
{
	struct line l = { .len = 0 };
	char when[TIMEFMT_MICROS_SIZE];
	struct timespec now;
	const char *key;
	bool to_syslog = atomic_load(&use_syslog);

	if ((int)level > atomic_load(&least_level))
		return;
	if (!to_syslog) {
		clock_gettime(CLOCK_REALTIME, &now);
		timefmt_micros(when, &now);
		put_pair(&l, "time", when);
	}
	put_pair(&l, "level", level_names[level]);
	put_pair(&l, "msg", msg);
	while ((key = va_arg(ap, const char *)) != NULL)
		put_pair(&l, key, va_arg(ap, const char *));
	put_pair(&l, "error", error);
	if (to_syslog) {
		syslog(syslog_levels[level], "%.*s", (int)l.len, l.text);
		return;
	}
	l.text[l.len++] = '\n';
	/* A log that cannot be written is nothing a delivery may fail for. */
	if (write(STDERR_FILENO, l.text, l.len) == -1)
		return;
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
	vlog(level, strerror_r(saved, text, sizeof(text)), msg, ap);
	va_end(ap);
	errno = saved;
}
