#include "cli/lib/data_arg.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/lib/cli.h"

enum { CHUNK = 64 * 1024 };

/* Returns 0, or -1 with errno set; EFBIG where there is more than is taken. */
static int
read_all(int fd, struct buf *out)
{
	ssize_t n;

	for (;;) {
		if (out->len > DATA_ARG_MAX) {
			errno = EFBIG;
			return (-1);
		}
		if (buf_reserve(out, CHUNK))
			return (-1);
		n = read(fd, out->data + out->len, CHUNK);
		if (n == 0)
			break;
		if (n > 0)
			out->len += (size_t)n;
		else if (errno != EINTR)
			return (-1);
	}
	out->data[out->len] = '\0';
	return (0);
}

int
data_arg(const char *path, struct buf *out)
{
	bool is_stdin = strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	int result = -1;

	if (fd == -1) {
		cli_fail("%s: %s", path, strerror(errno));
		return (-1);
	}
	if ((result = read_all(fd, out)) != 0)
		cli_fail("%s: %s", is_stdin ? "standard input" : path, strerror(errno));
	if (!is_stdin)
		close(fd);
	return (result);
}
