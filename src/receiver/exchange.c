#include "receiver/exchange.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "receiver/answer.h"
#include "receiver/handle.h"
#include "store/durable.h"

static ssize_t
read_stream(void *source, char *out, size_t size)
{
	FCGX_Stream *in = source;
	int n = FCGX_GetStr(out, size > INT_MAX ? INT_MAX : (int)size, in);

	if (n > 0)
		return (n);
	/* The end of the stream and a broken connection look alike but for this. */
	if (FCGX_GetError(in) == 0)
		return (0);
	errno = EPIPE;
	return (-1);
}

static void
read_rest(FCGX_Stream *in)
{
	char trash[4096];

	while (FCGX_GetStr(trash, sizeof(trash), in) > 0)
		;
}

/*
 * Read a request from this descriptor, and append its answer to `answer`, which is for finish() to
 * write. libfcgi gets the descriptor by fields that its header calls internal, because its own accept
 * would block. Returns 0, or -1 when libfcgi has closed the descriptor.
 */
static int
begin(struct receiver *r, FCGX_Request *fcgi, int fd, bool whole, struct buf *answer)
{
	struct request q;

	if (FCGX_InitRequest(fcgi, -1, 0))
		return (-1);
	fcgi->ipcFd = fd;
	fcgi->keepConnection = 1;
	/* Or closing it after an error would wait for the peer. */
	FCGX_Detach(fcgi);
	if (FCGX_Accept_r(fcgi))
		return (-1);
	request_from_params(&q, fcgi->envp);
	q.read = read_stream;
	q.source = fcgi->in;
	q.one_of_many = true;
	handle(r, &q, answer);
	/* Closing a socket with bytes unread would reset it before the answer was read. */
	if (whole)
		read_rest(fcgi->in);
	return (0);
}

/* Write the answer to where the request was read from. Returns 0, or -1 as above. */
static int
finish(FCGX_Request *fcgi, const struct buf *answer)
{
	size_t len;
	const char *text = answer_text(answer, &len);

	/* Closing is for the caller. libfcgi does it only after an error. */
	fcgi->keepConnection = 1;
	FCGX_PutStr(text, (int)len, fcgi->out);
	FCGX_Finish_r(fcgi);
	return (fcgi->ipcFd == -1 ? -1 : 0);
}

enum exchanged
exchange_in_socket(struct receiver *r, struct connection *c)
{
	enum exchanged result = EXCHANGE_FAILED;
	struct buf answer = { 0 };
	FCGX_Request fcgi;
	bool keep;

	if (begin(r, &fcgi, c->fd, true, &answer)) {
		c->fd = -1;
	} else {
		keep = fcgi.keepConnection;
		if (finish(&fcgi, &answer))
			c->fd = -1;
		else
			result = keep ? EXCHANGE_KEEP : EXCHANGE_CLOSE;
	}
	buf_free(&answer);
	return (result);
}

/* Send what libfcgi has written into the file between these offsets. Returns 0, or -1. */
static int
send_written(const struct connection *c, int file, off_t at, off_t end)
{
	char data[4096];
	ssize_t n;

	while (at < end) {
		n = end - at < (off_t)sizeof(data) ? (ssize_t)(end - at) : (ssize_t)sizeof(data);
		n = pread(file, data, (size_t)n, at);
		if (n <= 0 || connection_send(c, data, (size_t)n))
			return (-1);
		at += n;
	}
	return (0);
}

/* A file in memory with the request that is in the spool. Returns a descriptor, or -1. */
static int
file_of_spool(struct connection *c, bool whole)
{
	size_t size = whole ? c->arrival.at : c->spool.len;
	int file = memfd_create("request", MFD_CLOEXEC);

	if (file == -1 || write_all(file, c->spool.data, size) || lseek(file, 0, SEEK_SET) == -1) {
		log_errno(LOG_LEVEL_ERROR, "no memory for a request", NULL);
		if (file != -1)
			close(file);
		return (-1);
	}
	if (size == c->spool.len)
		buf_wipe(&c->spool);
	return (file);
}

/*
 * libfcgi reads from a descriptor and writes to the same one. A file in memory serves for both: it
 * holds the request, and the answer is written at the place up to which the request was read. libfcgi
 * gets a duplicate, as it closes its descriptor after an error.
 */
enum exchanged
exchange_in_spool(struct receiver *r, struct connection *c, bool whole)
{
	enum exchanged result = EXCHANGE_FAILED;
	struct buf answer = { 0 };
	FCGX_Request fcgi;
	bool keep;
	off_t at;
	int file = file_of_spool(c, whole), copy;

	if (file == -1)
		return (EXCHANGE_FAILED);
	if ((copy = fcntl(file, F_DUPFD_CLOEXEC, 0)) == -1 || begin(r, &fcgi, copy, whole, &answer))
		goto done;
	keep = fcgi.keepConnection;
	at = lseek(file, 0, SEEK_CUR);
	if (finish(&fcgi, &answer) == 0)
		close(copy);
	if (send_written(c, file, at, lseek(file, 0, SEEK_CUR)) == 0)
		result = !whole ? EXCHANGE_LEAVE : keep ? EXCHANGE_KEEP : EXCHANGE_CLOSE;
done:
	close(file);
	buf_free(&answer);
	return (result);
}
