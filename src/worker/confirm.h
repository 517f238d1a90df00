#ifndef WORKER_CONFIRM_H
#define WORKER_CONFIRM_H

#include "fluid/installations.h"
#include "store/installation.h"
#include "store/lifecycle_fluid.h"
#include "worker/resolve.h"

/*
 * Unsigned installs: whether Fluid says that an installation, and the company it claims to be of, are as
 * the unverified body says (contract section 3, the last row of evidence).
 */

/** The rules of store/lifecycle_fluid.h, for what the API said. */
bool confirm_agrees(const struct installation *i, const struct fluid_installation *f);
enum lifecycle_confirmation confirm_compare(const struct installation *i,
    const struct fluid_installation *f);

int confirm_complete(struct installation *i, const struct fluid_installation *f);

/** Ask Fluid about an unconfirmed record, with the token it has. Takes `asked` over. */
enum resolved confirm_record(const struct resolving *s, struct installation *asked);

#endif
