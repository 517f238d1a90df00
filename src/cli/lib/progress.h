#ifndef CLI_LIB_PROGRESS_H
#define CLI_LIB_PROGRESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/*
 * A line on standard error that shows what is being waited for, once it takes longer than a second and
 * standard error is a terminal: somebody waits. Nothing at all otherwise. {0} is one that is not shown.
 */

struct progress {
	const char *what;
	atomic_ulong count;
	pthread_t thread;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	bool running, shown;
};

/** what: "Reading the journal"; stays as long. After whatever changes the process's user. */
void progress_begin(struct progress *p, const char *what);

/** How many were done so far, to be shown too. */
void progress_count(struct progress *p, unsigned long n);

/** Take the line away, before something else is printed; it comes again where it goes on. */
void progress_hide(struct progress *p);

/** Take the line away for good. Fine for one that never began. */
void progress_end(struct progress *p);

#endif
