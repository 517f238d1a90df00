#include "store/installations.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char suffix[] = ".json";

enum { SUFFIX_LEN = sizeof(suffix) - 1 };

/* Whether it is meant to be a record: others put files into directories, too. */
static bool
is_record(const char *file, size_t len)
{
	return (*file != '.' && len > SUFFIX_LEN && strcmp(file + len - SUFFIX_LEN, suffix) == 0);
}

static struct installation *
load(int dir, const char *file, size_t len)
{
	char record[NAME_SIZE];

	if (!name_is_safe(file, len - SUFFIX_LEN)) {
		errno = EBADMSG;
		return (NULL);
	}
	snprintf(record, sizeof(record), "%.*s", (int)(len - SUFFIX_LEN), file);
	return (installation_load(dir, record));
}

int
installations_each(int dir, int (*each)(void *user, const char *file, struct installation *i),
    void *user)
{
	/* A descriptor of its own: the caller's keeps its place. */
	int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
	DIR *directory = own == -1 ? NULL : fdopendir(own);
	struct installation *i;
	struct dirent *entry;
	size_t len;

	if (directory == NULL) {
		if (own != -1)
			close(own);
		return (-1);
	}
	while (result == 0 && (errno = 0, entry = readdir(directory)) != NULL) {
		if (!is_record(entry->d_name, len = strlen(entry->d_name)))
			continue;
		i = load(dir, entry->d_name, len);
		/* Removed meanwhile. */
		if (i || errno != ENOENT)
			result = each(user, entry->d_name, i);
	}
	if (result == 0 && errno)
		result = -1;
	closedir(directory);
	return (result);
}
