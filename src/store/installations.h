#ifndef STORE_INSTALLATIONS_H
#define STORE_INSTALLATIONS_H

#include "store/installation.h"

/**
 * Read every record of the installations folder `dir`, in no particular order, and call each(), which
 * gets the installation to keep or to free: NULL, with errno set as by installation_load(), for one
 * that cannot be read. Stops when each() returns non-zero.
 * Returns 0, what each() returned, or -1 with errno set where the folder cannot be read.
 */
int installations_each(int dir, int (*each)(void *user, const char *record, struct installation *i),
    void *user);

#endif
