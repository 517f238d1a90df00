#ifndef FLUID_JSON_TREE_H
#define FLUID_JSON_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"

/* A whole answer as a tree, for answers that are small and read at several places. */

/* More values than this are not taken from one answer. */
enum { JSON_TREE_MAX = 100000 };

struct json_node {
	enum json_kind kind; /* JSON_NULL to JSON_OBJECT, or JSON_ARRAY */
	char *key;           /* of a member: key_len bytes and a NUL; else NULL */
	size_t key_len;
	char *text; /* of a scalar, as in json_event: len bytes and a NUL; else NULL */
	size_t len;
	struct json_node *child; /* first of a container */
	struct json_node *next;  /* sibling */
};

/**
 * Read one JSON object. Returns its tree, which the caller ends with json_tree_free(), or NULL with
 * errno set: EBADMSG where it is not one object, E2BIG where it has too many values, ENOMEM.
 */
struct json_node *json_tree_read(const char *data, size_t len);

/** Wipes what it frees. NULL is fine. */
void json_tree_free(struct json_node *node);

/** The first member with this key; NULL where there is none or `node` (or NULL) is no object. */
const struct json_node *json_tree_get(const struct json_node *node, const char *key);

/** The text of a string without NUL characters in it; NULL for everything else. */
const char *json_tree_string(const struct json_node *node);

/** The text of such a string or of a number; NULL for everything else. */
const char *json_tree_text(const struct json_node *node);

bool json_tree_is(const struct json_node *node, enum json_kind kind);

#endif
