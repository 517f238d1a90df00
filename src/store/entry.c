#include "store/entry.h"

#include <errno.h>
#include <string.h>

#include "base/credential.h"
#include "base/members.h"
#include "store/seal.h"

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
	OWN(sealed_body, MEMBER_TEXT, MEMBER_WHERE_SET | MEMBER_INTERNAL),
	WITH(body, MEMBER_BYTES, MEMBER_WHERE_SET | MEMBER_INTERNAL, body_len),
};

static const struct members members = { table, sizeof(table) / sizeof(table[0]) };

/* What is authenticated with a sealed body, beside the delivery. */
static const char body_field[] = "body";

/* Contract section 4: lifecycle bodies, and all bodies with a member named like a credential. */
static bool
is_sensitive(const struct entry *e)
{
	return (strncmp(e->event, "droplet.", strlen("droplet.")) == 0 ||
	    credential_in_json(e->body, e->body_len));
}

int
entry_write(const struct entry *e, struct buf *out)
{
	struct buf sealed = { 0 };
	struct entry stored = *e;
	struct json_writer *w;
	int result = -1;

	if (seal_is_on() && is_sensitive(e)) {
		if (seal_add(&sealed, e->delivery, body_field, e->body, e->body_len))
			return (-1);
		stored.sealed_body = sealed.data;
		stored.body = NULL;
	}
	errno = ENOMEM;
	if ((w = json_writer_new(out, false)) != NULL) {
		json_object(w);
		members_write(&members, &stored, w);
		json_object_end(w);
		result = json_writer_end(w);
		errno = ENOMEM;
	}
	buf_free(&sealed);
	return (result);
}

/* Open the sealed body. Its bytes stay in the place of the sealed text, which is longer. 0, or an errno. */
static int
open_body(struct entry *e, struct buf *texts)
{
	char *place = texts->data + (e->sealed_body - texts->data);
	struct buf body = { 0 };
	int error = 0;

	e->body = NULL;
	e->body_len = 0;
	if (e->delivery == NULL)
		return (EBADMSG);
	if (seal_open(&body, e->delivery, body_field, place, strlen(place)) == 0) {
		memcpy(place, body.data, body.len);
		place[body.len] = '\0';
		e->body = place;
		e->body_len = body.len;
	} else {
		error = errno;
	}
	e->sealed_body = NULL;
	buf_wipe(&body);
	return (error);
}

int
entry_read(struct entry *e, const char *line, size_t len, struct buf *texts)
{
	int error = 0;

	*e = (struct entry){ 0 };
	if (members_read(&members, e, line, len, texts))
		return (-1);
	if (e->sealed_body)
		error = open_body(e, texts);
	if (!e->delivery || !e->received_at || !e->event || (!e->body && error == 0))
		error = EBADMSG;
	errno = error;
	return (error ? -1 : 0);
}

void
entry_print(const struct entry *e, struct json_writer *w)
{
	members_print(&members, e, w);
}
