#ifndef WORKER_RUN_H
#define WORKER_RUN_H

/* One attempt to hand a delivery to a target, as runs/ has it. */

/* A key as text: 32 lower-case hexadecimal digits. */
enum { RUNS_KEY_LEN = 16, RUNS_KEY_SIZE = 2 * RUNS_KEY_LEN + 1 };

enum runs_result { RUNS_NOT, RUNS_DONE, RUNS_GIVEN_UP, RUNS_DISCARDED, RUNS_FAILED };

/* One attempt. */
struct run {
	const char *file; /* the journal file that the delivery's line is in */
	const char *delivery, *event, *installation, *target, *key;
	unsigned attempt;
	long long ms; /* how long it took */
	enum runs_result result;
	const char *why; /* "": null */
};

#endif
