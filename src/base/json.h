#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* JSON in and out. The only files that know yajl are this module and fluid's reader of answers. */

enum { JSON_MAX_DEPTH = 64 };

enum json_kind {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_OBJECT,
	JSON_OBJECT_END,
	JSON_ARRAY,
	JSON_ARRAY_END,
	JSON_KEY,
};

/**
 * One thing the parser met. text, len: the unescaped bytes of a string or key (not terminated; may
 * contain NUL; U+FFFD or "?" for a surrogate without its pair), the exact text of a number, "true" or "false"; NULL otherwise. depth counts the open
 * containers, with the one this event opens or closes.
 */
typedef void json_event(void *user, enum json_kind kind, const char *text, size_t len,
    unsigned depth);

struct json_parser;

/** A parser for one JSON object. The caller ends it with json_parser_free(). NULL: ENOMEM. */
struct json_parser *json_parser_new(json_event *event, void *user);

/**
 * Parse the next bytes. Accepts exactly one object, nested at most JSON_MAX_DEPTH deep, in valid
 * UTF-8 (RFC 3629); yajl itself is laxer in all three. Returns 0, or -1 once the input cannot become
 * one: with errno ENOMEM where memory ran out, else EBADMSG. Events can come even after that, and do
 * not depend on how the input was cut: who uses what they said of a flawed input knows that it may be
 * no valid UTF-8.
 */
int json_parser_feed(struct json_parser *p, const char *data, size_t len);

/** The input has ended. Returns 0 if it was one whole object, else -1 with errno as above. */
int json_parser_finish(struct json_parser *p);

void json_parser_free(struct json_parser *p);

/** One member of the outermost object: scalars as in json_event, containers without text. */
typedef void json_member(void *user, const char *key, size_t key_len, enum json_kind kind,
    const char *text, size_t len);

/** Read a whole object and hand out its direct members. Returns 0, or -1 with errno as above. */
int json_read_members(const char *data, size_t len, json_member *member, void *user);

struct json_writer;

/**
 * A writer that appends to `out`, indented by two spaces when `pretty`. The caller ends it with
 * json_writer_end(). NULL: ENOMEM.
 */
struct json_writer *json_writer_new(struct buf *out, bool pretty);

void json_object(struct json_writer *w);
void json_object_end(struct json_writer *w);
void json_array(struct json_writer *w);
void json_array_end(struct json_writer *w);
void json_key(struct json_writer *w, const char *key);
void json_key_len(struct json_writer *w, const char *key, size_t len);

/** s must be valid UTF-8; NULL writes null. */
void json_string(struct json_writer *w, const char *s);
void json_string_len(struct json_writer *w, const char *s, size_t len);

/** Written as it is: the caller vouches that it is a JSON number. */
void json_number(struct json_writer *w, const char *text);
void json_int(struct json_writer *w, long long n);
void json_bool(struct json_writer *w, bool b);
void json_null(struct json_writer *w);

/** Free the writer. Returns 0, or -1 when anything could not be written (out of memory). */
int json_writer_end(struct json_writer *w);

#endif
