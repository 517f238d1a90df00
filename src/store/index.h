#ifndef STORE_INDEX_H
#define STORE_INDEX_H

/*
 * The indexes shops/ and companies/: a folder for each key, in it a symbolic link for each
 * installation, to ../../installations/<record>.json. The links are for people and scripts;
 * fluidhook reads their names and never follows them.
 */

/** Note on stable storage that `record` belongs to `key`. Both names are safe. 0, or -1 with errno. */
int index_add(int folder, const char *key, const char *record);

/** Take that back. Nothing there is fine. Returns 0, or -1 with errno set. */
int index_remove(int folder, const char *key, const char *record);

/**
 * Call each(user, record) for the records of a key, in no particular order, until it returns
 * non-zero; at most `most` of them (0: all). Names that are not safe are passed over.
 * Returns 0 (also where the key is unknown, or no safe name), or -1 with errno set.
 */
int index_each(int folder, const char *key, unsigned most,
    int (*each)(void *user, const char *record), void *user);

#endif
