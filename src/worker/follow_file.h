#ifndef WORKER_FOLLOW_FILE_H
#define WORKER_FOLLOW_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/uuid.h"
#include "store/journal_files.h"

/* A journal file and how far it has been read. */
struct follow_file {
	char name[JOURNAL_NAME_SIZE];
	uint64_t offset; /* the beginning of the next line */
	uint64_t last;   /* the beginning of the last delivery before it, or of that line's own */
	char delivery[UUID_SIZE]; /* that delivery; "": not known */
	bool is_old;              /* counts as read to its end, wherever that is */
	/* For those who only look: lines from the offset on that were read and are under way, and where what follows them begins. */
	unsigned long under_way;
	uint64_t read; /* only if under_way is not 0 */
};

#endif
