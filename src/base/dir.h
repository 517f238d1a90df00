#ifndef BASE_DIR_H
#define BASE_DIR_H

#include <dirent.h>
#include <stdbool.h>

/*
 * The entries of a directory. A directory that could not be read to its end is an error, never a
 * shorter list:
 *
 *	struct dir d;
 *	const char *name;
 *	int more;
 *
 *	if (dir_open(&d, parent, "installations"))
 *		return (-1);
 *	while ((more = dir_next(&d, &name)) == 1)
 *		...
 *	dir_close(&d);
 *	return (more);
 */
struct dir {
	DIR *stream;
};

/**
 * Open the directory `name` in `parent` (AT_FDCWD: the working directory) for reading, from its first
 * entry. It is not followed if it is a symbolic link. "." reads the open directory `parent` itself,
 * whose own position is not touched. Returns 0, or -1 with errno set; dir_close() is then not needed,
 * and harmless.
 */
int dir_open(struct dir *d, int parent, const char *name);

/** dir_open() of a path out of the configuration, which may be a symbolic link. */
int dir_open_path(struct dir *d, const char *path);

/**
 * The next entry but "." and "..", in no order. Returns 1 with *name set (valid until the next call), 0
 * at the end, or -1 with errno set where the directory could not be read further.
 */
int dir_next(struct dir *d, const char **name);

/** The open directory's descriptor, for the at-functions. It belongs to d. */
int dir_fd(const struct dir *d);

/** Leaves errno as it is. */
void dir_close(struct dir *d);

/** Whether a directory has any entry. Returns 1, 0, or -1 with errno set. */
int dir_has_entries(int parent, const char *name);

#endif
