#ifndef CLI_LIB_GUESS_H
#define CLI_LIB_GUESS_H

#include <stddef.h>

/* What a mistyped name was meant to be: "did you mean". */

enum {
	GUESS_SIZE = 160,
	GUESS_NEAR = 2, /* at most so many letters differ where a guess is worth telling */
};

struct guess {
	const char *name;      /* as it was typed; the caller's */
	char best[GUESS_SIZE]; /* the nearest candidate so far, "" for none */
	size_t distance;       /* letters that differ from it */
};

/** Begin with the name as it was typed. */
struct guess guess_begin(const char *name);

/** Compare with a candidate of len bytes; one that is too long is ignored. */
void guess_consider(struct guess *g, const char *candidate, size_t len);

/** The nearest candidate, or NULL where none is near: half of its letters must agree, too. */
const char *guess_near(const struct guess *g);

#endif
