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

static const char *
or_null(const char *s)
{
	return (*s ? s : NULL);
}

static void
member(struct json_writer *w, const char *key, const char *value)
{
	json_key(w, key);
	json_string(w, value);
}

static struct json_writer *
begin(struct answer *a, int status)
{
	struct json_writer *w;

	a->status = status;
	buf_reset(&a->body);
	if ((w = json_writer_new(&a->body, false)) != NULL)
		json_object(w);
	return (w);
}

static void
end(struct answer *a, struct json_writer *w)
{
	if (w == NULL)
		return;
	json_object_end(w);
	json_writer_end(w);
	buf_addc(&a->body, '\n');
}

static void
one_pair(struct answer *a, int status, const char *key, const char *value)
{
	struct json_writer *w = begin(a, status);

	if (w)
		member(w, key, value);
	end(a, w);
}

void
answer_error(struct answer *a, int status, const char *error)
{
	one_pair(a, status, "error", error);
}

void
answer_status(struct answer *a, int status, const char *word)
{
	one_pair(a, status, "status", word);
}

void
answer_incomplete(struct answer *a, const char *field)
{
	struct json_writer *w = begin(a, 422);

	if (w) {
		member(w, "error", "incomplete");
		member(w, "field", field);
	}
	end(a, w);
}

void
answer_taken(struct answer *a, bool pending)
{
	struct json_writer *w = begin(a, pending ? 202 : 200);

	if (w) {
		member(w, "status", pending ? "pending" : "accepted");
		member(w, "event", or_null(a->event));
		member(w, "delivery", or_null(a->delivery));
		member(w, "installation", or_null(a->installation));
	}
	end(a, w);
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

void
answer_probe(struct answer *a, char *const *params)
{
	struct json_writer *w = begin(a, 200);
	char name[PROBE_NAME_MAX];
	int n = 0;

	if (w) {
		member(w, "status", "probe");
		json_key(w, "headers");
		json_array(w);
		for (char *const *p = params; *p && n < PROBE_HEADERS_MAX; p++)
			if (header_name(name, *p)) {
				json_string(w, name);
				n++;
			}
		json_array_end(w);
	}
	end(a, w);
}

void
answer_format(const struct answer *a, bool head, struct buf *out)
{
	static const char unavailable[] = "{\"error\":\"unavailable\"}\n";
	const struct status *s = &statuses[sizeof(statuses) / sizeof(statuses[0]) - 1];
	bool whole = a->body.len && !a->body.failed;

	/* An answer that there was no memory for is a 503, the last of the table. */
	for (size_t i = 0; whole && i < sizeof(statuses) / sizeof(statuses[0]); i++)
		if (statuses[i].code == a->status)
			s = &statuses[i];
	buf_addf(out,
	    "Status: %d %s\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
	    "%sContent-Length: %zu\r\n\r\n",
	    s->code, s->phrase, s->header, whole ? a->body.len : sizeof(unavailable) - 1);
	if (!head)
		buf_add(out, whole ? a->body.data : unavailable,
		    whole ? a->body.len : sizeof(unavailable) - 1);
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

void
answer_log(const struct answer *a, const char *request_id, double ms)
{
	char status[8], took[32];

	snprintf(status, sizeof(status), "%d", a->status);
	snprintf(took, sizeof(took), "%.3f", ms);
	log_line(a->status >= 500 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "answer", "status", status,
	    "event", a->event[0] ? a->event : "-", "installation",
	    a->installation[0] ? a->installation : "-", "delivery",
	    a->delivery[0] ? a->delivery : "-", "ms", took, "reason", a->reason, "request",
	    request_id, NULL);
}

void
answer_free(struct answer *a)
{
	buf_free(&a->body);
}
