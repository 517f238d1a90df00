#include "cli/lib/secret_note.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "store/durable.h"

enum { NOTE_MAX = 64 * 1024 };

int
secret_note_read(const char *secrets, const char *suffix, struct buf *text)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s%s", secrets, suffix) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	if (file_read_path(path, NOTE_MAX, text) && errno != ENOENT)
		return (-1);
	/* So that there is always a string. */
	buf_adds(text, "");
	return (text->failed ? -1 : 0);
}

/* Open the directory of the note, and write the note's own name. Returns a descriptor, or -1 with errno set. */
static int
open_directory(const char *secrets, const char *suffix, char name[NAME_MAX + 1])
{
	const char *slash = strrchr(secrets, '/');
	char directory[PATH_MAX];

	if (snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - secrets) + 1 : 1,
		slash ? secrets : ".") >= (int)sizeof(directory) ||
	    snprintf(name, NAME_MAX + 1, "%s%s", slash ? slash + 1 : secrets, suffix) > NAME_MAX) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	return (open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

int
secret_note_write(const char *secrets, const char *suffix, const struct buf *text)
{
	char name[NAME_MAX + 1];
	int dir = open_directory(secrets, suffix, name), result;

	if (dir == -1)
		return (-1);
	result = durable_replace(dir, name, text->data, text->len, 0644);
	file_close(dir);
	return (result);
}

int
secret_note_remove(const char *secrets, const char *suffix)
{
	char name[NAME_MAX + 1];
	int dir = open_directory(secrets, suffix, name), result = -1;

	if (dir == -1)
		return (-1);
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		result = sync_directory(dir);
	file_close(dir);
	return (result);
}
