#include "store/installations.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char suffix[] = ".json";

enum { SUFFIX_LEN = sizeof(suffix) - 1 };

/* The record's name, or -1 where the file is no record: others put files into folders, too. */
static int
record_of(char record[NAME_SIZE], const char *file)
{
	size_t len = strlen(file);

	if (*file == '.' || len <= SUFFIX_LEN || len - SUFFIX_LEN > NAME_MAX_LEN ||
	    strcmp(file + len - SUFFIX_LEN, suffix) != 0)
		return (-1);
	snprintf(record, NAME_SIZE, "%.*s", (int)(len - SUFFIX_LEN), file);
	return (0);
}

int
installations_each(int dir, int (*each)(void *user, const char *record, struct installation *i),
    void *user)
{
	/* A descriptor of its own: the caller's keeps its place. */
	int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), result = 0;
	DIR *folder = own == -1 ? NULL : fdopendir(own);
	struct installation *i;
	struct dirent *entry;
	char record[NAME_SIZE];

	if (folder == NULL) {
		if (own != -1)
			close(own);
		return (-1);
	}
	while (result == 0 && (entry = readdir(folder)) != NULL) {
		if (record_of(record, entry->d_name))
			continue;
		i = installation_load(dir, record);
		/* Removed meanwhile. */
		if (i || errno != ENOENT)
			result = each(user, record, i);
	}
	closedir(folder);
	return (result);
}
