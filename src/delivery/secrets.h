#ifndef DELIVERY_SECRETS_H
#define DELIVERY_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

/* A droplet's live secrets: a file with one secret a line, the newest first (contract section 2). */

enum { SECRETS_MAX = 16, SECRET_LEN_MAX = 512, FINGERPRINT_SIZE = 12 + 1 };

struct secret_list {
	char **secrets;
	size_t n;
	unsigned users; /* of secrets_get() */
};

/**
 * Read a secrets file. A byte order mark, blank lines and lines that begin with '#' are skipped.
 * Returns a list for secret_list_free(), or NULL with errno set: EACCES also where the file is open
 * to others, ENODATA where there is no secret in it, EBADMSG where a line is too long or has control
 * characters, or there are too many.
 */
struct secret_list *secret_list_read(const char *path);

void secret_list_free(struct secret_list *l);

/** Why secret_list_read() failed with this errno, in a few words. */
const char *secrets_problem(const char *path, int error);

/**
 * The secret on a line of such a file, which is *len bytes long without its newline: where it begins,
 * and its length in *len. That is 0 where the line is blank or a remark.
 */
const char *secret_of_line(const char *line, size_t *len);

/** Whether such a line can hold this, and be read again as the same. */
bool secret_is_valid(const char *secret, size_t len);

/**
 * The first digits of a secret's SHA-256. They tell secrets apart, and a secret cannot be guessed from
 * them.
 */
void secret_fingerprint(char out[FINGERPRINT_SIZE], const char *secret);

struct secrets;

/** A cache of secrets files that reads one again when it has changed on disk. NULL: ENOMEM. */
struct secrets *secrets_new(void);

void secrets_free(struct secrets *s);

/**
 * The secrets of a file, as it is now (store/glance.h). To be given back with secrets_release().
 * NULL with errno set as by secret_list_read(). Safe from several threads.
 */
struct secret_list *secrets_get(struct secrets *s, const char *path);

void secrets_release(struct secrets *s, struct secret_list *l);

#endif
