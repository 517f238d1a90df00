#include "base/clock.h"

enum { MS_A_SECOND = 1000, NS_A_MS = 1000000, NS_A_SECOND = 1000000000 };

void
clock_wall(struct timespec *out)
{
	clock_gettime(CLOCK_REALTIME, out);
}

int64_t
clock_wall_s(void)
{
	struct timespec t;

	clock_wall(&t);
	return ((int64_t)t.tv_sec);
}

int64_t
clock_monotonic_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((int64_t)t.tv_sec * NS_A_SECOND + t.tv_nsec);
}

static int64_t
in_ms(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return ((int64_t)t.tv_sec * MS_A_SECOND + t.tv_nsec / NS_A_MS);
}

int64_t
clock_monotonic_ms(void)
{
	return (in_ms(CLOCK_MONOTONIC));
}

int64_t
clock_boot_ms(void)
{
	return (in_ms(CLOCK_BOOTTIME));
}

int64_t
clock_boot_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return ((int64_t)t.tv_sec);
}

void
clock_monotonic_after(struct timespec *out, int64_t ms)
{
	clock_gettime(CLOCK_MONOTONIC, out);
	out->tv_sec += (time_t)(ms / MS_A_SECOND);
	out->tv_nsec += (long)(ms % MS_A_SECOND) * NS_A_MS;
	if (out->tv_nsec >= NS_A_SECOND) {
		out->tv_sec++;
		out->tv_nsec -= NS_A_SECOND;
	}
}
