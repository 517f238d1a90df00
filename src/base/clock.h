#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/*
 * The clocks. The wall clock (UTC since 1970) can be set, and can go back: it is for what people and
 * other machines see. The monotonic clock never goes back, and stops while the machine sleeps: it is
 * for deadlines inside a process. The boot clock never goes back and counts sleep: it is for waits of
 * hours. Two times of one clock can be compared, times of different clocks never. None of these fails.
 */

void clock_wall(struct timespec *out);
int64_t clock_wall_s(void); /* seconds */

int64_t clock_monotonic_ns(void); /* nanoseconds */
int64_t clock_monotonic_ms(void); /* milliseconds */

int64_t clock_boot_ms(void); /* milliseconds */
int64_t clock_boot_s(void);  /* seconds */

/**
 * The monotonic time `ms` milliseconds from now: for pthread_cond_clockwait(), and for conditions of
 * that clock.
 */
void clock_monotonic_after(struct timespec *out, int64_t ms);

#endif
