#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/buf.h"

/* Reading and writing whole files. What has to survive a crash is written by store/durable. */

/** close() that leaves errno as it is: for the way out of a failure, or where nothing was written. -1: nothing. */
void file_close(int fd);

/** fclose() of a file that was only read, which leaves errno as it is. NULL: nothing. */
void file_close_stream(FILE *fp);

/** unlinkat() of a file that was not to be, which leaves errno as it is. */
void file_unlink(int dir, const char *name);

/** write() until all is written. Returns 0, or -1 with errno set and perhaps a part written. */
int file_write_all(int fd, const void *data, size_t len);

/**
 * Append to `out` what remains of an open file, pipe or socket, at most `most` bytes.
 * Returns 0, or -1 with errno set (EFBIG: more than that); `out` then has a part of it.
 */
int file_read_all(int fd, size_t most, struct buf *out);

/**
 * Read a regular file of at most `most` bytes whole and append it to `out`. The last part of the name
 * is not followed if it is a symbolic link (ELOOP).
 * Returns 0, or -1 with errno set: EFBIG when larger, EINVAL when it is not a regular file.
 */
int file_read_at(int dir, const char *name, size_t most, struct buf *out);

/** file_read_at() of a path out of the configuration or the command line, which may be a symbolic link. */
int file_read_path(const char *path, size_t most, struct buf *out);

/**
 * file_read_path() of a file that holds secrets. EPERM: its mode gives others any right, and it was not
 * read. What is judged is the file that was opened, so that a replaced one is never read by the mode of
 * another. st: where not NULL, gets what fstat() says of the file that was read. The caller ends `out`
 * with buf_wipe(), also after a failure.
 */
int file_read_secret(const char *path, size_t most, struct buf *out, struct stat *st);

/** Whether a mode gives others than owner and group any right: no file of secrets may. */
#define FILE_IS_OPEN_TO_OTHERS(mode) (((mode)&S_IRWXO) != 0)

/** What an errno of the functions above means, as the end of a message; it is a static text or strerror()'s. */
const char *file_problem(int error);

/**
 * The next line of a text. *at: where it begins, 0 for the first; it is moved behind the line. A byte
 * order mark before the first line is skipped. A carriage return stays part of the line.
 * Returns the line, which is not terminated, with *len its length without the newline; NULL at the end.
 */
const char *file_next_line(const struct buf *text, size_t *at, size_t *len);

#endif
