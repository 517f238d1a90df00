#include "fluid/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "fluid/json_tree.h"

/*
 * How much of an answer's explanation is taken: more than fits, so that nothing is cut before it is
 * searched for credentials. And what is too short to be a credential worth hiding.
 */
enum { DETAILS_MAX = 4096, SECRET_MIN = 6 };

static const struct reason {
	long status;
	const char *text;
} reasons[] = {
	{ 400, "bad request" },
	{ 401, "unauthorized" },
	{ 403, "forbidden" },
	{ 404, "not found" },
	{ 405, "method not allowed" },
	{ 408, "request timeout" },
	{ 409, "conflict" },
	{ 410, "gone" },
	{ 413, "too large" },
	{ 422, "not accepted" },
	{ 429, "too many requests" },
	{ 500, "internal error" },
	{ 502, "bad gateway" },
	{ 503, "unavailable" },
	{ 504, "gateway timeout" },
};

void
fluid_error_clear(struct fluid_error *e)
{
	*e = (struct fluid_error){ .failure = FLUID_OK };
}

static bool
is_utf8(const char *s, size_t len)
{
	struct utf8_check u = { 0 };

	return (utf8_check_feed(&u, s, len) == 0 && utf8_check_finish(&u) == 0);
}

/*
 * Put the character at s into `out` so that a terminal only shows it: C0 and C1 controls, DEL and
 * whatever is not UTF-8 become \xNN. Returns how many bytes of s it was.
 */
static size_t
escape_one(char out[8], const char *s, bool utf8)
{
	unsigned char c = (unsigned char)*s, next = (unsigned char)s[1];
	size_t n;

	if (c < 0x20 || c == 0x7f || (c >= 0x80 && !utf8)) {
		snprintf(out, 8, "\\x%02x", c);
		return (1);
	}
	if (c == 0xc2 && next < 0xa0) {
		snprintf(out, 8, "\\x%02x", next);
		return (2);
	}
	n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
	memcpy(out, s, n);
	out[n] = '\0';
	return (n);
}

/* Add text to the line, escaped; what does not fit is cut, which three dots show. */
static void
add_escaped(struct fluid_error *e, const char *s, size_t len)
{
	const size_t room = sizeof(e->text) - 1 - strlen("...");
	size_t at = strlen(e->text), n;
	bool utf8 = is_utf8(s, len);
	char piece[8];

	for (size_t i = 0; i < len;) {
		i += escape_one(piece, s + i, utf8);
		n = strlen(piece);
		if (at + n > room) {
			if (at <= room)
				memcpy(e->text + at, "...", sizeof("..."));
			return;
		}
		memcpy(e->text + at, piece, n + 1);
		at += n;
	}
}

int
fluid_error_set(struct fluid_error *e, enum fluid_failure failure, const char *fmt, ...)
{
	char text[2 * FLUID_ERROR_SIZE];
	va_list ap;

	e->failure = failure;
	snprintf(e->text, sizeof(e->text), "fluid: ");
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add_escaped(e, text, strlen(text));
	return (-1);
}

int
fluid_error_errno(struct fluid_error *e, const char *what)
{
	char text[128];
	const char *why = strerror_r(errno, text, sizeof(text));

	return (fluid_error_set(e, FLUID_LOCAL, "%s: %s", what, why));
}

void
fluid_error_hint(struct fluid_error *e, const char *fmt, ...)
{
	char text[FLUID_ERROR_SIZE] = "; ";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text + 2, sizeof(text) - 2, fmt, ap);
	va_end(ap);
	add_escaped(e, text, strlen(text));
}

static void
add_detail(struct buf *out, const char *field, const struct json_node *leaf)
{
	if (leaf->len == 0 || out->len > DETAILS_MAX)
		return;
	if (out->len)
		buf_adds(out, "; ");
	/* "base" is how Rails names what concerns no single field. */
	if (field && strcmp(field, "base") != 0) {
		buf_adds(out, field);
		buf_adds(out, ": ");
	}
	buf_add(out, leaf->text, leaf->len);
}

/*
 * Everything that an "errors" says, whatever its shape: a text, a list, fields with texts or lists,
 * or objects with a message in them.
 */
static void
add_details(struct buf *out, const char *field, const struct json_node *node)
{
	const struct json_node *message;

	if (json_tree_is(node, JSON_STRING) || json_tree_is(node, JSON_NUMBER)) {
		add_detail(out, field, node);
		return;
	}
	if (json_tree_is(node, JSON_OBJECT) &&
	    (json_tree_string(message = json_tree_get(node, "message")) ||
		json_tree_string(message = json_tree_get(node, "detail")))) {
		const char *name = json_tree_string(json_tree_get(node, "field"));

		if (name == NULL)
			name = json_tree_string(json_tree_get(node, "attribute"));
		add_detail(out, name ? name : field, message);
		return;
	}
	if (json_tree_is(node, JSON_OBJECT) || json_tree_is(node, JSON_ARRAY))
		for (const struct json_node *c = node->child; c; c = c->next)
			add_details(out, c->key ? c->key : field, c);
}

/*
 * Add the explanation in an answer's body, if there is one. Returns whether the body has the form of
 * Fluid's errors: a JSON object with one of their members.
 */
static bool
explain(struct buf *out, const char *body, size_t len)
{
	static const char *const keys[] = { "errors", "error_message", "message", "error" };
	struct json_node *root = len ? json_tree_read(body, len) : NULL;
	bool is_fluids = false;

	for (size_t i = 0; root && i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct json_node *node = json_tree_get(root, keys[i]);

		is_fluids = is_fluids || node;
		if (out->len == 0)
			add_details(out, NULL, node);
	}
	json_tree_free(root);
	return (is_fluids);
}

/* A server that quotes a credential back to us must not bring it into a log or onto a screen. */
static void
hide(struct buf *text, const char *secret)
{
	size_t len = secret ? strlen(secret) : 0;
	char *at;

	if (len < SECRET_MIN || text->data == NULL)
		return;
	for (size_t i = 0; (at = memmem(text->data + i, text->len - i, secret, len)) != NULL;) {
		memset(at, '*', len);
		i = (size_t)(at - text->data) + len;
	}
}

static const char *
reason_of(long status)
{
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return (reasons[i].text);
	return ("no explanation");
}

static bool
is_busy(long status)
{
	return (status == 408 || status == 425 || status == 429 || status >= 500);
}

bool
fluid_error_is_uncertain(const struct fluid_error *e)
{
	return (e->failure == FLUID_NO_ANSWER ||
	    (e->failure == FLUID_BUSY && (e->status == 408 || e->status >= 500)));
}

int
fluid_error_answer(struct fluid_error *e, long status, const char *body, size_t len,
    const struct fluid_error_context *ctx)
{
	struct buf text = { 0 };
	char number[32];

	fluid_error_clear(e);
	e->failure = is_busy(status) ? FLUID_BUSY : FLUID_REFUSED;
	e->status = status;
	e->retry_after = ctx->retry_after;
	snprintf(number, sizeof(number), "fluid: %ld: ", status);
	add_escaped(e, number, strlen(number));
	if (status >= 300 && status < 400) {
		buf_addf(&text,
		    "redirected%s%s, which is not followed: correct the addresses under [fluid]",
		    ctx->redirect ? " to " : "", ctx->redirect ? ctx->redirect : "");
	} else {
		e->is_fluids = explain(&text, body, len);
		if (text.len == 0)
			buf_adds(&text, reason_of(status));
	}
	for (size_t i = 0; i < sizeof(ctx->secrets) / sizeof(ctx->secrets[0]); i++)
		hide(&text, ctx->secrets[i]);
	if (!text.failed)
		add_escaped(e, text.data, text.len);
	buf_wipe(&text);
	if (status == 401 && ctx->token_source)
		fluid_error_hint(e, "the token is from %s", ctx->token_source);
	if (ctx->retry_after)
		fluid_error_hint(e, "Fluid asks to wait %u s", ctx->retry_after);
	return (-1);
}
