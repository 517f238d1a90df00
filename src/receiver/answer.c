#include "receiver/answer.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"

/* Every status there is, its phrase, and a header that belongs to it. */
static const struct status {
	int code;
	const char *phrase;
	const char *header;
} statuses[] = {
	{ 200, "OK", "" },
	{ 202, "Accepted", "" },
	{ 400, "Bad Request", "" },
	{ 401, "Unauthorized", "" },
	{ 403, "Forbidden", "" },
	{ 405, "Method Not Allowed", "Allow: GET, HEAD, POST, PUT\r\n" },
	{ 413, "Content Too Large", "" },
	{ 415, "Unsupported Media Type", "" },
	{ 422, "Unprocessable Content", "" },
	{ 503, "Service Unavailable", "Retry-After: 30\r\n" },
};

/* A parameter's name as the header it came from, "HTTP_X_FLUID_SHOP" as "X-Fluid-Shop". */
enum { PROBE_HEADERS_MAX = 32, PROBE_NAME_MAX = 64 };

enum { DIGITS_SIZE = 21, HEAD_SIZE = 256 };

struct answer
answer_error(int status, const char *error, const char *reason)
{
	return (
	    (struct answer){ .status = status, .key = "error", .word = error, .reason = reason });
}

struct answer
answer_unavailable(const char *reason)
{
	return (answer_error(503, "unavailable", reason));
}

struct answer
answer_incomplete(const char *field)
{
	struct answer a = answer_error(422, "incomplete", "incomplete");

	a.field = field;
	return (a);
}

struct answer
answer_status(int status, const char *word)
{
	return ((struct answer){ .status = status, .key = "status", .word = word });
}

struct answer
answer_accepted(bool pending)
{
	struct answer a = answer_status(pending ? 202 : 200, pending ? "pending" : "accepted");

	a.names_delivery = true;
	return (a);
}

struct answer
answer_probe(char *const *params)
{
	struct answer a = answer_status(200, "probe");

	a.received = params;
	return (a);
}

static void
member(struct json_writer *w, const char *key, const char *value)
{
	json_key(w, key);
	json_string(w, value);
}

/* Returns false for a parameter that is no header of Fluid's. */
static bool
header_name(char out[PROBE_NAME_MAX], const char *param)
{
	size_t len = strcspn(param, "=");
	bool upper = true;

	if (len == strlen("HTTP_AUTH_TOKEN") && strncmp(param, "HTTP_AUTH_TOKEN", len) == 0) {
		snprintf(out, PROBE_NAME_MAX, "AUTH_TOKEN");
		return (true);
	}
	if (strncmp(param, "HTTP_X_FLUID_", 13) != 0 || len - 5 >= PROBE_NAME_MAX)
		return (false);
	for (size_t i = 5; i < len; i++) {
		char c = param[i];

		out[i - 5] = c == '_' ? '-' : upper ? c : (char)tolower((unsigned char)c);
		upper = c == '_';
	}
	out[len - 5] = '\0';
	return (true);
}

static void
write_headers(struct json_writer *w, char *const *params)
{
	char name[PROBE_NAME_MAX];
	int n = 0;

	json_key(w, "headers");
	json_array(w);
	for (char *const *p = params; *p && n < PROBE_HEADERS_MAX; p++)
		if (header_name(name, *p)) {
			json_string(w, name);
			n++;
		}
	json_array_end(w);
}

/* One line of JSON. Returns 0, or -1: out of memory. */
static int
write_body(const struct answer *a, const struct answer_subject *about, struct buf *out)
{
	struct json_writer *w = json_writer_new(out, false);

	if (w == NULL)
		return (-1);
	json_object(w);
	member(w, a->key, a->word);
	if (a->field)
		member(w, "field", a->field);
	if (a->names_delivery) {
		member(w, "event", about->event);
		member(w, "delivery", about->delivery);
		member(w, "installation", about->installation);
	}
	if (a->received)
		write_headers(w, a->received);
	json_object_end(w);
	if (json_writer_end(w))
		return (-1);
	buf_addc(out, '\n');
	return (out->failed ? -1 : 0);
}

/* A number in decimal. Done by hand, as every answer and its log line have some. Returns where it begins. */
static const char *
digits(char out[DIGITS_SIZE], uint64_t n)
{
	char *at = out + DIGITS_SIZE - 1;

	*at = '\0';
	do {
		*--at = (char)('0' + n % 10);
	} while (n /= 10);
	return (at);
}

static void
add_answer(struct buf *out, const struct status *s, const char *body, size_t len, bool head)
{
	char number[DIGITS_SIZE];

	buf_reserve(out, HEAD_SIZE + len);
	buf_adds(out, "Status: ");
	buf_adds(out, digits(number, (uint64_t)s->code));
	buf_addc(out, ' ');
	buf_adds(out, s->phrase);
	buf_adds(out, "\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n");
	buf_adds(out, s->header);
	buf_adds(out, "Content-Length: ");
	buf_adds(out, digits(number, len));
	buf_adds(out, "\r\n\r\n");
	if (!head)
		buf_add(out, body, len);
}

static const struct status *
status_of(int code)
{
	const struct status *last = &statuses[sizeof(statuses) / sizeof(statuses[0]) - 1];
	const struct status *s = statuses;

	while (s < last && s->code != code)
		s++;
	return (s);
}

void
answer_format(const struct answer *a, const struct answer_subject *about, bool head,
    struct buf *out)
{
	static const char unavailable[] = "{\"error\":\"unavailable\"}\n";
	struct buf body = { 0 };

	/* An answer that there is no memory for is a 503. */
	if (write_body(a, about, &body) == 0)
		add_answer(out, status_of(a->status), body.data, body.len, head);
	else
		add_answer(out, status_of(503), unavailable, sizeof(unavailable) - 1, head);
	buf_free(&body);
}

const char *
answer_text(const struct buf *out, size_t *len)
{
	static const char unavailable[] =
	    "Status: 503 Service Unavailable\r\nContent-Type: application/json\r\n"
	    "Cache-Control: no-store\r\nRetry-After: 30\r\nContent-Length: 24\r\n\r\n"
	    "{\"error\":\"unavailable\"}\n";

	*len = out->failed ? sizeof(unavailable) - 1 : out->len;
	return (out->failed ? unavailable : out->data);
}

/* Milliseconds with three decimals. */
static const char *
milliseconds(char out[DIGITS_SIZE + 4], int64_t us)
{
	uint64_t n = us > 0 ? (uint64_t)us : 0;
	char *point = out + DIGITS_SIZE - 1;
	const char *begin = digits(out, n / 1000);

	*point = '.';
	for (int i = 3; i; i--, n /= 10)
		point[i] = (char)('0' + n % 10);
	point[4] = '\0';
	return (begin);
}

static const char *
or_dash(const char *s)
{
	return (s ? s : "-");
}

void
answer_log(const struct answer *a, const struct answer_subject *about, const char *request_id,
    int64_t us)
{
	char status[DIGITS_SIZE], took[DIGITS_SIZE + 4];

	log_line(a->status >= 500 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "answer", "status",
	    digits(status, (uint64_t)a->status), "event", or_dash(about->event), "installation",
	    or_dash(about->installation), "delivery", or_dash(about->delivery), "ms",
	    milliseconds(took, us), "reason", a->reason, "request", request_id, NULL);
}
