#ifndef STORE_SEAL_NOTE_H
#define STORE_SEAL_NOTE_H

#include "store/seal.h"

/*
 * Which key the credentials of a state directory are sealed under: the file queue/seal. A program that has
 * another key, or none, finds out here before it writes anything.
 */

#define SEAL_NOTE "queue/seal"

/** Read it. queue: the directory's descriptor. "": there is none. Returns 0, or -1 with errno set. */
int seal_note_read(int queue, char id[SEAL_ID_SIZE]);

/** Write it durably. The caller holds state_lock(). Returns 0, or -1 with errno set. */
int seal_note_write(int queue, const char *id);

#endif
