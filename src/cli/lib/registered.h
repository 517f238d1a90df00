#ifndef CLI_LIB_REGISTERED_H
#define CLI_LIB_REGISTERED_H

#include <stdbool.h>

#include "base/conf.h"
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

/** The fingerprint of the secret that the registration of a URL uses. Returns whether there is one. */
bool registered_secret_of(const char *secrets, const char *url, char fingerprint[FINGERPRINT_SIZE]);

/** Note that the registrations with one secret use another now, durably. Returns 0, or -1 after saying what is wrong. */
int registered_replace(const char *secrets, const char *old, const char *fresh);

/* The URLs that were registered, or are being registered. */
struct registered_list {
	char **urls;
	size_t n;
};

/** Returns 0, or -1 after saying what is wrong. The caller ends *out with registered_list_free(). */
int registered_read(const char *secrets, struct registered_list *out);

void registered_list_free(struct registered_list *l);

/**
 * Keep another registration or rotation with this configuration out: two at once would make everything twice. The lock
 * ends with the descriptor that is returned, or with the process. -1 after saying what is wrong.
 */
int registered_lock(const struct conf *conf);

#endif
