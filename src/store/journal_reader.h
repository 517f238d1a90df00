#ifndef STORE_JOURNAL_READER_H
#define STORE_JOURNAL_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/buf.h"
#include "store/journal_files.h"

/*
 * Reading the journal from its end, the newest delivery first, however large it is: a block at a time.
 */

struct journal_reader;

/** dir: the journal directory, which stays open as long. NULL with errno set. */
struct journal_reader *journal_reader_new(int dir);

void journal_reader_free(struct journal_reader *r);

/**
 * The whole line before, without its newline, in `line` (emptied first). What a crash left unfinished
 * at the end of a file is no line. Returns 1, 0 when there is none left, or -1 with errno set (EINVAL
 * for what is no file): then the rest of this file is given up, and the next call goes on before it.
 */
int journal_reader_previous(struct journal_reader *r, struct buf *line);

/**
 * Pass over lines that looks() refuses; it sees the raw line, which it must not keep. An empty line is passed over
 * too. NULL: hand out all lines.
 */
void journal_reader_only(struct journal_reader *r,
    bool (*looks)(void *user, const char *line, size_t len), void *user);

/** The file that the line was in, for messages. */
const char *journal_reader_file(const struct journal_reader *r);

/** Where in that file the line begins. */
off_t journal_reader_offset(const struct journal_reader *r);

/** Skip the files of later days than this one ("2026-11-23"). */
void journal_reader_skip_to(struct journal_reader *r, const char *day);

/** Skip the files of earlier days than this one. */
void journal_reader_begin_at(struct journal_reader *r, const char *day);

#endif
