#ifndef CLI_CHECK_H
#define CLI_CHECK_H

#include <sys/types.h>

#include "base/conf.h"
#include "cli/lib/checklist.h"
#include "fluid/token.h"
#include "fluid/api.h"

/* The parts of `fluidhook check`. Each adds lines to the list. */

/**
 * The state directory: there, closed to others, writable, with room, its records readable. Where we are
 * root, become its owner first. Returns 0, or -1 where it is of no use to look at what the owner can do.
 */
int check_state(struct checklist *l, const struct conf *conf);

/**
 * Whether every write of the receiver works in the open state directory `top`; it is tried. owner: who we
 * are, for the message.
 */
void check_write(struct checklist *l, const char *state_dir, int top, const char *owner);

/** Subscriptions that failed, as the records say. The state directory can be read. */
void check_subscriptions(struct checklist *l, const struct conf *conf);

/**
 * The receivers that serve, by their notes in the state directory: each is asked for its health. Called
 * before check_state(), because the sockets may be root's and the web server's alone.
 */
void check_receivers(struct checklist *l, const struct conf *conf);

/**
 * What waits to be handed on in the open state directory `top`, whether a worker does it, and what was given up.
 * pending: how many installations wait for the worker.
 */
void check_queue(struct checklist *l, const struct conf *conf, int top, unsigned pending);

/**
 * What looks like a mistake in a secret or token of len bytes: a few words behind "the line ...", and *hint. NULL if
 * nothing does.
 */
const char *secret_mistake(const char *secret, size_t len, const char **hint);

/** The lines of a file of secrets: each that looks like a mistake is named. Returns whether none does. */
bool check_secret_lines(struct checklist *l, const char *path);

/**
 * What Fluid says: whether the tokens are valid (token: the company's; {0} for none), and whether the webhooks lead here.
 * Reads the records, so it is called as the owner of the state directory.
 */
void check_remote(struct checklist *l, const struct conf *conf, struct fluid_api *t,
    const struct fluid_token *token);

/** systemd's units that are enabled and use our configuration: do they run as the state directory's owner? */
void check_units(struct checklist *l, const struct conf *conf);

enum { CHECK_OWNER_SIZE = 64 };

/** A user's name, or "user 1234" for one that has none. */
void check_user_name(char out[CHECK_OWNER_SIZE], uid_t uid);

/** The hooks directory, as its worker sees it. */
void check_hooks(struct checklist *l, const struct conf *conf);

#endif
