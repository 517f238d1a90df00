#include "worker/unread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/timefmt.h"
#include "worker/position.h"
#include "worker/resume.h"

enum { BLOCK = 64 * 1024, HEAD = 256 };

/* How many lines end behind this offset. Returns 0, or -1 with errno set. */
static int
count_from(int fd, uint64_t offset, unsigned long *lines)
{
	char *data = malloc(BLOCK);
	ssize_t n = -1;

	*lines = 0;
	while (data && (n = pread(fd, data, BLOCK, (off_t)offset)) > 0) {
		for (const char *p = data; (p = memchr(p, '\n', (size_t)(data + n - p))) != NULL;
		     p++)
			(*lines)++;
		offset += (uint64_t)n;
	}
	if (data)
		explicit_bzero(data, BLOCK);
	free(data);
	return (n == 0 ? 0 : -1);
}

/* When the delivery was received whose line begins at this offset. The time stands near a line's beginning. */
static int64_t
received_at(int fd, uint64_t offset)
{
	static const char key[] = "\"received_at\":\"";
	char head[HEAD + 1];
	ssize_t n = pread(fd, head, HEAD, (off_t)offset);
	struct timespec t;
	char *at;

	if (n <= 0)
		return (INT64_MAX);
	head[n] = '\0';
	head[strcspn(head, "\n")] = '\0';
	if ((at = strstr(head, key)) == NULL)
		return (INT64_MAX);
	at += sizeof(key) - 1;
	at[strcspn(at, "\"")] = '\0';
	return (timefmt_parse(at, &t) ? INT64_MAX : (int64_t)t.tv_sec);
}

/*
 * How many lines of a file the worker has not read, and since when. at: its position there; NULL: none. worked: what it
 * says is under way counts. What a worker that was killed had read is unread again.
 */
static void
count_unread(int journal, const struct follow_file *at, bool worked, struct unread *file)
{
	int fd = lines_open(journal, file->name), in_place;
	struct follow_file place;
	uint64_t offset;

	if (fd == -1) {
		file->error = errno;
		return;
	}
	if (at)
		place = *at;
	in_place = at ? resume_place(journal, fd, &place, true) : 0;
	offset = in_place == 1 ? place.offset : 0;
	/* Not in a file that was rewritten meanwhile, until the worker has seen that. */
	if (in_place == 1 && worked && place.under_way && offset == at->offset) {
		file->under_way = place.under_way;
		offset = place.read;
	}
	if (in_place == -1 || count_from(fd, offset, &file->lines))
		file->error = errno;
	else if (file->lines)
		file->oldest = received_at(fd, offset);
	close(fd);
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
	bool complete = true,
	     worked = queue_has_worker(q) && position_is_recent(queue_directory(q));
	unsigned n;
	size_t n_names;
	struct follow_file *files = position_load(queue_directory(q), &n, &complete);
	char(*names)[JOURNAL_NAME_SIZE];

	if (files == NULL &&
	    (n || (files = position_beginning(queue_directory(q), &n, &complete)) == NULL))
		return (-1);
	if ((names = journal_files(journal, &n_names)) == NULL) {
		free(files);
		return (-1);
	}
	for (size_t i = 0; i < n_names; i++) {
		const struct follow_file *at = find(files, n, names[i]);
		struct unread file = { .name = names[i], .oldest = INT64_MAX };

		/* Days that a version before 0.2 dealt with. */
		if ((at && at->is_old) ||
		    (at == NULL && !complete && n &&
			journal_file_compare(names[i], files[0].name) < 0))
			continue;
		count_unread(journal, at, worked, &file);
		if (file.error != ENOENT && (file.error || file.lines || file.under_way))
			each(user, &file);
	}
	free(names);
	free(files);
	return (0);
}
