#ifndef BASE_ESCAPE_H
#define BASE_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Text of unknown origin made harmless: for a person who reads it on a terminal or in a log, in a URL, in JSON. */

enum escape_how {
	/*
	 * For a terminal. Kept are whole UTF-8 characters. Escaped are C0 and C1 controls, DEL, bytes that
	 * are not UTF-8 (\xNN), and characters that are not seen but change how a line reads, such as
	 * zero-width ones and those that turn the direction of writing (\uNNNN).
	 */
	ESCAPE_TERMINAL,
	/* For a value between double quotes in a log line: ASCII alone; quote and backslash get a backslash. */
	ESCAPE_QUOTED,
};

/* The longest escaped form of one character, with its NUL. */
enum { ESCAPE_SIZE = 8 };

/**
 * Escape the first character of text (len bytes, at least one). `out` gets its form, terminated; *n its
 * length. Returns how many bytes of the text that was, at least 1.
 */
size_t escape_one(char out[ESCAPE_SIZE], size_t *n, const char *text, size_t len,
    enum escape_how how);

/** Add text to `out`, escaped. */
void escape_add(struct buf *out, const char *text, size_t len, enum escape_how how);

/**
 * Copy text into `out` of `size` bytes (at least 4), escaped and terminated. What does not fit is cut
 * before a whole character, which three dots show. Returns whether all of it fitted.
 */
bool escape_copy(char *out, size_t size, const char *text, size_t len, enum escape_how how);

/** Add text as a part of a URL (RFC 3986): all but unreserved characters as %NN. */
void escape_add_url(struct buf *out, const char *text, size_t len);

/** Add text as a string of JSON (RFC 8259), with its quotes, and escaped as yajl does it. */
void escape_add_json(struct buf *out, const char *text, size_t len);

#endif
