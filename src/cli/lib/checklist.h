#ifndef CLI_LIB_CHECKLIST_H
#define CLI_LIB_CHECKLIST_H

#include <stdbool.h>

/* What check and doctor print: a line for each thing looked at, and what to do where it is wrong. */

struct checklist {
	bool json;   /* one JSON object a line instead */
	bool failed; /* whether anything was wrong; false to begin with */
};

/** Something is as it should be: "✓ name  what was seen". */
void checklist_good(struct checklist *l, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** Something is wrong: "✗ name  what was seen", and below it the hint. */
void checklist_bad(struct checklist *l, const char *name, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/** Something to know that is not wrong: "! name  what was seen", and below it what can be done. */
void checklist_note(struct checklist *l, const char *name, const char *hint, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/** The exit status: CLI_FAILED where anything was wrong. */
int checklist_status(const struct checklist *l);

#endif
