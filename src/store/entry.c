#include "store/entry.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"

/* The members of a line, in the order they are written; all but the body's length and id's type. */
static const struct member {
	const char *key;
	size_t offset;
	bool number;   /* written as a number */
	bool optional; /* not written where it is null */
} members[] = {
#define MEMBER(field, number) \
	{ \
#field, offsetof(struct entry, field), number, false \
	}
#define OPTIONAL(field) \
	{ \
#field, offsetof(struct entry, field), false, true \
	}
	MEMBER(delivery, false),
	MEMBER(received_at, false),
	MEMBER(event, false),
	MEMBER(installation, false),
	MEMBER(fluid_shop, false),
	MEMBER(id, false),
	MEMBER(identifier, false),
	MEMBER(verified_by, false),
	MEMBER(key, false),
	MEMBER(timestamp, true),
	MEMBER(signature, false),
	MEMBER(fingerprint, false),
	MEMBER(droplet, false),
	MEMBER(sha256, false),
	OPTIONAL(refused),
	OPTIONAL(refused_at),
	MEMBER(body, false),
#undef OPTIONAL
#undef MEMBER
};

enum { N_MEMBERS = sizeof(members) / sizeof(members[0]), ID = 5, BODY = N_MEMBERS - 1 };

int
entry_write(const struct entry *e, struct buf *out)
{
	struct json_writer *w = json_writer_new(out, false);
	const char *value;

	if (w == NULL)
		return (-1);
	json_object(w);
	for (size_t m = 0; m < N_MEMBERS; m++) {
		value = *(const char *const *)((const char *)e + members[m].offset);
		if (value == NULL && members[m].optional)
			continue;
		json_key(w, members[m].key);
		if (value == NULL)
			json_null(w);
		else if (m == BODY)
			json_string_len(w, value, e->body_len);
		else if (members[m].number || (m == ID && e->id_is_number))
			json_number(w, value);
		else
			json_string(w, value);
	}
	json_object_end(w);
	errno = ENOMEM;
	return (json_writer_end(w));
}

/* While a line is read: where in `texts` each member begins, as the buffer moves while it grows. */
struct reading {
	struct buf *texts;
	size_t at[N_MEMBERS];
	bool found[N_MEMBERS];
	size_t body_len;
	bool id_is_number;
};

static void
on_member(void *user, const char *key, size_t key_len, enum json_kind kind, const char *text,
    size_t len)
{
	struct reading *r = user;

	if (kind != JSON_STRING && kind != JSON_NUMBER)
		return;
	for (size_t m = 0; m < N_MEMBERS; m++) {
		if (strlen(members[m].key) != key_len || memcmp(members[m].key, key, key_len) != 0)
			continue;
		/* Only what can be written again as it was. */
		if (m != ID && members[m].number != (kind == JSON_NUMBER))
			continue;
		r->at[m] = r->texts->len;
		r->found[m] = true;
		if (m == BODY)
			r->body_len = len;
		if (m == ID)
			r->id_is_number = kind == JSON_NUMBER;
		buf_add(r->texts, text, len);
		buf_addc(r->texts, '\0');
	}
}

int
entry_read(struct entry *e, const char *line, size_t len, struct buf *texts)
{
	struct reading r = { .texts = texts };

	*e = (struct entry){ 0 };
	if (json_read_members(line, len, on_member, &r) || texts->failed)
		return (-1);
	for (size_t m = 0; m < N_MEMBERS; m++)
		if (r.found[m])
			*(const char **)((char *)e + members[m].offset) = texts->data + r.at[m];
	e->body_len = r.body_len;
	e->id_is_number = r.id_is_number;
	return (e->delivery && e->received_at && e->event && e->body ? 0 : -1);
}
