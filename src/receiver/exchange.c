#include "receiver/exchange.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "receiver/answer.h"
#include "store/durable.h"

/* Of a request's id the log shows less. */
enum { REQUEST_ID_SIZE = 300 };

struct exchange {
	struct handling handling; /* first: an exchange is its handling */
	struct connection *connection;
	FCGX_Request fcgi;
	struct request request;
	struct buf answer;
	int file; /* with the request, or -1 where it is read from the socket */
	bool whole;
	bool keep;     /* the web server wants to keep the connection */
	bool released; /* libfcgi has no part in it any more */
	char request_id[REQUEST_ID_SIZE];
};

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
 * Have libfcgi read the parameters from this descriptor. It gets it by fields that its header calls
 * internal, because its own accept would block. Returns 0, or -1 when libfcgi has closed the descriptor.
 */
static int
read_request(struct exchange *x, int fd)
{
	if (FCGX_InitRequest(&x->fcgi, -1, 0))
		return (-1);
	x->fcgi.ipcFd = fd;
	x->fcgi.keepConnection = 1;
	/* Or closing it after an error would wait for the peer. */
	FCGX_Detach(&x->fcgi);
	if (FCGX_Accept_r(&x->fcgi))
		return (-1);
	x->keep = x->fcgi.keepConnection;
	request_from_params(&x->request, x->fcgi.envp);
	x->request.read = read_stream;
	x->request.source = x->fcgi.in;
	x->request.one_of_many = true;
	return (0);
}

/* Write the answer to where the request was read from. Returns 0, or -1 as above. */
static int
write_answer(struct exchange *x)
{
	size_t len;
	const char *text = answer_text(&x->answer, &len);

	/* Closing is for the caller. libfcgi does it only after an error. */
	x->fcgi.keepConnection = 1;
	FCGX_PutStr(text, (int)len, x->fcgi.out);
	FCGX_Finish_r(&x->fcgi);
	return (x->fcgi.ipcFd == -1 ? -1 : 0);
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

	if (file == -1 || file_write_all(file, c->spool.data, size) ||
	    lseek(file, 0, SEEK_SET) == -1) {
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
 * libfcgi reads from a descriptor and writes to the same one. For a request that is in the spool, a file in
 * memory serves for both: it holds the request, and the answer is written at the place up to which the
 * request was read. libfcgi gets a duplicate, as it closes its descriptor after an error.
 */
static int
open_spool(struct exchange *x)
{
	int copy;

	if ((x->file = file_of_spool(x->connection, x->whole)) == -1)
		return (-1);
	if ((copy = fcntl(x->file, F_DUPFD_CLOEXEC, 0)) == -1) {
		close(x->file);
		x->file = -1;
	}
	return (copy);
}

struct exchange *
exchange_new(struct receiver *r, struct connection *c, enum look look)
{
	struct exchange *x = calloc(1, sizeof(*x));
	int fd;

	if (x == NULL)
		return (NULL);
	x->connection = c;
	x->whole = look != LOOK_ENOUGH;
	x->file = -1;
	fd = look == LOOK_IN_SOCKET ? c->fd : open_spool(x);
	if (fd == -1 || read_request(x, fd)) {
		if (look == LOOK_IN_SOCKET)
			c->fd = -1;
		if (x->file != -1)
			close(x->file);
		free(x);
		return (NULL);
	}
	x->handling.receiver = receiver_hold(r);
	x->handling.request = &x->request;
	x->handling.out = &x->answer;
	return (x);
}

struct handling *
exchange_handling(struct exchange *x)
{
	return (&x->handling);
}

struct connection *
exchange_connection(struct handling *h)
{
	return (((struct exchange *)h)->connection);
}

void
exchange_release(struct handling *h)
{
	static char *none[] = { NULL };
	struct exchange *x = (struct exchange *)h;
	const char *id = x->request.request_id;

	if (x->file != -1 || x->released)
		return;
	read_rest(x->fcgi.in);
	if (id)
		memccpy(x->request_id, id, '\0', sizeof(x->request_id) - 1);
	x->request = (struct request){
		.method = "POST",
		.params = none,
		.request_id = id ? x->request_id : NULL,
		.one_of_many = true,
	};
	h->in.params = none;
	FCGX_Free(&x->fcgi, 0);
	x->released = true;
}

/* Send the answer from the file. */
static int
answer_from_file(struct exchange *x)
{
	off_t at = lseek(x->file, 0, SEEK_CUR);
	int fd = x->fcgi.ipcFd, result;

	if (write_answer(x) == 0)
		close(fd);
	result = send_written(x->connection, x->file, at, lseek(x->file, 0, SEEK_CUR));
	close(x->file);
	return (result);
}

enum exchanged
exchange_end(struct exchange *x)
{
	enum exchanged done = x->keep ? EXCHANGE_KEEP : EXCHANGE_CLOSE, result = EXCHANGE_FAILED;
	const char *text;
	size_t len;

	/* Closing a socket with bytes unread would reset it before the answer was read. */
	if (x->whole && !x->released)
		read_rest(x->fcgi.in);
	if (x->released) {
		text = answer_text(&x->answer, &len);
		if (connection_answer(x->connection, text, len))
			result = done;
	} else if (x->file != -1) {
		if (answer_from_file(x) == 0)
			result = x->whole ? done : EXCHANGE_LEAVE;
	} else if (write_answer(x) == 0) {
		result = done;
	} else {
		x->connection->fd = -1;
	}
	receiver_release(x->handling.receiver);
	buf_free(&x->answer);
	free(x);
	return (result);
}
