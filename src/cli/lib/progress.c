#include "cli/lib/progress.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* When the line comes first, in seconds, and how often it changes, in nanoseconds. */
enum { PATIENCE = 1, CHANGES = 250000000 };

/* The mutex is held. */
static void
show(struct progress *p, const struct timespec *begun)
{
	unsigned long n = atomic_load(&p->count);
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (n)
		dprintf(STDERR_FILENO, "\r%s: %lu, %ld s\033[K", p->what, n,
		    (long)(now.tv_sec - begun->tv_sec));
	else
		dprintf(STDERR_FILENO, "\r%s: %ld s\033[K", p->what,
		    (long)(now.tv_sec - begun->tv_sec));
	p->shown = true;
}

static void *
run(void *user)
{
	struct progress *p = user;
	struct timespec begun, next;

	clock_gettime(CLOCK_MONOTONIC, &begun);
	next = begun;
	next.tv_sec += PATIENCE;
	pthread_mutex_lock(&p->mutex);
	while (p->running) {
		if (pthread_cond_timedwait(&p->cond, &p->mutex, &next) == 0 || !p->running)
			continue;
		show(p, &begun);
		clock_gettime(CLOCK_MONOTONIC, &next);
		next.tv_nsec += CHANGES;
		next.tv_sec += next.tv_nsec / 1000000000;
		next.tv_nsec %= 1000000000;
	}
	pthread_mutex_unlock(&p->mutex);
	return (NULL);
}

void
progress_begin(struct progress *p, const char *what)
{
	pthread_condattr_t attr;

	*p = (struct progress){ .what = what };
	if (!isatty(STDERR_FILENO))
		return;
	pthread_mutex_init(&p->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&p->cond, &attr);
	pthread_condattr_destroy(&attr);
	p->running = true;
	/* Where there can be no thread, there is no line. */
	if (pthread_create(&p->thread, NULL, run, p) == 0)
		return;
	p->running = false;
	pthread_cond_destroy(&p->cond);
	pthread_mutex_destroy(&p->mutex);
}

void
progress_count(struct progress *p, unsigned long n)
{
	atomic_store_explicit(&p->count, n, memory_order_relaxed);
}

/* The mutex is held. */
static void
hide(struct progress *p)
{
	if (p->shown)
		dprintf(STDERR_FILENO, "\r\033[K");
	p->shown = false;
}

void
progress_hide(struct progress *p)
{
	if (!p->running)
		return;
	pthread_mutex_lock(&p->mutex);
	hide(p);
	pthread_mutex_unlock(&p->mutex);
}

void
progress_end(struct progress *p)
{
	if (!p->running)
		return;
	pthread_mutex_lock(&p->mutex);
	hide(p);
	p->running = false;
	pthread_cond_signal(&p->cond);
	pthread_mutex_unlock(&p->mutex);
	pthread_join(p->thread, NULL);
	pthread_cond_destroy(&p->cond);
	pthread_mutex_destroy(&p->mutex);
}
