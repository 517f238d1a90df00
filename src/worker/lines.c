#include "worker/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"

enum { BLOCK = 64 * 1024, LINE_LIMIT = 512 << 20 };

/* How every line of ours begins, so that most need not be parsed to know whose they are. */
static const char beginning[] = "{\"delivery\":\"";

enum { BEGINNING_LEN = sizeof(beginning) - 1 };

int
lines_open(int dir, const char *name)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int saved;

	if (fd == -1)
		return (-1);
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return (fd);
	saved = S_ISREG(st.st_mode) ? errno : EINVAL;
	close(fd);
	errno = saved;
	return (-1);
}

static void
on_member(void *user, const char *key, size_t key_len, enum json_kind kind, const char *text,
    size_t len)
{
	char *delivery = user;

	if (kind != JSON_STRING || key_len != strlen("delivery") ||
	    memcmp(key, "delivery", key_len) != 0)
		return;
	delivery[0] = '\0';
	if (len < UUID_SIZE && memchr(text, '\0', len) == NULL) {
		memcpy(delivery, text, len);
		delivery[len] = '\0';
	}
}

void
lines_delivery(const char *line, size_t len, char delivery[UUID_SIZE])
{
	const char *text = line + BEGINNING_LEN, *end;
	size_t n;

	delivery[0] = '\0';
	if (len > BEGINNING_LEN && memcmp(line, beginning, BEGINNING_LEN) == 0 &&
	    (end = memchr(text, '"', len - BEGINNING_LEN)) != NULL &&
	    (n = (size_t)(end - text)) < UUID_SIZE && memchr(text, '\\', n) == NULL) {
		memcpy(delivery, text, n);
		delivery[n] = '\0';
	} else if (json_read_members(line, len, on_member, delivery)) {
		delivery[0] = '\0';
	}
}

/*
 * Read the line that begins at this offset, without its newline. Returns 1, 0 if none begins or ends there, or -1
 * with errno set.
 */
static int
read_at(int fd, uint64_t offset, struct buf *line)
{
	const char *end = NULL;
	char before = '\n';
	ssize_t n = 1;

	buf_reset(line);
	if (offset > INT64_MAX - LINE_LIMIT - BLOCK)
		return (0);
	if (offset && pread(fd, &before, 1, (off_t)offset - 1) == -1)
		return (-1);
	if (before != '\n')
		return (0);
	while (end == NULL && line->len <= LINE_LIMIT) {
		if (buf_reserve(line, BLOCK) ||
		    (n = pread(fd, line->data + line->len, BLOCK, (off_t)(offset + line->len))) ==
			-1)
			return (-1);
		if (n == 0)
			return (0);
		end = memchr(line->data + line->len, '\n', (size_t)n);
		line->len += (size_t)n;
	}
	if (end == NULL)
		return (0);
	line->len = (size_t)(end - line->data);
	line->data[line->len] = '\0';
	return (1);
}

int
lines_end(int fd, uint64_t offset, uint64_t *end)
{
	struct buf line = { 0 };
	int result = read_at(fd, offset, &line);

	*end = offset + line.len + 1;
	buf_wipe(&line);
	return (result);
}

int
lines_is_at(int fd, uint64_t offset, const char *delivery)
{
	char want[BEGINNING_LEN + UUID_SIZE + 1], got[sizeof(want)], found[UUID_SIZE];
	int len = snprintf(want, sizeof(want), "%s%s\"", beginning, delivery), result;
	struct buf line = { 0 };
	ssize_t n;

	if (offset > INT64_MAX)
		return (0);
	if ((n = pread(fd, got, (size_t)len, (off_t)offset)) == -1)
		return (-1);
	if (n == len && memcmp(got, want, (size_t)len) == 0)
		return (1);
	/* A line that somebody else wrote, or one of another delivery. */
	if ((result = read_at(fd, offset, &line)) == 1) {
		lines_delivery(line.data, line.len, found);
		result = strcmp(found, delivery) == 0;
	}
	buf_wipe(&line);
	return (result);
}

/* Look through a file. Returns 1 with the line and where it begins, 0 if it is not in it, or -1 with errno set. */
static int
find_in(int dir, const char *name, const char *delivery, struct buf *line, uint64_t *offset)
{
	int fd = lines_open(dir, name), result = 0, saved;
	FILE *file = fd == -1 ? NULL : fdopen(fd, "r");
	char *text = NULL, found[UUID_SIZE];
	size_t size = 0;
	ssize_t len;

	*offset = 0;
	if (file == NULL) {
		if (fd != -1)
			close(fd);
		return (-1);
	}
	while (result == 0 && (len = getline(&text, &size, file)) > 0 && text[len - 1] == '\n') {
		lines_delivery(text, (size_t)len - 1, found);
		if (strcmp(found, delivery) != 0) {
			*offset += (uint64_t)len;
			continue;
		}
		buf_reset(line);
		buf_add(line, text, (size_t)len - 1);
		result = line->failed ? -1 : 1;
	}
	if (result == 0 && ferror(file))
		result = -1;
	saved = errno;
	if (text)
		explicit_bzero(text, size);
	free(text);
	fclose(file);
	errno = saved;
	return (result);
}

int
lines_seek(int dir, const char *name, const char *delivery, uint64_t *begin, uint64_t *end)
{
	struct buf line = { 0 };
	int result = find_in(dir, name, delivery, &line, begin);

	*end = *begin + line.len + 1;
	buf_wipe(&line);
	return (result);
}

/* Look through all files, the one that it was in first. */
static int
find_anywhere(int dir, const char *delivery, struct follow_place *place, struct buf *line)
{
	size_t n;
	char(*names)[JOURNAL_NAME_SIZE] = journal_files(dir, &n);
	int result = 0, failed = 0;

	if (names == NULL)
		return (-1);
	for (int turn = 0; result != 1 && turn < 2; turn++)
		for (size_t i = 0; result != 1 && i < n; i++) {
			if ((strcmp(names[i], place->name) == 0) != (turn == 0))
				continue;
			result = find_in(dir, names[i], delivery, line, &place->offset);
			if (result == 1)
				memcpy(place->name, names[i], sizeof(place->name));
			else if (result == -1 && errno != ENOENT)
				failed = errno;
		}
	free(names);
	errno = failed ? failed : ENOENT;
	return (result == 1 ? 0 : -1);
}

int
lines_find(int dir, const char *delivery, struct follow_place *place, struct buf *line)
{
	int fd = lines_open(dir, place->name), result = 0;
	struct follow_place other = *place;
	char found[UUID_SIZE] = "";

	if (fd != -1) {
		result = read_at(fd, place->offset, line);
		close(fd);
	}
	if (result == 1)
		lines_delivery(line->data, line->len, found);
	if (result == 1 && strcmp(found, delivery) == 0)
		return (0);
	if (find_anywhere(dir, delivery, &other, line))
		return (-1);
	*place = other;
	return (0);
}
