#ifndef WORKER_CONFIRM_H
#define WORKER_CONFIRM_H

#include "fluid/installations.h"
#include "store/installation.h"
#include "worker/resolve.h"

/*
 * Unsigned installs: whether Fluid says that an installation, and the company it claims to be of, are as
 * the unverified body says (contract section 3, the last row of evidence).
 */

enum confirmation {
	CONFIRMED, /* Fluid names this droplet, this installation and this owner */
	DENIED,    /* Fluid says otherwise */
	UNSAID,    /* Fluid has not said all of it yet */
};

/** Compare a record, which is unconfirmed, with what Fluid said about it. */
enum confirmation confirm_compare(const struct installation *i, const struct fluid_installation *f);

/** Take over what the body left unsaid and Fluid said. Returns 0, or -1: ENOMEM. */
int confirm_complete(struct installation *i, const struct fluid_installation *f);

/** Ask Fluid about an unconfirmed record, with the token it has. Takes `asked` over. */
enum resolved confirm_record(const struct resolving *s, struct installation *asked);

#endif
