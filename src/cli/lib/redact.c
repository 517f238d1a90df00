#include "cli/lib/redact.h"

#include <string.h>

#include "base/json.h"

static const char *const credentials[] = {
	"authentication_token",
	"webhook_verification_token",
	"exchange_token",
	"auth_token",
};

struct redacting {
	struct json_writer *w;
	bool credential; /* the value that comes next is one, or is inside of one */
	unsigned depth;  /* of a container that is one; 0: none */
};

static bool
is_credential(const char *key, size_t len)
{
	for (size_t i = 0; i < sizeof(credentials) / sizeof(credentials[0]); i++)
		if (strlen(credentials[i]) == len && memcmp(credentials[i], key, len) == 0)
			return (true);
	return (false);
}

static void
write_value(struct json_writer *w, enum json_kind kind, const char *text, size_t len)
{
	char number[512];

	switch (kind) {
	case JSON_NULL:
		json_null(w);
		return;
	case JSON_BOOL:
		json_bool(w, *text == 't');
		return;
	case JSON_NUMBER:
		/* A number of more digits than this is no number anybody sends. */
		if (len >= sizeof(number))
			len = sizeof(number) - 1;
		memcpy(number, text, len);
		number[len] = '\0';
		json_number(w, number);
		return;
	case JSON_STRING:
		json_string_len(w, text, len);
		return;
	case JSON_KEY:
		json_key_len(w, text, len);
		return;
	case JSON_OBJECT:
		json_object(w);
		return;
	case JSON_OBJECT_END:
		json_object_end(w);
		return;
	case JSON_ARRAY:
		json_array(w);
		return;
	case JSON_ARRAY_END:
		json_array_end(w);
		return;
	}
}

static void
on_event(void *user, enum json_kind kind, const char *text, size_t len, unsigned depth)
{
	struct redacting *r = user;

	if (r->depth) {
		/* Inside a container where a token was expected: nothing of it is shown. */
		if ((kind == JSON_OBJECT_END || kind == JSON_ARRAY_END) && depth == r->depth)
			r->depth = 0;
		return;
	}
	if (kind == JSON_KEY) {
		r->credential = is_credential(text, len);
	} else if (r->credential && kind != JSON_NULL) {
		r->credential = false;
		if (kind == JSON_OBJECT || kind == JSON_ARRAY)
			r->depth = depth;
		json_string(r->w, "present");
		return;
	} else {
		r->credential = false;
	}
	write_value(r->w, kind, text, len);
}

int
redact_body(const char *body, size_t len, struct buf *out)
{
	struct redacting r = { .w = json_writer_new(out, true) };
	struct json_parser *p = r.w ? json_parser_new(on_event, &r) : NULL;
	int result = -1;

	if (p)
		result = json_parser_feed(p, body, len) || json_parser_finish(p) ? -1 : 0;
	json_parser_free(p);
	if (r.w && json_writer_end(r.w))
		result = -1;
	return (result);
}
