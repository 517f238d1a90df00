#include "store/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/dir.h"
#include "base/file.h"
#include "store/durable.h"
#include "store/journal_files.h"

const char layout_version_file[] = "VERSION";

static const char version_text[] = "1\n";

static const struct {
	const char *path, *name;
	int parent; /* -1: the state directory itself */
} dirs[LAYOUT_ALL] = {
	[LAYOUT_INSTALLATIONS] = { "installations", "installations", -1 },
	[LAYOUT_SHOPS] = { "shops", "shops", -1 },
	[LAYOUT_COMPANIES] = { "companies", "companies", -1 },
	[LAYOUT_JOURNAL] = { "journal", "journal", -1 },
	[LAYOUT_RUNS] = { "runs", "runs", -1 },
	[LAYOUT_REFUSED] = { "refused", "refused", -1 },
	[LAYOUT_QUEUE] = { "queue", "queue", -1 },
	[LAYOUT_PENDING] = { "queue/pending", "pending", LAYOUT_QUEUE },
	[LAYOUT_UNCONFIRMED] = { "queue/unconfirmed", "unconfirmed", LAYOUT_QUEUE },
	[LAYOUT_SUBSCRIBE] = { "queue/subscribe", "subscribe", LAYOUT_QUEUE },
	[LAYOUT_WAITING] = { "queue/waiting", "waiting", LAYOUT_QUEUE },
	[LAYOUT_DEAD] = { "queue/dead", "dead", LAYOUT_QUEUE },
	[LAYOUT_RAN] = { "queue/ran", "ran", LAYOUT_QUEUE },
	[LAYOUT_RECEIVERS] = { "queue/receivers", "receivers", LAYOUT_QUEUE },
	[LAYOUT_RESERVES] = { "queue/reserves", "reserves", LAYOUT_QUEUE },
	[LAYOUT_ANSWERS] = { "queue/answers", "answers", LAYOUT_QUEUE },
};

const char *
layout_path(enum layout_dir dir)
{
	return (dirs[dir].path);
}

const char *
layout_name(enum layout_dir dir)
{
	return (dirs[dir].name);
}

int
layout_open(int top, enum layout_dir dir)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int parent, fd;

	if (dirs[dir].parent == -1)
		return (openat(top, dirs[dir].name, flags));
	if ((parent = layout_open(top, (enum layout_dir)dirs[dir].parent)) == -1)
		return (-1);
	fd = openat(parent, dirs[dir].name, flags);
	file_close(parent);
	return (fd);
}

/* Make one directory. Returns 1 if it was missing, 0 if it was there, or -1 with errno set. */
static int
make(int top, enum layout_dir dir)
{
	int parent = dirs[dir].parent == -1 ? dup(top) :
					      layout_open(top, (enum layout_dir)dirs[dir].parent),
	    fd = -1, result = -1;
	bool made;

	if (parent == -1)
		return (-1);
	/* Synced also where it was there before: whoever made it may have died before this. */
	if ((fd = make_directory(parent, dirs[dir].name, &made)) != -1 && sync_directory(fd) == 0 &&
	    sync_directory(parent) == 0)
		result = made;
	file_close(fd);
	file_close(parent);
	return (result);
}

int
layout_make(int top, void (*made)(void *user, const char *path), void *user,
    enum layout_dir *failed)
{
	int result;

	for (int d = 0; d < LAYOUT_N; d++) {
		if ((result = make(top, (enum layout_dir)d)) == -1) {
			*failed = (enum layout_dir)d;
			return (-1);
		}
		if (result && made)
			made(user, dirs[d].path);
	}
	return (0);
}

static bool
is_record(const char *name)
{
	const char *end = strrchr(name, '.');

	return (*name != '.' && end && strcmp(end, ".json") == 0);
}

static bool
is_journal(const char *name)
{
	return (journal_file_number(name) >= 0);
}

/* Whether a directory has a file with such a name. Returns 1, 0 (also if it is missing), or -1. */
static int
has_file(int top, enum layout_dir dir, bool (*wanted)(const char *name))
{
	int parent = dirs[dir].parent == -1 ? top :
					      layout_open(top, (enum layout_dir)dirs[dir].parent);
	const char *name;
	struct dir d;
	int more = -1;

	if (parent != -1 && dir_open(&d, parent, dirs[dir].name) == 0) {
		while ((more = dir_next(&d, &name)) == 1 && !wanted(name))
			;
		dir_close(&d);
	} else if (errno == ENOENT) {
		more = 0;
	}
	if (parent != top)
		file_close(parent);
	return (more);
}

int
layout_has_records(int top)
{
	return (has_file(top, LAYOUT_INSTALLATIONS, is_record));
}

enum layout_version
layout_version(int top, char number[LAYOUT_NUMBER_SIZE])
{
	struct buf text = { 0 };
	int records, journal;
	bool ours;

	number[0] = '\0';
	buf_adds(&text, "");
	if (file_read_at(top, layout_version_file, LAYOUT_NUMBER_SIZE - 1, &text) == 0) {
		ours = strcmp(text.data, version_text) == 0 || strcmp(text.data, "1") == 0;
		memccpy(number, text.data, '\n', LAYOUT_NUMBER_SIZE);
		number[strcspn(number, "\n")] = '\0';
		buf_free(&text);
		return (ours ? LAYOUT_OURS : LAYOUT_OTHER);
	}
	buf_free(&text);
	if (errno == EFBIG)
		return (LAYOUT_OTHER);
	if (errno != ENOENT)
		return (LAYOUT_UNREADABLE);
	if ((records = layout_has_records(top)) == -1 ||
	    (journal = has_file(top, LAYOUT_JOURNAL, is_journal)) == -1)
		return (LAYOUT_UNREADABLE);
	return (records && journal ? LAYOUT_OLD : LAYOUT_NONE);
}

int
layout_mark(int top)
{
	return (durable_replace(top, layout_version_file, version_text, sizeof(version_text) - 1,
	    0600));
}
