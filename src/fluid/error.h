#ifndef FLUID_ERROR_H
#define FLUID_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What went wrong with a call of Fluid's API: one line for people, and a kind for programs. */

enum { FLUID_ERROR_SIZE = 640 };

/* What is known about a call that did not succeed. */
enum fluid_failure {
	FLUID_OK,
	FLUID_LOCAL,     /* ours: an argument, a file, memory; nothing was sent */
	FLUID_NOT_SENT,  /* Fluid was not reached; nothing was sent */
	FLUID_NO_ANSWER, /* sent, but no whole, readable answer came: perhaps it is done */
	FLUID_BUSY,      /* answered 408, 425, 429 or 5xx: later it may work */
	FLUID_REFUSED,   /* any other answer but 2xx: the same call will fail again */
};

struct fluid_error {
	enum fluid_failure failure;
	long status;                 /* of the answer; 0 where there was none */
	bool is_fluids;              /* the answer has the form of Fluid's own errors */
	uint32_t retry_after;        /* seconds Fluid asked us to wait; 0 where it did not */
	char text[FLUID_ERROR_SIZE]; /* "fluid: 422: url: must be https" */
};

/* What is known beside an answer's status and body. Strings may be NULL. */
struct fluid_error_context {
	const char *token_source; /* where the token came from, for 401 */
	const char *redirect;     /* where a 3xx points to */
	uint32_t retry_after;     /* seconds */
	const char *secrets[2];   /* credentials of the call: never to be quoted */
};

void fluid_error_clear(struct fluid_error *e);

/**
 * Whether a call that changes something may have been carried out although it failed: it was sent, and
 * the answer is missing or is a server error. A refusal, and "later" (425, 429), say that nothing was done.
 */
bool fluid_error_is_uncertain(const struct fluid_error *e);

/**
 * Set the error to "fluid: " and the text. Control characters and what is not UTF-8 are escaped,
 * and what is too long is cut. Always returns -1, so that callers can return it.
 */
int fluid_error_set(struct fluid_error *e, enum fluid_failure failure, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/** fluid_error_set() for the current errno: "fluid: WHAT: No such file or directory". */
int fluid_error_errno(struct fluid_error *e, const char *what);

/** Add a remark to the line, where there is room: "fluid: 401: unauthorized; REMARK". */
void fluid_error_hint(struct fluid_error *e, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/**
 * Make one line out of an answer that is not 2xx, whichever of Fluid's error shapes its body has,
 * or none of them. Always returns -1.
 */
int fluid_error_answer(struct fluid_error *e, long status, const char *body, size_t len,
    const struct fluid_error_context *ctx);

#endif
