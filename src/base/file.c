#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"

enum { CHUNK_LEAST = 4096 };

void
file_close(int fd)
{
	int saved = errno;

	if (fd != -1)
		close(fd);
	errno = saved;
}

void
file_close_stream(FILE *fp)
{
	int saved = errno;

	if (fp)
		fclose(fp);
	errno = saved;
}

void
file_unlink(int dir, const char *name)
{
	int saved = errno;

	unlinkat(dir, name, 0);
	errno = saved;
}

int
file_write_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	while (len) {
		if ((n = write(fd, p, len)) == -1) {
			if (errno == EINTR)
				continue;
			return (-1);
		}
		p += n;
		len -= (size_t)n;
	}
	return (0);
}

/* Read to the end. expected: how much that will probably be. */
static int
read_rest(int fd, size_t expected, size_t most, struct buf *out)
{
	size_t total = 0;
	ssize_t n;

	for (;;) {
		if (total > most) {
			errno = EFBIG;
			return (-1);
		}
		/* One byte more than is expected, so that the next read finds the end. */
		if (buf_reserve(out, expected > total ? expected - total + 1 : CHUNK_LEAST))
			return (-1);
		if ((n = read(fd, out->data + out->len, out->cap - out->len - 1)) == -1) {
			if (errno == EINTR)
				continue;
			return (-1);
		}
		if (n == 0)
			return (0);
		out->len += (size_t)n;
		total += (size_t)n;
		out->data[out->len] = '\0';
	}
}

int
file_read_all(int fd, size_t most, struct buf *out)
{
	return (read_rest(fd, CHUNK_LEAST, most, out));
}

/* Read the open regular file to its end and close it, whatever comes of it. */
static int
read_and_close(int fd, bool is_secret, size_t most, struct buf *out, struct stat *st)
{
	struct stat own;
	int result = -1;

	if (fd == -1)
		return (-1);
	if (st == NULL)
		st = &own;
	if (fstat(fd, st) == 0) {
		if (!S_ISREG(st->st_mode))
			errno = EINVAL;
		else if (is_secret && FILE_IS_OPEN_TO_OTHERS(st->st_mode))
			errno = EPERM;
		else
			result = read_rest(fd,
			    st->st_size > 0 && (size_t)st->st_size <= most ? (size_t)st->st_size :
									     0,
			    most, out);
	}
	file_close(fd);
	return (result);
}

int
file_read_at(int dir, const char *name, size_t most, struct buf *out)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return (read_and_close(fd, false, most, out, NULL));
}

int
file_read_path(const char *path, size_t most, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return (read_and_close(fd, false, most, out, NULL));
}

int
file_read_secret(const char *path, size_t most, struct buf *out, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return (read_and_close(fd, true, most, out, st));
}

const char *
file_problem(int error)
{
	switch (error) {
	case EPERM:
		return ("open to other users: chmod o= it");
	case EINVAL:
		return ("not a regular file");
	case EFBIG:
		return ("too large");
	default:
		return (strerror(error));
	}
}

const char *
file_next_line(const struct buf *text, size_t *at, size_t *len)
{
	const char *line, *end;

	if (*at == 0 && text->len)
		*at = utf8_mark(text->data, text->len);
	if (*at >= text->len)
		return (NULL);
	line = text->data + *at;
	end = memchr(line, '\n', text->len - *at);
	*len = end ? (size_t)(end - line) : text->len - *at;
	*at += *len + (end != NULL);
	return (line);
}
