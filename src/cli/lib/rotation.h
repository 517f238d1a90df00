#ifndef CLI_LIB_ROTATION_H
#define CLI_LIB_ROTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "delivery/secrets.h"

/*
 * How far the rotation of a droplet's secret is: <secrets>.rotation. The file exists from before the new secret is
 * made until the old ones are retired, so that the next run completes what was begun. It holds no secret.
 */
struct rotation {
	char fresh[FINGERPRINT_SIZE]; /* the new secret */
	char old[SECRETS_MAX][FINGERPRINT_SIZE];
	size_t n_old;
	int64_t
	    moved_at; /* when no webhook at Fluid used an old one any more, unix seconds; 0: not yet */
};

/** Returns 1, 0 if there is no rotation, or -1 after saying what is wrong. */
int rotation_read(const char *secrets, struct rotation *r);

/** Note it, durably. Returns 0, or -1 after saying what is wrong. */
int rotation_write(const char *secrets, const struct rotation *r);

/** It is complete. Returns 0, or -1 after saying what is wrong. */
int rotation_end(const char *secrets);

/** Whether this is one of the secrets that are to be retired. */
bool rotation_is_old(const struct rotation *r, const char *fingerprint);

/** Add a secret to those that are to be retired, unless it is among them. */
void rotation_add_old(struct rotation *r, const char *fingerprint);

#endif
