#include "fcgi_client.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "delivery/signature.h"
#include "support.h"

enum { BEGIN = 1, END = 3, PARAMS = 4, STDIN = 5, STDOUT = 6, HEADER = 8 };

void
fcgi_sign(struct fcgi_params *p, const char *key, const char *body, size_t len)
{
	unsigned char mac[SIGNATURE_LEN];
	char hex[SIGNATURE_HEX_SIZE];
	const char *value;

	snprintf(p->timestamp, sizeof(p->timestamp), "HTTP_X_FLUID_TIMESTAMP=%lld",
	    (long long)time(NULL));
	value = strchr(p->timestamp, '=') + 1;
	signature_compute(mac, key, value, body, len);
	signature_hex(hex, mac);
	snprintf(p->signature, sizeof(p->signature), "HTTP_X_FLUID_SIGNATURE=%s", hex);
	snprintf(p->length, sizeof(p->length), "CONTENT_LENGTH=%zu", len);
	p->text[0] = "REQUEST_METHOD=POST";
	p->text[1] = "CONTENT_TYPE=application/json";
	p->text[2] = "HTTP_X_FLUID_SHOP=acme";
	p->text[3] = p->length;
	p->text[4] = p->timestamp;
	p->text[5] = p->signature;
	p->text[6] = NULL;
}

static void
add_record(struct buf *out, int type, const void *data, size_t len)
{
	const unsigned char header[HEADER] = { 1, (unsigned char)type, 0, 1,
		(unsigned char)(len >> 8), (unsigned char)len };

	buf_add(out, header, sizeof(header));
	buf_add(out, data, len);
}

void
fcgi_add_request(struct buf *out, const char *const *params, const void *body, size_t len,
    bool keep)
{
	const unsigned char begin[8] = { 0, 1, keep };
	struct buf pairs = { 0 };
	size_t part;

	add_record(out, BEGIN, begin, sizeof(begin));
	for (; *params; params++) {
		size_t name = strcspn(*params, "="), value = strlen(*params) - name - 1;

		assert_true(name < 128 && value < 128);
		buf_addc(&pairs, (char)name);
		buf_addc(&pairs, (char)value);
		buf_add(&pairs, *params, name);
		buf_add(&pairs, *params + name + 1, value);
	}
	add_record(out, PARAMS, pairs.data, pairs.len);
	add_record(out, PARAMS, "", 0);
	for (size_t at = 0; at < len; at += part) {
		part = len - at < 32768 ? len - at : 32768;
		add_record(out, STDIN, (const char *)body + at, part);
	}
	add_record(out, STDIN, "", 0);
	buf_free(&pairs);
	assert_false(out->failed);
}

int
fcgi_connect(const char *path)
{
	const struct timeval minute = { .tv_sec = 60 };
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_not_equal(fd, -1);
	assert_true(strlen(path) < sizeof(addr.sun_path));
	memcpy(addr.sun_path, path, strlen(path));
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &minute, sizeof(minute)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &minute, sizeof(minute)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	return (fd);
}

void
fcgi_send(int fd, const void *data, size_t len)
{
	const char *at = data;
	ssize_t n;

	for (; len; at += n, len -= (size_t)n) {
		n = send(fd, at, len, MSG_NOSIGNAL);
		if (n == -1)
			return; /* it has answered without the rest, and closed */
	}
}

static bool
read_exactly(int fd, void *out, size_t len)
{
	ssize_t n;

	for (size_t done = 0; done < len; done += (size_t)n)
		if ((n = recv(fd, (char *)out + done, len - done, 0)) <= 0)
			return (false);
	return (true);
}

int
fcgi_answer(int fd, const char **text)
{
	static struct buf answer;
	unsigned char header[HEADER];
	char content[65536 + 256];
	size_t len;

	buf_reset(&answer);
	buf_adds(&answer, "");
	*text = answer.data;
	for (;;) {
		if (!read_exactly(fd, header, sizeof(header)))
			return (0);
		len = (size_t)header[4] << 8 | header[5];
		if (!read_exactly(fd, content, len + header[6]))
			return (0);
		if (header[1] == STDOUT)
			buf_add(&answer, content, len);
		*text = answer.data;
		if (header[1] == END)
			return (
			    strncmp(answer.data, "Status: ", 8) == 0 ? atoi(answer.data + 8) : 0);
	}
}
