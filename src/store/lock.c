#include "store/lock.h"

#include <errno.h>
#include <sys/file.h>
#include <time.h>

#include "base/clock.h"

enum { PAUSE_LEAST = 100000, PAUSE_MOST = 10000000 }; /* nanoseconds */

void
lock_wait_begin(struct lock_wait *w, int ms)
{
	*w = (struct lock_wait){ .ms = ms, .seen = INT64_MIN, .pause = PAUSE_LEAST };
	w->until = clock_monotonic_ms() + ms;
	w->last = w->until + LOCK_QUEUE_MS;
}

void
lock_wait_saw(struct lock_wait *w, int64_t seen)
{
	if (seen == w->seen)
		return;
	if (w->seen != INT64_MIN)
		w->until = clock_monotonic_ms() + w->ms < w->last ? clock_monotonic_ms() + w->ms :
								    w->last;
	w->seen = seen;
}

bool
lock_wait_pause(struct lock_wait *w)
{
	if (clock_monotonic_ms() >= w->until)
		return (false);
	nanosleep(&(struct timespec){ .tv_nsec = w->pause }, NULL);
	w->pause = w->pause < PAUSE_MOST / 2 ? 2 * w->pause : PAUSE_MOST;
	return (true);
}

int
lock_try(int fd)
{
	int result;

	do {
		result = flock(fd, LOCK_EX | LOCK_NB);
	} while (result && errno == EINTR);
	return (result);
}

int
lock_file(int fd, int ms)
{
	struct lock_wait w;

	lock_wait_begin(&w, ms);
	while (lock_try(fd)) {
		if (errno != EWOULDBLOCK)
			return (-1);
		if (!lock_wait_pause(&w)) {
			errno = ETIMEDOUT;
			return (-1);
		}
	}
	return (0);
}
