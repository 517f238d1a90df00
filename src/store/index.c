#include "store/index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/name.h"
#include "store/durable.h"

static const char mark_name[] = "+complete", mark_target[] = "../VERSION";

/* Make the link of a record in the open directory of a key. Returns 1, 0 if it is there, or -1 with errno. */
static int
link_in(int dir, const char *record)
{
	char target[NAME_SIZE + 32], there[NAME_SIZE + 32];
	ssize_t n;

	snprintf(target, sizeof(target), "../../installations/%s.json", record);
	n = readlinkat(dir, record, there, sizeof(there));
	if (n == (ssize_t)strlen(target) && memcmp(there, target, strlen(target)) == 0)
		return (0);
	if (unlinkat(dir, record, 0) && errno != ENOENT)
		return (-1);
	return (symlinkat(target, dir, record) ? -1 : 1);
}

int
index_enter(int directory, const char *key, const char *record, enum index_made *made)
{
	bool made_key;
	int dir = make_directory(directory, key, &made_key), linked;

	if (dir == -1)
		return (-1);
	if ((linked = link_in(dir, record)) == -1) {
		file_close(dir);
		return (-1);
	}
	*made = made_key ? INDEX_KEY_MADE : linked ? INDEX_ENTRY_MADE : INDEX_WAS_THERE;
	return (dir);
}

int
index_add(int directory, const char *key, const char *record)
{
	enum index_made made;
	int dir = index_enter(directory, key, record, &made), result = 0;

	if (dir == -1)
		return (-1);
	/* Also where the link was there before: whoever made it may have died before this. */
	if (sync_directory(dir) || sync_directory(directory))
		result = -1;
	file_close(dir);
	return (result);
}

int
index_link(int directory, const char *key, const char *record)
{
	enum index_made made;
	int dir = index_enter(directory, key, record, &made);

	file_close(dir);
	return (dir == -1 ? -1 : 0);
}

int
index_remove(int directory, const char *key, const char *record)
{
	int dir = openat(directory, key, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int result = 0;

	if (dir == -1)
		return (errno == ENOENT ? 0 : -1);
	if (unlinkat(dir, record, 0) && errno != ENOENT)
		result = -1;
	file_close(dir);
	return (result);
}

/* One run of directory entries. Returns non-zero when the caller has had enough. */
static int
walk(const char *entries, size_t len, unsigned *left, int (*each)(void *, const char *), void *user,
    int *result)
{
	const struct dirent64 *entry;

	for (size_t at = 0; at < len; at += entry->d_reclen) {
		entry = (const void *)(entries + at);
		if (!name_is_safe(entry->d_name, strlen(entry->d_name)))
			continue;
		if ((*result = each(user, entry->d_name)) != 0 || --*left == 0)
			return (1);
	}
	return (0);
}

/* The same for an open directory; *result: what each() returned last. Returns 0, or -1 with errno set. */
static int
walk_directory(int dir, unsigned most, int (*each)(void *user, const char *record), void *user,
    int *result)
{
	_Alignas(struct dirent64) char entries[4096];
	unsigned left = most; /* 0 wraps around: as good as no limit */
	ssize_t n;

	*result = 0;
	while ((n = getdents64(dir, entries, sizeof(entries))) > 0)
		if (walk(entries, (size_t)n, &left, each, user, result))
			break;
	return (n == -1 ? -1 : 0);
}

static int
each_entry(int directory, const char *key, unsigned most,
    int (*each)(void *user, const char *record), void *user, int *result)
{
	int dir, result_of_walk;

	*result = 0;
	if (!name_is_safe(key, strlen(key)))
		return (0);
	dir = openat(directory, key, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir == -1)
		return (errno == ENOENT ? 0 : -1);
	result_of_walk = walk_directory(dir, most, each, user, result);
	file_close(dir);
	return (result_of_walk);
}

int
index_each_in(int dir, int (*each)(void *user, const char *record), void *user)
{
	int result;

	return (walk_directory(dir, 0, each, user, &result));
}

int
index_each(int directory, const char *key, unsigned most,
    int (*each)(void *user, const char *record), void *user)
{
	int result;

	return (each_entry(directory, key, most, each, user, &result));
}

int
index_each_until(int directory, const char *key, int (*each)(void *user, const char *record),
    void *user)
{
	int result;

	return (each_entry(directory, key, 0, each, user, &result) ? -1 : result);
}

/* Whether one index has its mark. Returns 1, 0, or -1 with errno set. */
static int
has_mark(int directory)
{
	struct stat st;

	if (fstatat(directory, mark_name, &st, AT_SYMLINK_NOFOLLOW))
		return (errno == ENOENT ? 0 : -1);
	return (S_ISLNK(st.st_mode));
}

bool
index_is_complete(const struct state *s)
{
	int64_t now = glance_now();

	if (glance_is_recent(&s->seen->marks, now))
		return (true);
	if (has_mark(s->shops) != 1 || has_mark(s->companies) != 1)
		return (false);
	glance_note(&s->seen->marks, now);
	return (true);
}

static int
mark(int directory)
{
	int has = has_mark(directory);

	if (has == -1 ||
	    (has == 0 && symlinkat(mark_target, directory, mark_name) && errno != EEXIST))
		return (-1);
	return (sync_directory(directory));
}

static int
unmark(int directory)
{
	int has = has_mark(directory);

	if (has != 1)
		return (has);
	if (unlinkat(directory, mark_name, 0) && errno != ENOENT)
		return (-1);
	return (sync_directory(directory));
}

int
index_mark(const struct state *s)
{
	return (mark(s->shops) || mark(s->companies) ? -1 : 0);
}

int
index_unmark(const struct state *s)
{
	int result = unmark(s->shops) || unmark(s->companies) ? -1 : 0;

	glance_forget();
	return (result);
}
