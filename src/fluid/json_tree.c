#include "fluid/json_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct building {
	struct json_node *root;
	struct json_node *open[JSON_MAX_DEPTH + 1]; /* by depth; [0] is unused */
	struct json_node *last[JSON_MAX_DEPTH + 1]; /* the last child of each */
	char *key;                                  /* of the member that comes next */
	size_t key_len;
	size_t count;
	int error; /* errno of what went wrong, or 0 */
};

static char *
copy(const char *text, size_t len)
{
	char *s = malloc(len + 1);

	if (s) {
		memcpy(s, text, len);
		s[len] = '\0';
	}
	return (s);
}

/* Add a node below the container that is open at depth `parent`; 0 makes it the root. */
static struct json_node *
add(struct building *b, enum json_kind kind, unsigned parent)
{
	struct json_node *n;

	if (++b->count > JSON_TREE_MAX) {
		b->error = E2BIG;
		return (NULL);
	}
	if ((n = calloc(1, sizeof(*n))) == NULL) {
		b->error = ENOMEM;
		return (NULL);
	}
	n->kind = kind;
	n->key = b->key;
	n->key_len = b->key_len;
	b->key = NULL;
	if (parent == 0)
		b->root = n;
	else if (b->last[parent])
		b->last[parent]->next = n;
	else
		b->open[parent]->child = n;
	b->last[parent] = n;
	return (n);
}

static void
on_event(void *user, enum json_kind kind, const char *text, size_t len, unsigned depth)
{
	struct building *b = user;
	struct json_node *n;

	if (b->error || kind == JSON_OBJECT_END || kind == JSON_ARRAY_END)
		return;
	if (kind == JSON_KEY) {
		if ((b->key = copy(text, len)) == NULL)
			b->error = ENOMEM;
		b->key_len = len;
		return;
	}
	if (kind == JSON_OBJECT || kind == JSON_ARRAY) {
		if ((n = add(b, kind, depth - 1)) == NULL)
			return;
		b->open[depth] = n;
		b->last[depth] = NULL;
		return;
	}
	if ((n = add(b, kind, depth)) == NULL || text == NULL)
		return;
	if ((n->text = copy(text, len)) == NULL)
		b->error = ENOMEM;
	n->len = len;
}

struct json_node *
json_tree_read(const char *data, size_t len)
{
	struct building b = { .root = NULL };
	struct json_parser *p = json_parser_new(on_event, &b);

	if (p == NULL)
		return (NULL);
	if (json_parser_feed(p, data, len) || json_parser_finish(p)) {
		if (b.error == 0)
			b.error = EBADMSG;
	}
	json_parser_free(p);
	free(b.key);
	if (b.error) {
		json_tree_free(b.root);
		errno = b.error;
		return (NULL);
	}
	return (b.root);
}

void
json_tree_free(struct json_node *node)
{
	struct json_node *next;

	for (; node; node = next) {
		next = node->next;
		json_tree_free(node->child);
		if (node->text)
			explicit_bzero(node->text, node->len);
		free(node->text);
		free(node->key);
		free(node);
	}
}

const struct json_node *
json_tree_get(const struct json_node *node, const char *key)
{
	size_t len = strlen(key);

	if (!json_tree_is(node, JSON_OBJECT))
		return (NULL);
	for (const struct json_node *c = node->child; c; c = c->next)
		if (c->key_len == len && memcmp(c->key, key, len) == 0)
			return (c);
	return (NULL);
}

const char *
json_tree_string(const struct json_node *node)
{
	if (!json_tree_is(node, JSON_STRING) || strlen(node->text) != node->len)
		return (NULL);
	return (node->text);
}

const char *
json_tree_text(const struct json_node *node)
{
	return (json_tree_is(node, JSON_NUMBER) ? node->text : json_tree_string(node));
}

bool
json_tree_is(const struct json_node *node, enum json_kind kind)
{
	return (node != NULL && node->kind == kind);
}
