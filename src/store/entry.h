#ifndef STORE_ENTRY_H
#define STORE_ENTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/json.h"

/*
 * One line of the journal (contract section 4). Strings are NULL where the line says null. A body can
 * be any bytes that are valid UTF-8; the other strings hold no NUL.
 */
struct entry {
	const char *delivery;
	const char *received_at;
	const char *event;
	const char *installation;
	const char *fluid_shop;
	const char *id; /* its text; id_is_number tells the JSON type */
	bool id_is_number;
	const char *identifier;
	const char *verified_by;
	const char *key;
	const char *timestamp; /* decimal digits */
	const char *signature;
	/* Lines of versions before 0.2 have none of these three. */
	const char *fingerprint; /* of the key that verified it (secret_fingerprint()) */
	const char *droplet;     /* the uuid of the droplet whose authority it came under */
	const char *sha256;      /* of the body, hexadecimal */
	/* Only of a request that was refused at first: its id there, and when it was received. */
	const char *refused;
	const char *refused_at;
	const char *body;
	size_t body_len;
	const char *sealed_body; /* as it is stored (store/seal.h); callers leave it NULL */
};

/**
 * Append the line, without a newline, to `out`. With a seal key, a body that can hold credentials is sealed
 * (store/seal.h): of lifecycle events, and with a member named like a credential. Returns 0, or -1 with
 * errno set: ENOMEM, or why there is no key.
 */
int entry_write(const struct entry *e, struct buf *out);

/**
 * Read a line. The strings lie in `texts`, which the caller has emptied and keeps (and frees) as long
 * as the entry is used. A sealed body is opened.
 * Returns 0, or -1 with errno set. EBADMSG: the line is no whole entry (a crash can leave one), or its
 * sealed body was changed. ENOMEM. Any other: a whole entry whose sealed body cannot be opened now
 * (ENOKEY: its key is not among ours); then everything but the body is there, which is NULL.
 */
int entry_read(struct entry *e, const char *line, size_t len, struct buf *texts);

/** What the journal says of it, for `--json`: all but the signature and the body. The caller begins and ends the object. */
void entry_print(const struct entry *e, struct json_writer *w);

#endif
