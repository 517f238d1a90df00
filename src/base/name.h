#ifndef BASE_NAME_H
#define BASE_NAME_H

#include <stdbool.h>
#include <stddef.h>

enum { NAME_MAX_LEN = 200, NAME_SIZE = NAME_MAX_LEN + 1 };

/**
 * The one rule for whatever becomes a path (contract section 4): 1 to 200 of A-Z a-z 0-9 . _ - and
 * no dot in front.
 */
bool name_is_safe(const char *s, size_t len);

/**
 * A shop as its directory is called: lower case, without one trailing ".fluid.app".
 * Returns 0, or -1 when what remains is not safe as a name.
 */
int name_of_shop(char out[NAME_SIZE], const char *shop, size_t len);

/**
 * What an installation's record is called: its uuid, or where the delivery has none (NULL)
 * company-<company_id>, with -<droplet_uuid> when there is one (may be NULL).
 * Returns 0, or -1 when there is neither uuid nor company, or the name is not safe.
 */
int name_of_installation(char out[NAME_SIZE], const char *dri, const char *company_id,
    const char *droplet_uuid);

#endif
