#ifndef CLI_LIB_SECRET_NOTE_H
#define CLI_LIB_SECRET_NOTE_H

#include "base/buf.h"

/* A small file of text beside a file of secrets, named after it: <secrets>.registered. It holds no secret. */

/** Read it whole; empty if there is none. Returns 0, or -1 with errno set. */
int secret_note_read(const char *secrets, const char *suffix, struct buf *text);

/** Put the text in its place, durably. Returns 0, or -1 with errno set. */
int secret_note_write(const char *secrets, const char *suffix, const struct buf *text);

/** Remove it, durably. That it does not exist is fine. Returns 0, or -1 with errno set. */
int secret_note_remove(const char *secrets, const char *suffix);

#endif
