#ifndef STORE_SUPERSEDE_H
#define STORE_SUPERSEDE_H

#include "store/changes.h"

/* A company has one active installation of a droplet: the newest. */

/**
 * Put `i` among the changes, and make it supersede the older installations of the same droplet for the same company,
 * if it is active; if a newer one is active, that one supersedes `i`. All of them are read before anything is
 * changed. was: where `i` belongs as it is in its file. changed: there is something to save in `i` itself; else it
 * is only to be on stable storage. `i` belongs to the changes from then on, or is freed.
 * Returns 0, or -1 with errno set.
 */
int supersede_put(struct changes *c, struct installation *i, const struct lifecycle_places *was,
    bool changed);

#endif
