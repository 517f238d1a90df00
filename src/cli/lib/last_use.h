#ifndef CLI_LIB_LAST_USE_H
#define CLI_LIB_LAST_USE_H

#include <stddef.h>
#include <stdint.h>

#include "base/conf.h"
#include "delivery/secrets.h"

/* When a droplet's secret was the key of a delivery for the last time, as the journal says. */
struct last_use {
	char fingerprint[FINGERPRINT_SIZE];
	int64_t at; /* when that delivery was received, unix seconds; 0: none in the journal */
};

/**
 * Fill in `at` of n secrets. Reads the journal from its end as far as is needed, as the user who runs the command.
 * Returns 0, or -1 after saying what cannot be read: then nothing is known of any.
 */
int last_use_find(const struct conf *conf, struct last_use *uses, size_t n);

#endif
