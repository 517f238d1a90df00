#ifndef STORE_JOURNAL_FILES_H
#define STORE_JOURNAL_FILES_H

#include <stddef.h>

/*
 * The files of the journal: 2026-11-23.jsonl, and where a day had to go on in another file,
 * 2026-11-23.1.jsonl and so on.
 */

enum { JOURNAL_NAME_SIZE = 40, JOURNAL_DAY_LEN = sizeof("2026-11-23") - 1 };

/** Which file of its day it is, from 0; -1 where the name is not that of a journal file. */
long journal_file_number(const char *name);

/** The order in which they were written: negative, 0 or positive as with strcmp(). */
int journal_file_compare(const char *a, const char *b);

/** The name of a day's file. day: "2026-11-23". */
void journal_file_name(char out[JOURNAL_NAME_SIZE], const char *day, unsigned number);

/**
 * All files in the journal directory (a descriptor), the oldest first: an array of *n names for free().
 * NULL with errno set, and *n 0.
 */
char (*journal_files(int dir, size_t *n))[JOURNAL_NAME_SIZE];

#endif
