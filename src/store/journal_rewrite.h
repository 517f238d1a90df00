#ifndef STORE_JOURNAL_REWRITE_H
#define STORE_JOURNAL_REWRITE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Changing lines of a journal file while receivers append to it and a worker reads it.
 *
 * The new file is written under another name and renamed, so that the file is always whole, and a kill leaves the old
 * or the new one. Most of it is copied without the lock of the appenders: what was there when the lock was held once
 * is never taken back. Only what was appended meanwhile is copied under the lock. An appender that waits for the lock
 * then finds another file under the name, and opens that one (store/journal.h).
 *
 * Lines keep their order and their first member ("delivery"), but not their places. A worker knows what it has read by a
 * place. So that it can tell a rewritten file from one that was restored, a note beside the file says where the last
 * delivery was at that moment: journal/.2026-11-23.jsonl.moved. A file that has it there is the rewritten one, and the
 * worker goes on behind the delivery that it has read last (worker/follow.h). Any other is read from its beginning.
 */

/**
 * What becomes of one line, without its newline. Returns 0: it stays as it is; 1: `out`, which was empty, has what
 * replaces it, without a newline; or -1 with errno set: the file stays as it was. whole: false for what stands behind
 * the last newline, which a crash left unfinished or another program is writing.
 */
typedef int journal_rewrite_line(void *user, const char *line, size_t len, bool whole,
    struct buf *out);

/**
 * Hand each line of the file `name` in the journal directory `dir` to line(), in order. The file is replaced if any
 * line is. A leftover of a rewriting that was killed is removed.
 * Returns 1 if the file was replaced, which is on stable storage then; 0 if not; or -1 with errno set: ENOENT if it is
 * not there (any more), EINVAL if it is no regular file, ETIMEDOUT if another program has it locked.
 */
int journal_rewrite(int dir, const char *name, journal_rewrite_line *line, void *user);

/**
 * Whether the open file under this name is one that was rewritten here. Returns 1, 0, or -1 with errno set.
 */
int journal_rewrite_is_of(int dir, const char *name, int fd);

/** Whether a file has the line of the delivery that `line` begins with. False also if that cannot be seen. */
bool journal_rewrite_has(int dir, const char *name, const char *line, size_t len);

/** Remove the note: the file is gone. Returns 0, also if there is none, or -1 with errno set. */
int journal_rewrite_forget(int dir, const char *name);

#endif
