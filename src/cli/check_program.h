#ifndef CLI_CHECK_PROGRAM_H
#define CLI_CHECK_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

/* Whether the kernel would run a file as a program for the user that we are. */

enum { PROGRAM_TEXT_SIZE = 512 };

struct program_fault {
	char what[PROGRAM_TEXT_SIZE]; /* "its first line ends with a carriage return" */
	char hint[PROGRAM_TEXT_SIZE];
	bool maybe; /* it depends on the worker's surroundings: no fault for sure */
};

/**
 * Look at the file `name` in the directory. It is a regular file, or a link to one.
 * Returns false with *fault filled if it can never run, or (maybe) not in every worker.
 */
bool program_can_run(int dir, const char *name, struct program_fault *fault);

#endif
