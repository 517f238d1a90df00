#include "receiver/connection.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	READ_SIZE = 64 * 1024,
	/* Records can have one byte each. What one request takes at most: */
	SPOOL_OVERHEAD = 1024 * 1024,
	SPOOL_TIMES = 4,
	STDOUT = 6,
	END_REQUEST = 3,
	END_SIZE = 8,
	RECORD_MAX = 0xffff,
};

/*
 * Look into the socket. LOOK_PART: nothing is there, or not all. A part must be taken out: a peer that
 * sends in small pieces may be unable to send the rest before.
 */
static enum look
look_into_socket(struct connection *c, char *peek, bool *part)
{
	ssize_t n = recv(c->fd, peek, PEEK_SIZE, MSG_PEEK | MSG_DONTWAIT);

	*part = n > 0;
	if (n == -1)
		return (errno == EAGAIN || errno == EINTR ? LOOK_PART : LOOK_ENDED);
	if (n == 0)
		return (LOOK_ENDED);
	c->arrival = (struct arrival){ .stage = ARRIVAL_BEGIN };
	switch (arrival_scan(&c->arrival, peek, (size_t)n)) {
	case ARRIVED_BROKEN:
		return (LOOK_BROKEN);
	case ARRIVED_WHOLE:
		return (c->arrival.at == (size_t)n ? LOOK_IN_SOCKET : LOOK_PART);
	default:
		return (LOOK_PART);
	}
}

/* What the spool says, without reading more. */
static enum look
look_into_spool(struct connection *c, uint64_t max_body)
{
	switch (arrival_scan(&c->arrival, c->spool.data, c->spool.len)) {
	case ARRIVED_BROKEN:
		return (LOOK_BROKEN);
	case ARRIVED_WHOLE:
		/* libfcgi would answer those records, which only a socket can take. */
		return (c->arrival.aside ? LOOK_BROKEN : LOOK_IN_SPOOL);
	case ARRIVED_PART:
		if (c->arrival.body > max_body)
			return (c->arrival.aside ? LOOK_BROKEN : LOOK_ENOUGH);
		if (c->spool.len > SPOOL_TIMES * max_body + SPOOL_OVERHEAD)
			return (LOOK_NO_MEMORY);
		return (LOOK_PART);
	}
	return (LOOK_BROKEN);
}

/* Take what has arrived out of the socket, until the request is complete. */
static enum look
spool(struct connection *c, uint64_t max_body)
{
	enum look look = c->spool.len ? look_into_spool(c, max_body) : LOOK_PART;
	ssize_t n;

	while (look == LOOK_PART) {
		if (buf_reserve(&c->spool, READ_SIZE))
			return (LOOK_NO_MEMORY);
		/* What was seen in the socket is read once more. */
		if (c->spool.len == 0)
			c->arrival = (struct arrival){ .stage = ARRIVAL_BEGIN };
		n = recv(c->fd, c->spool.data + c->spool.len, READ_SIZE, MSG_DONTWAIT);
		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return (n == -1 && errno == EAGAIN ? LOOK_PART : LOOK_ENDED);
		c->spool.len += (size_t)n;
		look = look_into_spool(c, max_body);
	}
	return (look);
}

enum look
connection_look(struct connection *c, char *peek, uint64_t max_body)
{
	bool part = true;
	enum look look = LOOK_PART;

	if (c->spool.len == 0)
		look = look_into_socket(c, peek, &part);
	if (look == LOOK_PART && part)
		look = spool(c, max_body);
	return (look);
}

bool
connection_discard(struct connection *c)
{
	char trash[4096];
	ssize_t n;

	do {
		n = recv(c->fd, trash, sizeof(trash), MSG_DONTWAIT);
	} while (n > 0 || (n == -1 && errno == EINTR));
	return (n == -1 && errno == EAGAIN);
}

void
connection_next(struct connection *c, int64_t now_ms)
{
	size_t size = c->spool.len ? c->arrival.at : 0;

	if (size < c->spool.len) {
		memmove(c->spool.data, c->spool.data + size, c->spool.len - size);
		c->spool.len -= size;
	} else {
		buf_wipe(&c->spool);
	}
	c->arrival = (struct arrival){ .stage = ARRIVAL_BEGIN };
	c->accepted_ms = now_ms;
	c->state = CONNECTION_KEPT;
}

int
connection_send(const struct connection *c, const char *data, size_t len)
{
	ssize_t n;

	while (len) {
		n = send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return (-1);
		data += n;
		len -= (size_t)n;
	}
	return (0);
}

static void
make_header(unsigned char out[FCGI_HEADER_SIZE], unsigned char type, uint16_t id, size_t length)
{
	const unsigned char header[FCGI_HEADER_SIZE] = { 1, type, (unsigned char)(id >> 8),
		(unsigned char)id, (unsigned char)(length >> 8), (unsigned char)length };

	memcpy(out, header, sizeof(header));
}

bool
connection_answer(struct connection *c, const char *text, size_t len)
{
	/* After the second header comes the status, which is 0: the request is complete. */
	unsigned char begin[FCGI_HEADER_SIZE], end[FCGI_HEADER_SIZE + END_SIZE] = { 0 };
	const struct iovec parts[] = {
		{ begin, sizeof(begin) },
		{ (void *)(uintptr_t)text, len },
		{ end, sizeof(end) },
	};
	const struct msghdr message = {
		.msg_iov = (struct iovec *)(uintptr_t)parts,
		.msg_iovlen = sizeof(parts) / sizeof(parts[0]),
	};

	if (c->arrival.id == 0 || len > RECORD_MAX)
		return (false);
	make_header(begin, STDOUT, c->arrival.id, len);
	make_header(end, END_REQUEST, c->arrival.id, END_SIZE);
	return (sendmsg(c->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	    (ssize_t)(sizeof(begin) + len + sizeof(end)));
}

void
connection_close(struct connection *c)
{
	if (c->fd != -1)
		close(c->fd);
	c->fd = -1;
	buf_wipe(&c->spool);
}
