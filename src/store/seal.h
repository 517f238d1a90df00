#ifndef STORE_SEAL_H
#define STORE_SEAL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/*
 * Sealing: what is stored of customers' credentials is encrypted (contract sections 2 and 4), so that a
 * backup or a stray copy of the state directory shows none. It protects against nobody who can read the
 * key as well.
 *
 * A sealed value is the text "sealed:<key id>:<base64>". The base64 is a nonce of 12 random bytes, the
 * ciphertext, and a tag of 16 bytes: ChaCha20-Poly1305 (RFC 8439) of nettle. The record's name and the
 * field are authenticated with it, so that a value cannot be moved to another record or field. The key id
 * tells which key sealed it. One key is good for 2^32 values.
 *
 * The key file has one key on a line (64 hexadecimal digits), newest first. The first one seals, all of
 * them open. It is read again when it changes on disk. The keys are process-wide, like the log: records
 * are read and written in many places, and all of them use the same keys. Safe from several threads.
 */

enum { SEAL_KEY_SIZE = 32, SEAL_KEYS_MAX = 8, SEAL_ID_SIZE = 8 + 1 };

/** Use the keys in this file from now on; NULL: there is no key. The path is copied; nothing is read yet. */
void seal_use(const char *path);

/** Whether a key is configured. It need not be readable. */
bool seal_is_on(void);

/**
 * Whether the key file can be read now, read anew if it has changed. current: where not NULL, the id of
 * the key that seals. Returns 0, or -1 with errno set: ENOKEY where none is configured, else as
 * seal_problem() says.
 */
int seal_ready(char current[SEAL_ID_SIZE]);

/** Whether a key of this id is among the keys. */
bool seal_has(const char *id);

/** What an errno of these functions means for a person: "not a regular file". */
const char *seal_problem(int error);

/** The id of a key: the beginning of a digest of it, so that it says nothing about the key. */
void seal_key_id(char id[SEAL_ID_SIZE], const unsigned char key[SEAL_KEY_SIZE]);

/** Whether a text has the form of a sealed value. */
bool seal_is_sealed(const char *text, size_t len);

/** Whether it is sealed under the key that seals now: otherwise it is to be sealed anew. */
bool seal_is_current(const char *text, size_t len);

/** The id of the key of a sealed value; "" if it is none. */
void seal_id_of(char id[SEAL_ID_SIZE], const char *text, size_t len);

/**
 * Seal len bytes of the field of the record called `identity`, and add the text to `out`.
 * Returns 0, or -1 with errno set: ENOMEM, or why there is no key. Nothing is added then.
 */
int seal_add(struct buf *out, const char *identity, const char *field, const void *data,
    size_t len);

/**
 * Open a sealed value and add its bytes to `out`, which the caller ends with buf_wipe().
 * Returns 0, or -1 with errno set and nothing added: ENOKEY where its key is not among ours, EBADMSG
 * where it was changed, cut or moved, or why the key file cannot be read.
 */
int seal_open(struct buf *out, const char *identity, const char *field, const char *text,
    size_t len);

#endif
