#include "fluid/webhook.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { ID_MAX = 20 }; /* decimal digits of 64 bits */

/* Which of Fluid's members goes where, and in which order they are written. */
static const struct member {
	const char *key;
	size_t offset;
	bool number; /* whether Fluid writes it as a number */
} members[] = {
#define MEMBER(field, number) \
	{ \
#field, offsetof(struct webhook, field), number \
	}
	MEMBER(id, true),
	MEMBER(company_id, true),
	MEMBER(droplet_installation_uuid, false),
	MEMBER(resource, false),
	MEMBER(event, false),
	MEMBER(event_identifier, false),
	MEMBER(url, false),
	MEMBER(http_method, false),
	MEMBER(created_at, false),
	MEMBER(updated_at, false),
	MEMBER(auth_token, false),
#undef MEMBER
};

enum { N_MEMBERS = sizeof(members) / sizeof(members[0]) };

bool
webhook_is_id(const char *s)
{
	size_t len = s ? strlen(s) : 0;

	return (len > 0 && len <= ID_MAX && strspn(s, "0123456789") == len &&
	    (s[0] != '0' || len == 1));
}

static char **
field_of(struct webhook *w, const struct member *m)
{
	return ((char **)(void *)((char *)w + m->offset));
}

void
webhook_free(struct webhook *w)
{
	for (size_t i = 0; i < N_MEMBERS; i++)
		secret_free(*field_of(w, &members[i]));
	*w = (struct webhook){ 0 };
}

void
webhook_list_free(struct webhook_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		webhook_free(&l->items[i]);
	free(l->items);
	*l = (struct webhook_list){ 0 };
}

int
webhook_read(struct webhook *w, const struct json_node *node)
{
	const struct json_node *active = json_tree_get(node, "active");

	*w = (struct webhook){ 0 };
	for (size_t i = 0; i < N_MEMBERS; i++) {
		const char *text = json_tree_text(json_tree_get(node, members[i].key));

		if (text && (*field_of(w, &members[i]) = strdup(text)) == NULL)
			goto err;
	}
	w->active = json_tree_is(active, JSON_BOOL) && strcmp(active->text, "true") == 0;
	if (webhook_is_id(w->id))
		return (0);
	errno = EBADMSG;
err:
	webhook_free(w);
	return (-1);
}

void
webhook_write(const struct webhook *w, struct json_writer *json)
{
	json_object(json);
	for (size_t i = 0; i < N_MEMBERS; i++) {
		const char *value = *field_of((struct webhook *)w, &members[i]);

		if (members[i].offset == offsetof(struct webhook, auth_token))
			continue;
		json_key(json, members[i].key);
		if (members[i].number && webhook_is_id(value))
			json_number(json, value);
		else
			json_string(json, value);
	}
	json_key(json, "active");
	json_bool(json, w->active);
	if (w->auth_token) {
		json_key(json, "has_auth_token");
		json_bool(json, true);
	}
	json_object_end(json);
}
