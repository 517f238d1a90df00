#ifndef STORE_INSTALLATIONS_H
#define STORE_INSTALLATIONS_H

#include "store/installation.h"

/**
 * Read every record of the installations directory `dir`, in no particular order, and call each() with the
 * file's name and the installation, to keep or to free: NULL, with errno set as by installation_load(),
 * where the file cannot be read (EBADMSG also where no record can be called so). Stops when each()
 * returns non-zero.
 * Returns 0, what each() returned, or -1 with errno set where the directory cannot be read.
 */
int installations_each(int dir, int (*each)(void *user, const char *file, struct installation *i),
    void *user);

#endif
