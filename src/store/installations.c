#include "store/installations.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/dir.h"

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
	struct installation *i;
	const char *name;
	struct dir d;
	int more, result = 0;
	size_t len;

	if (dir_open(&d, dir, "."))
		return (-1);
	while (result == 0 && (more = dir_next(&d, &name)) != 0) {
		if (more == -1) {
			result = -1;
			break;
		}
		if (!is_record(name, len = strlen(name)))
			continue;
		i = load(dir, name, len);
		/* Removed meanwhile. */
		if (i || errno != ENOENT)
			result = each(user, name, i);
	}
	dir_close(&d);
	return (result);
}
