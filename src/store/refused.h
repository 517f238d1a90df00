#ifndef STORE_REFUSED_H
#define STORE_REFUSED_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/buf.h"

/*
 * Requests that were refused and can be accepted later: a file each in refused/, called by its id. Its
 * first line is JSON and says what the request was; the exact bytes of the body follow, or with a seal key
 * the sealed body (store/seal.h). The raw keys of
 * AUTH_TOKEN and X-Fluid-Token are never among it. The space is bounded: the oldest are removed first.
 */

enum { REFUSED_ID_SIZE = 32 + 1 };

struct refused {
	char id[REFUSED_ID_SIZE];    /* hexadecimal; the same for identical requests */
	struct timespec received_at; /* of the first of them */
	uint64_t count;              /* how often it was received */
	int status;                  /* of the answer */
	const char *reason;          /* the word of the log */
	const char *method;
	const char *shop; /* X-Fluid-Shop, X-Fluid-Timestamp, X-Fluid-Signature; or NULL */
	const char *timestamp;
	const char *signature;
	const char *body;
	size_t body_len;
};

struct refused_store;

/** top: the state directory's descriptor, used only now. NULL with errno set. */
struct refused_store *refused_open(int top);

void refused_close(struct refused_store *s);

/** The descriptor of the directory. */
int refused_dir(const struct refused_store *s);

/**
 * Keep a request, within `most` bytes of files. One that is there already is counted. Nothing is synced:
 * after a power failure it is there as a whole, or it is not there. r->count is not used.
 * Returns 0, also if it is too large to be kept, or -1 with errno set. Safe from several threads.
 */
int refused_keep(struct refused_store *s, uint64_t most, const struct refused *r);

/**
 * The ids of all, in the order they were received: an array of *n for free(). NULL with errno set, and *n
 * 0; with *n 0 also an array of none is possible.
 */
char (*refused_list(const struct refused_store *s, size_t *n))[REFUSED_ID_SIZE];

/**
 * Read one. The strings lie in `texts` and `file`, which the caller frees.
 * Returns 0, or -1 with errno set: EBADMSG for a file that is damaged, or not complete.
 */
int refused_read(const struct refused_store *s, const char *id, struct refused *r,
    struct buf *texts, struct buf *file);

/** Returns 0, also if it is not there, or -1 with errno set. */
int refused_remove(const struct refused_store *s, const char *id);

#endif
