#ifndef WORKER_RAN_H
#define WORKER_RAN_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Which deliveries' hooks ran, by a digest of what makes two deliveries the same: one file a day with
 * one digest a line, and the digests of the last two days in memory, 16 bytes each.
 */

/* A digest as text: 32 lower-case hexadecimal digits. */
enum { RAN_KEY_LEN = 16, RAN_KEY_SIZE = 2 * RAN_KEY_LEN + 1, RAN_DAYS = 2 };

struct ran;

/** dir: the folder, which stays open as long. Reads what it has; old files go. NULL with errno set. */
struct ran *ran_open(int dir, int64_t now);

void ran_close(struct ran *r);

bool ran_has(const struct ran *r, const char key[RAN_KEY_SIZE]);

/** Add a digest, durably. now: unix seconds. Returns 0, or -1 with errno set: it may be forgotten then. */
int ran_add(struct ran *r, const char key[RAN_KEY_SIZE], int64_t now);

#endif
