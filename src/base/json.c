#include "base/json.h"

#include <errno.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_gen.h>
#include <yajl/yajl_parse.h>

#include "base/escape.h"
#include "base/json_memory.h"
#include "base/utf8.h"

struct json_parser {
	yajl_handle yajl;
	json_event *event;
	void *user;
	unsigned depth;
	bool failed; /* nothing more can be read */
	bool flawed; /* no JSON, although yajl reads on */
	bool no_memory;
	struct utf8_check utf8;
	struct buf mended;         /* a string with a surrogate without its pair */
	struct json_memory memory; /* last */
};

/* What yajl allocates for a generator, which it does not check either. */
enum { GENERATOR_SIZE = 1024 };

/* A string that is longer is escaped without yajl, which adds each piece between two escapes by itself. */
enum { LONG_STRING = 256 };

struct json_writer {
	yajl_gen gen;
	struct buf *out;
	bool failed;
	size_t used;
	_Alignas(max_align_t) char memory[GENERATOR_SIZE];
};

/* The outermost value has to be an object: a scalar or an array at depth 0 ends the parsing. */
static int
scalar(struct json_parser *p, enum json_kind kind, const char *text, size_t len)
{
	if (p->depth == 0)
		return (0);
	p->event(p->user, kind, text, len, p->depth);
	return (1);
}

static int
on_null(void *ctx)
{
	return (scalar(ctx, JSON_NULL, NULL, 0));
}

static int
on_bool(void *ctx, int value)
{
	return (value ? scalar(ctx, JSON_BOOL, "true", 4) : scalar(ctx, JSON_BOOL, "false", 5));
}

static int
on_number(void *ctx, const char *text, size_t len)
{
	return (scalar(ctx, JSON_NUMBER, text, len));
}

/*
 * yajl turns an escaped low surrogate without its pair into three bytes that are no UTF-8. What is read is
 * stored as JSON again, which must be valid: so it becomes U+FFFD, which is as long.
 */
static int
string(struct json_parser *p, enum json_kind kind, const char *text, size_t len)
{
	if (len == 0 || memchr(text, 0xed, len) == NULL || utf8_is_valid(text, len))
		return (scalar(p, kind, text, len));
	buf_reset(&p->mended);
	buf_add(&p->mended, text, len);
	if (p->mended.failed) {
		p->failed = p->no_memory = true;
		return (0);
	}
	utf8_mend_surrogates(p->mended.data, len);
	return (scalar(p, kind, p->mended.data, len));
}

static int
on_string(void *ctx, const unsigned char *text, size_t len)
{
	return (string(ctx, JSON_STRING, (const char *)text, len));
}

static int
on_key(void *ctx, const unsigned char *text, size_t len)
{
	return (string(ctx, JSON_KEY, (const char *)text, len));
}

static int
begin(struct json_parser *p, enum json_kind kind)
{
	if (p->depth == JSON_MAX_DEPTH || (p->depth == 0 && kind != JSON_OBJECT))
		return (0);
	p->event(p->user, kind, NULL, 0, ++p->depth);
	return (1);
}

static int
end(struct json_parser *p, enum json_kind kind)
{
	p->event(p->user, kind, NULL, 0, p->depth--);
	return (1);
}

static int
on_object(void *ctx)
{
	return (begin(ctx, JSON_OBJECT));
}

static int
on_object_end(void *ctx)
{
	return (end(ctx, JSON_OBJECT_END));
}

static int
on_array(void *ctx)
{
	return (begin(ctx, JSON_ARRAY));
}

static int
on_array_end(void *ctx)
{
	return (end(ctx, JSON_ARRAY_END));
}

/* Returns 0, or -1: out of memory. */
static int
start_yajl(struct json_parser *p)
{
	static const yajl_callbacks callbacks = {
		.yajl_null = on_null,
		.yajl_boolean = on_bool,
		.yajl_number = on_number,
		.yajl_string = on_string,
		.yajl_start_map = on_object,
		.yajl_map_key = on_key,
		.yajl_end_map = on_object_end,
		.yajl_start_array = on_array,
		.yajl_end_array = on_array_end,
	};

	json_memory_init(&p->memory);
	if (setjmp(p->memory.failure))
		return (-1);
	p->yajl = yajl_alloc(&callbacks, &p->memory.functions, p);
	return (0);
}

struct json_parser *
json_parser_new(json_event *event, void *user)
{
	struct json_parser *p = malloc(sizeof(*p));

	if (p == NULL)
		return (NULL);
	/* All but its memory, which is large and need not be zero. */
	memset(p, 0, offsetof(struct json_parser, memory));
	p->event = event;
	p->user = user;
	if (start_yajl(p)) {
		json_parser_free(p);
		errno = ENOMEM;
		return (NULL);
	}
	return (p);
}

/* What is wrong, if anything: 0, or -1 with errno set. */
static int
verdict(const struct json_parser *p)
{
	if (!p->failed && !p->flawed)
		return (0);
	errno = p->no_memory ? ENOMEM : EBADMSG;
	return (-1);
}

/* Have yajl parse the next bytes, or (NULL) see that the input is whole. */
static void
run_yajl(struct json_parser *p, const char *data, size_t len)
{
	if (setjmp(p->memory.failure)) {
		p->failed = p->no_memory = true;
		return;
	}
	if ((data ? yajl_parse(p->yajl, (const unsigned char *)data, len) :
		    yajl_complete_parse(p->yajl)) != yajl_status_ok)
		p->failed = true;
}

int
json_parser_feed(struct json_parser *p, const char *data, size_t len)
{
	if (p->failed)
		return (verdict(p));
	/* yajl takes vertical tab and form feed for white space; JSON does not (RFC 8259). */
	if (utf8_check_feed(&p->utf8, data, len) || memchr(data, '\v', len) ||
	    memchr(data, '\f', len))
		p->flawed = true;
	/* Also then: what is met must not depend on how the input was cut. */
	run_yajl(p, data, len);
	return (verdict(p));
}

int
json_parser_finish(struct json_parser *p)
{
	if (!p->failed && utf8_check_finish(&p->utf8))
		p->failed = true;
	if (!p->failed)
		run_yajl(p, NULL, 0);
	return (verdict(p));
}

void
json_parser_free(struct json_parser *p)
{
	if (p == NULL)
		return;
	json_memory_free(&p->memory);
	buf_wipe(&p->mended);
	free(p);
}

struct members {
	json_member *member;
	void *user;
	struct buf key;
};

static void
on_member_event(void *user, enum json_kind kind, const char *text, size_t len, unsigned depth)
{
	struct members *m = user;

	if (depth == 1 && kind == JSON_KEY) {
		buf_reset(&m->key);
		buf_add(&m->key, text, len);
	} else if ((depth == 1 && kind <= JSON_STRING) ||
	    (depth == 2 && (kind == JSON_OBJECT || kind == JSON_ARRAY))) {
		if (m->key.data)
			m->member(m->user, m->key.data, m->key.len, kind, text, len);
	}
}

int
json_read_members(const char *data, size_t len, json_member *member, void *user)
{
	struct members m = { .member = member, .user = user };
	struct json_parser *p = json_parser_new(on_member_event, &m);
	int result;

	if (p == NULL)
		return (-1);
	result = json_parser_feed(p, data, len) || json_parser_finish(p) ? -1 : 0;
	json_parser_free(p);
	if (m.key.failed) {
		errno = ENOMEM;
		result = -1;
	}
	buf_free(&m.key);
	return (result);
}

static void
print(void *ctx, const char *text, size_t len)
{
	buf_add(ctx, text, len);
}

/* A generator allocates its two parts once, and no more as long as it prints into a buffer of ours. */
static void *
get_part(void *ctx, size_t size)
{
	struct json_writer *w = ctx;
	const size_t unit = _Alignof(max_align_t);
	size_t aligned = (size + unit - 1) / unit * unit;
	void *part = w->memory + w->used;

	if (aligned < size || aligned > sizeof(w->memory) - w->used)
		return (NULL);
	w->used += aligned;
	return (part);
}

static void *
resize_part(void *ctx, void *part, size_t size)
{
	(void)part;
	return (get_part(ctx, size));
}

static void
free_part(void *ctx, void *part)
{
	(void)ctx;
	(void)part;
}

struct json_writer *
json_writer_new(struct buf *out, bool pretty)
{
	struct json_writer *w = malloc(sizeof(*w));
	const yajl_alloc_funcs parts = { .malloc = get_part,
		.realloc = resize_part,
		.free = free_part,
		.ctx = w };

	if (w == NULL)
		return (NULL);
	w->out = out;
	w->failed = false;
	w->used = 0;
	if ((w->gen = yajl_gen_alloc(&parts)) == NULL) {
		free(w);
		errno = ENOMEM;
		return (NULL);
	}
	yajl_gen_config(w->gen, yajl_gen_print_callback, print, out);
	if (pretty) {
		yajl_gen_config(w->gen, yajl_gen_beautify, 1);
		yajl_gen_config(w->gen, yajl_gen_indent_string, "  ");
	}
	return (w);
}

static void
note(struct json_writer *w, yajl_gen_status status)
{
	if (status != yajl_gen_status_ok)
		w->failed = true;
}

void
json_object(struct json_writer *w)
{
	note(w, yajl_gen_map_open(w->gen));
}

void
json_object_end(struct json_writer *w)
{
	note(w, yajl_gen_map_close(w->gen));
}

void
json_array(struct json_writer *w)
{
	note(w, yajl_gen_array_open(w->gen));
}

void
json_array_end(struct json_writer *w)
{
	note(w, yajl_gen_array_close(w->gen));
}

void
json_key(struct json_writer *w, const char *key)
{
	json_key_len(w, key, strlen(key));
}

void
json_key_len(struct json_writer *w, const char *key, size_t len)
{
	note(w, yajl_gen_string(w->gen, (const unsigned char *)key, len));
}

void
json_string(struct json_writer *w, const char *s)
{
	if (s)
		json_string_len(w, s, strlen(s));
	else
		json_null(w);
}

void
json_string_len(struct json_writer *w, const char *s, size_t len)
{
	yajl_gen_status status;

	if (len <= LONG_STRING) {
		note(w, yajl_gen_string(w->gen, (const unsigned char *)s, len));
		return;
	}
	/* yajl sees a number of no digits, and separates it from what is before and after it. */
	status = yajl_gen_number(w->gen, "", 0);
	note(w, status);
	if (status == yajl_gen_status_ok)
		escape_add_json(w->out, s, len);
}

void
json_number(struct json_writer *w, const char *text)
{
	note(w, yajl_gen_number(w->gen, text, strlen(text)));
}

void
json_int(struct json_writer *w, long long n)
{
	note(w, yajl_gen_integer(w->gen, n));
}

void
json_bool(struct json_writer *w, bool b)
{
	note(w, yajl_gen_bool(w->gen, b));
}

void
json_null(struct json_writer *w)
{
	note(w, yajl_gen_null(w->gen));
}

int
json_writer_end(struct json_writer *w)
{
	int result = w->failed || w->out->failed ? -1 : 0;

	yajl_gen_free(w->gen);
	free(w);
	return (result);
}
