#ifndef CLI_LIB_REGISTERED_H
#define CLI_LIB_REGISTERED_H

#include <stdbool.h>

#include "cli/lib/secret_file.h"

/*
 * What "fluidhook register" did with a file of secrets: <secrets>.registered, a line for each URL, "FINGERPRINT
 * pending URL" or "FINGERPRINT registered URL". It holds no secret.
 */

/**
 * A secret that was made for a registration that did not complete, so that the next one uses it. Writes its
 * fingerprint. Returns whether there is one.
 */
bool registered_pending(const char *secrets, char fingerprint[FINGERPRINT_SIZE]);

/** Whether a registration uses this secret. */
bool registered_uses(const char *secrets, const char *fingerprint);

/** Note what a registration of this URL uses, durably. Returns 0, or -1 after saying what is wrong. */
int registered_note(const char *secrets, const char *fingerprint, const char *url, bool pending);

#endif
