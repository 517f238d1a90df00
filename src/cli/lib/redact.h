#ifndef CLI_LIB_REDACT_H
#define CLI_LIB_REDACT_H

#include "base/buf.h"

/**
 * A delivery's body to be shown: the values of Fluid's credentials, wherever they stand, replaced by
 * "present". Written anew as indented JSON, appended to `out`. Returns 0, or -1 where the body is no
 * JSON object (or memory is short).
 */
int redact_body(const char *body, size_t len, struct buf *out);

#endif
