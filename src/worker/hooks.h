#ifndef WORKER_HOOKS_H
#define WORKER_HOOKS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The hooks directory (contract section 6), as it was last read. It is read again when it has changed.
 */

struct hooks;

/** NULL: ENOMEM. */
struct hooks *hooks_new(void);

void hooks_free(struct hooks *h);

/**
 * The program for an event: "order.created", else "order", else "any"; the most specific one that exists, whether it
 * can be executed or not. Writes its path to out, of `size` bytes. path: the directory. optional: if it does not exist,
 * there are no hooks.
 * Returns 1, 0 if there is none, or -1 with errno set if that cannot be seen now.
 */
int hooks_find(struct hooks *h, const char *path, bool optional, const char *event, char *out,
    size_t size);

/** The home directory of this process's user, or NULL. Valid until the next call. */
const char *hooks_home(struct hooks *h);

#endif
