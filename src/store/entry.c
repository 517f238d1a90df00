#include "store/entry.h"

#include <errno.h>

#include "base/members.h"

#define OWN(field, kind, flags) MEMBER(struct entry, field, kind, flags)
#define WITH(field, kind, flags, other) \
	{ \
#field, kind, flags, offsetof(struct entry, field), offsetof(struct entry, other), \
		    NULL, 0 \
	}

/* The members of a line, in the order they are written. */
static const struct member table[] = {
	OWN(delivery, MEMBER_TEXT, 0),
	OWN(received_at, MEMBER_TEXT, 0),
	OWN(event, MEMBER_TEXT, 0),
	OWN(installation, MEMBER_TEXT, 0),
	OWN(fluid_shop, MEMBER_TEXT, 0),
	WITH(id, MEMBER_ID, 0, id_is_number),
	OWN(identifier, MEMBER_TEXT, 0),
	OWN(verified_by, MEMBER_TEXT, 0),
	OWN(key, MEMBER_TEXT, 0),
	OWN(timestamp, MEMBER_NUMBER, 0),
	OWN(signature, MEMBER_TEXT, MEMBER_INTERNAL),
	OWN(fingerprint, MEMBER_TEXT, 0),
	OWN(droplet, MEMBER_TEXT, 0),
	OWN(sha256, MEMBER_TEXT, 0),
	OWN(refused, MEMBER_TEXT, MEMBER_WHERE_SET | MEMBER_INTERNAL),
	OWN(refused_at, MEMBER_TEXT, MEMBER_WHERE_SET | MEMBER_INTERNAL),
	WITH(body, MEMBER_BYTES, MEMBER_INTERNAL, body_len),
};

static const struct members members = { table, sizeof(table) / sizeof(table[0]) };

int
entry_write(const struct entry *e, struct buf *out)
{
	struct json_writer *w = json_writer_new(out, false);

	if (w == NULL)
		return (-1);
	json_object(w);
	members_write(&members, e, w);
	json_object_end(w);
	errno = ENOMEM;
	return (json_writer_end(w));
}

int
entry_read(struct entry *e, const char *line, size_t len, struct buf *texts)
{
	*e = (struct entry){ 0 };
	if (members_read(&members, e, line, len, texts))
		return (-1);
	return (e->delivery && e->received_at && e->event && e->body ? 0 : -1);
}

void
entry_print(const struct entry *e, struct json_writer *w)
{
	members_print(&members, e, w);
}
