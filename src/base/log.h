#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

/* Levels, most important first; the names are those of `log_level` in the configuration. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Where lines go: `log` in the configuration. */
enum log_target { LOG_TO_STDERR, LOG_TO_SYSLOG, LOG_TO_FILE };

/**
 * Choose where log lines go. Until this is called: stderr, info and above. Called again with the same
 * file, it opens the file anew: it may have been renamed.
 *
 * ident: the program's name in syslog; a static string. file: of LOG_TO_FILE, else ignored; not kept.
 * Returns 0, or -1 with errno set where the file cannot be opened; the log then is what it was.
 * A reader of the log that stops reading never delays the caller: lines are dropped and counted, and the
 * next line that can be written is preceded by their number. Where systemd's journal reads stderr, each
 * line begins with its priority.
 */
int log_open(const char *ident, enum log_target target, const char *file, enum log_level least);

/**
 * Write one line: time, level, msg, then key=value pairs given as const char * in turn, ended by a
 * NULL key. A pair whose value is NULL is left out. Untrusted bytes in values are escaped here and
 * long values are cut, so callers pass them as they are. Never pass a credential, a signature or a
 * body. Safe from several threads; one line is one write, or part of one (log_hold()).
 */
void log_line(enum log_level level, const char *msg, ...) __attribute__((sentinel));

/* Lines that a thread holds back. */
struct log_hold {
	size_t len;
	unsigned long lines;
	char text[4096]; /* PIPE_BUF: a pipe takes it whole or not at all */
};

/**
 * Hold back this thread's lines until log_release(), so that many answers cost one write. The thread must not
 * wait for anything in between. An error is written at once, and so are lines that fill the buffer, and all
 * lines for syslog. A second log_hold() before log_release() has no effect, and log_release() of it neither.
 */
void log_hold(struct log_hold *hold);
void log_release(struct log_hold *hold);

/* log_line() with `error` set to the text of errno as it was at the call. */
void log_errno(enum log_level level, const char *msg, ...) __attribute__((sentinel));

#endif
