#ifndef TESTS_UNIT_WRAP_H
#define TESTS_UNIT_WRAP_H

#include <features.h>

/*
 * What libc's functions are called in object files, for tests that replace one by the linker's --wrap. On
 * a 32-bit machine with times and offsets of 64 bits that is another name than in the source. Declare
 *
 *	int __wrap_clock_gettime(clockid_t clock, struct timespec *out) AS_CLOCK_GETTIME("__wrap_");
 *
 * and wrap both names in Makefile.am.
 */
#if defined(__USE_TIME_BITS64) && defined(__TIMESIZE) && __TIMESIZE == 32
#define AS_CLOCK_GETTIME(prefix) __asm__(prefix "__clock_gettime64")
#define AS_TIME(prefix) __asm__(prefix "__time64")
#define AS_FSTATAT(prefix) __asm__(prefix "__fstatat64_time64")
#define AS_PREAD(prefix) __asm__(prefix "pread64")
#define AS_PREADV2(prefix) __asm__(prefix "preadv64v2")
#else
#define AS_CLOCK_GETTIME(prefix)
#define AS_TIME(prefix)
#define AS_FSTATAT(prefix)
#define AS_PREAD(prefix)
#define AS_PREADV2(prefix)
#endif

#endif
