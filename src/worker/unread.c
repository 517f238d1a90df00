#include "worker/unread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/position.h"

enum { BLOCK = 64 * 1024 };

/* How many lines end behind this offset. Returns 0, or -1 with errno set. */
static int
count_from(int fd, uint64_t offset, unsigned long *lines)
{
	char *data = malloc(BLOCK);
	ssize_t n = -1;

	*lines = 0;
	while (data && (n = pread(fd, data, BLOCK, (off_t)offset)) > 0) {
		for (const char *p = data; (p = memchr(p, '\n', (size_t)(data + n - p))) != NULL; p++)
			(*lines)++;
		offset += (uint64_t)n;
	}
	if (data)
		explicit_bzero(data, BLOCK);
	free(data);
	return (n == 0 ? 0 : -1);
}

/* How many lines of a file the worker has not read. at: its position there; NULL: none. Returns 0, or an errno. */
static int
count_unread(int journal, const char *name, const struct follow_file *at, unsigned long *lines)
{
	int fd = lines_open(journal, name), in_place, error = 0;

	*lines = 0;
	if (fd == -1)
		return (errno);
	in_place = at ? follow_is_in_place(fd, at) : 0;
	if (in_place == -1 || count_from(fd, in_place ? at->offset : 0, lines))
		error = errno;
	close(fd);
	return (error);
}

static const struct follow_file *
find(const struct follow_file *files, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(files[i].name, name) == 0)
			return (&files[i]);
	return (NULL);
}

int
unread_each(int journal, struct queue *q, unread_file *each, void *user)
{
	bool complete = true;
	unsigned n;
	size_t n_names;
	struct follow_file *files = position_load(queue_directory(q), &n, &complete);
	char (*names)[JOURNAL_NAME_SIZE];
	unsigned long lines;
	int error;

	if (files == NULL && (n || (files = position_beginning(queue_directory(q), &n, &complete)) == NULL))
		return (-1);
	if ((names = journal_files(journal, &n_names)) == NULL) {
		free(files);
		return (-1);
	}
	for (size_t i = 0; i < n_names; i++) {
		const struct follow_file *at = find(files, n, names[i]);

		/* Days that a version before 0.2 dealt with. */
		if ((at && at->is_old) ||
		    (at == NULL && !complete && n && journal_file_compare(names[i], files[0].name) < 0))
			continue;
		error = count_unread(journal, names[i], at, &lines);
		if (error != ENOENT && (error || lines))
			each(user, names[i], lines, error);
	}
	free(names);
	free(files);
	return (0);
}
