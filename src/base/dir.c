#include "base/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/file.h"

static int
open_stream(struct dir *d, int fd)
{
	d->stream = fd == -1 ? NULL : fdopendir(fd);
	if (d->stream)
		return (0);
	file_close(fd);
	return (-1);
}

int
dir_open(struct dir *d, int parent, const char *name)
{
	return (
	    open_stream(d, openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)));
}

int
dir_open_path(struct dir *d, const char *path)
{
	return (open_stream(d, open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
}

int
dir_next(struct dir *d, const char **name)
{
	const struct dirent *entry;

	do {
		/* readdir() returns NULL for both the end and an error. */
		errno = 0;
		if ((entry = readdir(d->stream)) == NULL)
			return (errno ? -1 : 0);
	} while (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
	*name = entry->d_name;
	return (1);
}

int
dir_fd(const struct dir *d)
{
	return (dirfd(d->stream));
}

void
dir_close(struct dir *d)
{
	int saved = errno;

	if (d->stream)
		closedir(d->stream);
	d->stream = NULL;
	errno = saved;
}

int
dir_has_entries(int parent, const char *name)
{
	const char *entry;
	struct dir d;
	int result;

	if (dir_open(&d, parent, name))
		return (-1);
	result = dir_next(&d, &entry);
	dir_close(&d);
	return (result);
}
