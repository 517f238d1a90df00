#ifndef CLI_LIB_SECRET_FILE_H
#define CLI_LIB_SECRET_FILE_H

#include "base/conf.h"
#include "delivery/secrets.h"

/* Changing a droplet's file of secrets (contract sections 2 and 5). */

enum { FRESH_SECRET_SIZE = 4 + 64 + 1 };

/** A new secret: "dws_" and 32 random bytes in hexadecimal. Returns 0, or -1 with errno set. */
int secret_fresh(char out[FRESH_SECRET_SIZE]);

/**
 * The droplet that is meant: the one called `name`, or the only one where `name` is NULL. It has a file
 * of secrets. NULL after saying what is wrong.
 */
const struct conf_droplet *secret_droplet(const struct conf *conf, const char *name);

/**
 * The live secrets, newest first, for secret_list_free(). A file that is missing or has none in it is
 * an empty list. NULL after saying what is wrong.
 */
struct secret_list *secret_file_read(const char *path);

/**
 * Add a secret as the newest one. All else in the file stays, and so do its owner, group and mode; a
 * file that is missing is made, 0640 with the group of the state directory where that is possible.
 * The change is on stable storage, and live, when this returns 0; -1 after saying what is wrong.
 */
int secret_file_add(const struct conf *conf, const char *path, const char *secret);

/**
 * Take a secret out, on every line that has it; the last one only where `last_too`.
 * Returns 0, or -1 after saying what is wrong.
 */
int secret_file_remove(const struct conf *conf, const char *path, const char *secret,
    bool last_too);

#endif
