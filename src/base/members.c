#include "base/members.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/timefmt.h"

static void *
at(void *object, size_t offset)
{
	return ((char *)object + offset);
}

static const void *
const_at(const void *object, size_t offset)
{
	return ((const char *)object + offset);
}

static bool
is_string(const struct member *m)
{
	return (m->kind == MEMBER_TEXT || m->kind == MEMBER_NUMBER || m->kind == MEMBER_ID ||
	    m->kind == MEMBER_BYTES);
}

/* One reading. */
struct reading {
	const struct members *members;
	void *object;
	struct buf *texts;
	bool failed;
};

/* Overwrite and free a string, which may contain NUL. */
static void
free_string(const struct member *m, void *object)
{
	char **string = at(object, m->offset);

	if (*string && m->kind == MEMBER_BYTES)
		explicit_bzero(*string, *(size_t *)at(object, m->beside));
	secret_free(*string);
	*string = NULL;
}

static void
read_string(struct reading *r, const struct member *m, const char *text, size_t len)
{
	char **string = at(r->object, m->offset), *copy;

	if (r->texts) {
		/* There is room for all of them: none is longer than it was in the object. */
		copy = r->texts->data + r->texts->len;
		buf_add(r->texts, text, len);
		buf_addc(r->texts, '\0');
	} else if ((copy = malloc(len + 1)) != NULL) {
		memcpy(copy, text, len);
		copy[len] = '\0';
		free_string(m, r->object);
	} else {
		r->failed = true;
		return;
	}
	*string = copy;
	if (m->kind == MEMBER_BYTES)
		*(size_t *)at(r->object, m->beside) = len;
}

static void
read_choice(struct reading *r, const struct member *m, const char *text)
{
	for (size_t i = 0; i < m->n_choices; i++)
		if (strcmp(m->choices[i], text) == 0)
			*(unsigned *)at(r->object, m->offset) = (unsigned)i;
}

static void
read_value(struct reading *r, const struct member *m, enum json_kind kind, const char *text,
    size_t len)
{
	char copy[TIMEFMT_MICROS_SIZE + 8] = "";
	struct timespec when;

	/* Only what can be written again as it was. */
	if (m->kind == MEMBER_ID ? kind != JSON_NUMBER && kind != JSON_STRING :
				   kind != (m->kind == MEMBER_NUMBER ? JSON_NUMBER : JSON_STRING))
		return;
	if (is_string(m)) {
		read_string(r, m, text, len);
		if (m->kind == MEMBER_ID)
			*(bool *)at(r->object, m->beside) = kind == JSON_NUMBER;
		return;
	}
	if (len < sizeof(copy))
		memcpy(copy, text, len);
	if (m->kind == MEMBER_CHOICE)
		read_choice(r, m, copy);
	else if (timefmt_parse(copy, &when) != 0)
		return;
	else if (m->kind == MEMBER_SECONDS)
		*(int64_t *)at(r->object, m->offset) = when.tv_sec;
	else
		*(struct timespec *)at(r->object, m->offset) = when;
}

/* Whether this is the key of a member. Mostly the first byte tells; strlen() of each key took a twelfth of `list`. */
static bool
is_key(const struct member *m, const char *key, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (m->key[i] != key[i] || key[i] == '\0')
			return (false);
	return (m->key[len] == '\0');
}

static void
on_member(void *user, const char *key, size_t key_len, enum json_kind kind, const char *text,
    size_t len)
{
	struct reading *r = user;

	for (size_t i = 0; i < r->members->n; i++) {
		const struct member *m = &r->members->list[i];

		if (is_key(m, key, key_len))
			read_value(r, m, kind, text, len);
	}
}

int
members_read(const struct members *m, void *object, const char *data, size_t len, struct buf *texts)
{
	struct reading r = { .members = m, .object = object, .texts = texts };

	if (texts && buf_reserve(texts, len + 1))
		return (-1);
	if (json_read_members(data, len, on_member, &r))
		return (-1);
	if (r.failed) {
		errno = ENOMEM;
		return (-1);
	}
	return (0);
}

/* The text of a member that is no string in the struct. `when` is room for it. NULL: null. */
static const char *
text_of(const struct member *m, const void *object, char when[TIMEFMT_MICROS_SIZE])
{
	const void *value = const_at(object, m->offset);

	switch (m->kind) {
	case MEMBER_CHOICE:
		return (m->choices[*(const unsigned *)value]);
	case MEMBER_SECONDS:
		if (*(const int64_t *)value == 0)
			return (NULL);
		timefmt_seconds(when, *(const int64_t *)value);
		return (when);
	case MEMBER_MICROS:
		if ((m->flags & MEMBER_WHERE_SET) && ((const struct timespec *)value)->tv_sec == 0)
			return (NULL);
		timefmt_micros(when, value);
		return (when);
	default:
		return (*(const char *const *)value);
	}
}

static void
write_value(const struct member *m, const void *object, const char *text, struct json_writer *w)
{
	bool number = m->kind == MEMBER_NUMBER ||
	    (m->kind == MEMBER_ID && *(const bool *)const_at(object, m->beside));

	json_key(w, m->key);
	if (text == NULL)
		json_null(w);
	else if (number)
		json_number(w, text);
	else if (m->kind == MEMBER_BYTES)
		json_string_len(w, text, *(const size_t *)const_at(object, m->beside));
	else
		json_string(w, text);
}

void
members_write(const struct members *m, const void *object, struct json_writer *w)
{
	char when[TIMEFMT_MICROS_SIZE];
	const char *text;

	for (size_t i = 0; i < m->n; i++) {
		const struct member *one = &m->list[i];

		text = text_of(one, object, when);
		if (!(one->flags & MEMBER_FORMER) && (text || !(one->flags & MEMBER_WHERE_SET)))
			write_value(one, object, text, w);
	}
}

void
members_print(const struct members *m, const void *object, struct json_writer *w)
{
	char when[TIMEFMT_MICROS_SIZE];
	const char *text;

	for (size_t i = 0; i < m->n; i++) {
		const struct member *one = &m->list[i];

		text = text_of(one, object, when);
		if (one->flags & (MEMBER_FORMER | MEMBER_INTERNAL))
			continue;
		if (one->flags & MEMBER_SECRET) {
			json_key(w, one->key);
			json_string(w, text ? "present" : NULL);
		} else {
			write_value(one, object, text, w);
		}
	}
}

void
members_free(const struct members *m, void *object)
{
	for (size_t i = 0; i < m->n; i++)
		if (is_string(&m->list[i]))
			free_string(&m->list[i], object);
}
