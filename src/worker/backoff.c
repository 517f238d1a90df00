#include "worker/backoff.h"

#include <time.h>

int64_t
backoff_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return ((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

int64_t
backoff_wait(unsigned tries, int64_t most, bool has_deadline, int64_t left)
{
	int64_t wait = (int64_t)BACKOFF_FIRST << (tries < 16 ? tries : 16);

	if (has_deadline && most > BACKOFF_TOKEN_MAX)
		most = BACKOFF_TOKEN_MAX;
	wait = wait < most ? wait : most;
	if (has_deadline && left > 0 && wait >= left)
		wait = left > 1 ? left - 1 : left;
	return (wait * 1000);
}
