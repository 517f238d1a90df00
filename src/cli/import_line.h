#ifndef CLI_IMPORT_LINE_H
#define CLI_IMPORT_LINE_H

#include <stdbool.h>
#include <time.h>

#include "base/conf.h"
#include "delivery/delivery.h"
#include "delivery/signature.h"
#include "store/lifecycle.h"

/* One installation in a file for `fluidhook import`. */

struct import_line {
	struct delivery *delivery; /* has the texts */
	char record[NAME_SIZE];    /* the record's name; "": none is known */
	char sha256[SIGNATURE_HEX_SIZE];
	struct lifecycle_event install, ended;
	bool is_over; /* `ended` counts */
};

/**
 * Read a line: an object of Fluid's field names, or one that has them inside `company`. now: what counts as the time
 * of the change if the line has none.
 * Returns NULL, or why the installation cannot be imported: a static text without anything out of the line. To be
 * ended with import_line_free() in both cases.
 */
const char *import_line_read(struct import_line *l, const struct conf *conf, const char *line,
    size_t len, const struct timespec *now);

void import_line_free(struct import_line *l);

#endif
