#include "fluid/webhook_events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
webhook_events_free(struct webhook_events *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->items[i].name);
	free(l->items);
	*l = (struct webhook_events){ 0 };
}

static int
add(struct webhook_events *l, const char *resource, const char *event, bool deprecated)
{
	struct webhook_event *larger = realloc(l->items, (l->n + 1) * sizeof(*larger));
	char *name = NULL;

	if (larger == NULL)
		return (-1);
	l->items = larger;
	if (asprintf(&name, "%s.%s", resource, event) == -1)
		return (-1);
	l->items[l->n++] = (struct webhook_event){ .name = name, .deprecated = deprecated };
	return (0);
}

static bool
is_deprecated(const struct json_node *root, const char *resource)
{
	const struct json_node *list = json_tree_get(root, "deprecated_resources");
	const char *name;

	for (const struct json_node *i = list ? list->child : NULL; i; i = i->next) {
		name = i->key ? i->key : json_tree_string(i);
		if (name && strcmp(name, resource) == 0)
			return (true);
	}
	return (false);
}

/* The event that one entry of a resource is: a text, an object that says it, or a member's key. */
static const char *
event_of(const struct json_node *entry)
{
	const char *name;

	if (entry->key)
		return (entry->key);
	if (!json_tree_is(entry, JSON_OBJECT))
		return (json_tree_string(entry));
	name = json_tree_string(json_tree_get(entry, "event"));
	return (name ? name : json_tree_string(json_tree_get(entry, "name")));
}

int
webhook_events_read(struct webhook_events *l, const struct json_node *root)
{
	const struct json_node *resources = json_tree_get(root, "resources");
	const char *event;

	*l = (struct webhook_events){ 0 };
	if (!json_tree_is(resources, JSON_OBJECT)) {
		errno = EBADMSG;
		return (-1);
	}
	for (const struct json_node *r = resources->child; r; r = r->next) {
		bool deprecated = is_deprecated(root, r->key);

		for (const struct json_node *i = r->child; i; i = i->next) {
			if ((event = event_of(i)) == NULL)
				continue;
			if (add(l, r->key, event, deprecated)) {
				webhook_events_free(l);
				errno = ENOMEM;
				return (-1);
			}
		}
	}
	return (0);
}
