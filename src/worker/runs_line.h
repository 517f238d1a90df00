#ifndef WORKER_RUNS_LINE_H
#define WORKER_RUNS_LINE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/timefmt.h"
#include "worker/run.h"

/* The lines of the files in runs/. */

enum { RUNS_FILE_SIZE = TIMEFMT_DAY_SIZE + sizeof(".jsonl"), RUNS_TEXTS = 7 };

/* A line, as it was read. The texts of `run` lie in `texts`; a text that is missing is "". */
struct runs_line {
	struct run run;
	const char *at;
	struct buf texts;
	size_t places[RUNS_TEXTS];
};

/** Whether these bytes are a whole line: one that a crash left unfinished, or that is damaged, is not. */
bool runs_line_read(struct runs_line *l, const char *data, size_t len);

/** The line of an attempt that is recorded now, with its newline, for free(). NULL: ENOMEM. */
char *runs_line_make(const struct run *run);

/** "done", ...; "" for RUNS_NOT. */
const char *runs_result_name(enum runs_result result);

/** The reverse: RUNS_NOT for any other text. */
enum runs_result runs_result_named(const char *text, size_t len);

/** What the file of a day is called; of the day only the first ten bytes count. */
void runs_file_name(char file[RUNS_FILE_SIZE], const char *day);

/**
 * Call each() for the whole lines of a day's file in the directory runs/; it returns 0 to go on, or -1 with errno set.
 * Returns 0, also if there is no such file, or -1 with errno set.
 */
int runs_line_each(int dir, const char *day, int (*each)(void *user, struct runs_line *l),
    void *user);

/**
 * Call each() for the attempts of one delivery in runs/ (a directory), in the order in which they were made. file: the
 * journal file that it is in. The texts are valid during the call. at: when it was recorded. Returns 0, or -1 with errno set.
 */
int runs_each(int dir, const char *file, const char *delivery,
    void (*each)(void *user, const struct run *run, const char *at), void *user);

#endif
