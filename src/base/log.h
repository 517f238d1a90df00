#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

/* Levels, most important first; the names are those of `log_level` in the configuration. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/**
 * Choose where log lines go. Until this is called: stderr, info and above.
 * ident (a static string) is the program's name in syslog.
 */
void log_open(const char *ident, bool to_syslog, enum log_level least);

/**
 * Write one line: time, level, msg, then key=value pairs given as const char * in turn, ended by a
 * NULL key. A pair whose value is NULL is left out. Untrusted bytes in values are escaped here and
 * long values are cut, so callers pass them as they are. Never pass a credential, a signature or a
 * body. Safe from several threads; one line is one write.
 */
void log_line(enum log_level level, const char *msg, ...) __attribute__((sentinel));

/* log_line() with `error` set to the text of errno as it was at the call. */
void log_errno(enum log_level level, const char *msg, ...) __attribute__((sentinel));

#endif
