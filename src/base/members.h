#ifndef BASE_MEMBERS_H
#define BASE_MEMBERS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/json.h"

/*
 * Structs that are JSON objects in files and for `--json`. One table says which member of the object is which field
 * of the struct. The struct is read, written, printed and freed by it.
 */

enum member_kind {
	MEMBER_TEXT,   /* char *; NULL: null */
	MEMBER_NUMBER, /* char *: the text of a number; NULL: null */
	MEMBER_ID, /* char * as one or the other: the bool at `beside` says that it is a number */
	MEMBER_BYTES, /* char *, of which the size_t at `beside` is the length: it may contain NUL */
	MEMBER_CHOICE,  /* an enum, by the texts in `choices`; what is none of them is not read */
	MEMBER_SECONDS, /* int64_t, unix; 0: null */
	MEMBER_MICROS,  /* struct timespec */
};

enum {
	MEMBER_WHERE_SET = 1, /* not written if it is null */
	MEMBER_FORMER = 2,    /* read, and not written any more */
	MEMBER_SECRET = 4,    /* printed as "present", or null if there is none */
	MEMBER_INTERNAL = 8,  /* not printed */
};

struct member {
	const char *key;
	enum member_kind kind;
	unsigned flags;
	size_t offset, beside;
	const char *const *choices;
	size_t n_choices;
};

/** A member of the same name in the struct. */
#define MEMBER(type, field, kind, flags) \
	{ \
#field, kind, flags, offsetof(type, field), 0, NULL, 0 \
	}

struct members {
	const struct member *list;
	size_t n;
};

/**
 * Read a JSON object into the struct, which the caller has set to its defaults. Unknown members, and values of another
 * type than the member's, are passed over. texts: where the strings are to lie; it must be kept and not be changed
 * as long as they are used. NULL: each is allocated, and freed by members_free().
 * Returns 0, or -1 with errno set: EBADMSG, ENOMEM. The strings read by then are in the struct.
 */
int members_read(const struct members *m, void *object, const char *data, size_t len,
    struct buf *texts);

/** Write the members into an object that the caller begins and ends. */
void members_write(const struct members *m, const void *object, struct json_writer *w);

/** The same for `--json`: no secret, nothing internal, and null for what is not set. */
void members_print(const struct members *m, const void *object, struct json_writer *w);

/** Overwrite and free the strings. */
void members_free(const struct members *m, void *object);

#endif
