#include "cli/lib/spool.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* So much is written to the file at once. */
enum { CHUNK = 256 * 1024 };

struct spool {
	FILE *file;       /* NULL: none yet */
	bool stays;       /* in memory: the file cannot be made or written */
	uint64_t written; /* bytes in the file; what follows is in `rest` */
	struct buf rest;
};

struct spool *
spool_new(void)
{
	return (calloc(1, sizeof(struct spool)));
}

void
spool_free(struct spool *s)
{
	if (s == NULL)
		return;
	if (s->file)
		fclose(s->file);
	buf_free(&s->rest);
	free(s);
}

uint64_t
spool_end(const struct spool *s)
{
	return (s->written + s->rest.len);
}

/* Move what is in memory to the file. Where that does not work, it stays where it is. */
static void
write_rest(struct spool *s)
{
	size_t done = 0;
	ssize_t n;

	if (s->file == NULL && (s->file = tmpfile()) == NULL)
		s->stays = true;
	while (!s->stays && done < s->rest.len) {
		n = pwrite(fileno(s->file), s->rest.data + done, s->rest.len - done,
		    (off_t)(s->written + done));
		if (n > 0)
			done += (size_t)n;
		else if (n == 0 || errno != EINTR)
			s->stays = true;
	}
	if (s->stays)
		return;
	s->written += s->rest.len;
	buf_reset(&s->rest);
}

int
spool_add(struct spool *s, const void *data, size_t len)
{
	buf_add(&s->rest, data, len);
	if (s->rest.failed) {
		errno = ENOMEM;
		return (-1);
	}
	/* Only whole pieces, so that none is half in the file. */
	if (s->rest.len >= CHUNK && !s->stays)
		write_rest(s);
	return (0);
}

int
spool_read(struct spool *s, uint64_t at, size_t len, struct buf *out)
{
	size_t done = 0;
	ssize_t n;

	buf_reset(out);
	if (at >= s->written) {
		buf_add(out, s->rest.data + (at - s->written), len);
		return (out->failed ? -1 : 0);
	}
	if (buf_reserve(out, len))
		return (-1);
	while (done < len) {
		n = pread(fileno(s->file), out->data + done, len - done, (off_t)(at + done));
		if (n == -1 && errno == EINTR)
			continue;
		if (n == 0)
			errno = EIO;
		if (n <= 0)
			return (-1);
		done += (size_t)n;
	}
	out->len = len;
	out->data[len] = '\0';
	return (0);
}
