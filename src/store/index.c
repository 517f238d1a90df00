#include "store/index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/durable.h"
#include "store/name.h"

int
index_add(int folder, const char *key, const char *record)
{
	char target[NAME_SIZE + 32], there[NAME_SIZE + 32];
	bool made;
	ssize_t n;
	int dir, saved;

	snprintf(target, sizeof(target), "../../installations/%s.json", record);
	if ((dir = make_folder(folder, key, &made)) == -1)
		return (-1);
	n = readlinkat(dir, record, there, sizeof(there));
	if (n != (ssize_t)strlen(target) || memcmp(there, target, strlen(target)) != 0) {
		if (unlinkat(dir, record, 0) && errno != ENOENT)
			goto err;
		if (symlinkat(target, dir, record))
			goto err;
	}
	/* Also where the link was there before: whoever made it may have died before this. */
	if (fsync(dir) || fsync(folder))
		goto err;
	close(dir);
	return (0);

err:
	saved = errno;
	close(dir);
	errno = saved;
	return (-1);
}

int
index_remove(int folder, const char *key, const char *record)
{
	int dir = openat(folder, key, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int result = 0, saved;

	if (dir == -1)
		return (errno == ENOENT ? 0 : -1);
	if (unlinkat(dir, record, 0) && errno != ENOENT)
		result = -1;
	saved = errno;
	close(dir);
	errno = saved;
	return (result);
}

/* One run of directory entries. Returns non-zero when the caller has had enough. */
static int
walk(const char *entries, size_t len, unsigned *left, int (*each)(void *, const char *), void *user)
{
	const struct dirent64 *entry;

	for (size_t at = 0; at < len; at += entry->d_reclen) {
		entry = (const void *)(entries + at);
		if (!name_is_safe(entry->d_name, strlen(entry->d_name)))
			continue;
		if (each(user, entry->d_name) || --*left == 0)
			return (1);
	}
	return (0);
}

int
index_each(int folder, const char *key, unsigned most, int (*each)(void *user, const char *record),
    void *user)
{
	_Alignas(struct dirent64) char entries[4096];
	unsigned left = most;	/* 0 wraps around: as good as no limit */
	ssize_t n;
	int dir, saved;

	if (!name_is_safe(key, strlen(key)))
		return (0);
	dir = openat(folder, key, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir == -1)
		return (errno == ENOENT ? 0 : -1);
	while ((n = getdents64(dir, entries, sizeof(entries))) > 0)
		if (walk(entries, (size_t)n, &left, each, user))
			break;
	saved = errno;
	close(dir);
	errno = saved;
	return (n == -1 ? -1 : 0);
}
