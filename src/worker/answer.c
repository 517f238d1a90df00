#include "worker/answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "store/durable.h"
#include "store/seal.h"

/* What is read. */
struct reading {
	struct installation *asked;
	struct exchange *x;
	bool failed;
};

static void
add(struct json_writer *w, const char *key, const char *text)
{
	if (text == NULL)
		return;
	json_key(w, key);
	json_string(w, text);
}

/* What is authenticated with a sealed answer, beside the record's name. */
static const char sealed_field[] = "answer";

/* Write it, sealed if there is a key. Returns 0, or -1 with errno set. */
static int
fill(struct reserve *r, const char *record, const struct buf *text)
{
	struct buf line = { 0 };
	int result = 0;

	if (seal_is_on())
		result = seal_add(&line, record, sealed_field, text->data, text->len);
	else
		buf_add(&line, text->data, text->len);
	/* The newline says that it is whole: the space behind it is filled with NULs. */
	buf_addc(&line, '\n');
	if (result == 0 && line.failed) {
		errno = ENOMEM;
		result = -1;
	}
	if (result == 0)
		result = reserve_fill(r, line.data, line.len);
	buf_wipe(&line);
	return (result);
}

int
answer_write(struct reserve *r, const struct installation *asked, const struct exchange *x)
{
	struct buf text = { 0 };
	struct json_writer *w = json_writer_new(&text, false);
	int result = -1, saved;

	if (w == NULL)
		return (-1);
	json_object(w);
	add(w, "exchange_token", asked->exchange_token);
	json_key(w, "installed_at");
	json_int(w, asked->installed_at);
	add(w, "authentication_token", x->authentication_token);
	add(w, "webhook_verification_token", x->webhook_verification_token);
	add(w, "droplet_installation_uuid", x->installation.droplet_installation_uuid);
	add(w, "droplet_uuid", x->installation.droplet_uuid);
	add(w, "fluid_company_id", x->installation.fluid_company_id);
	json_key(w, "fluid_company_id_number");
	json_bool(w, x->installation.fluid_company_id_number);
	add(w, "fluid_shop", x->installation.fluid_shop);
	json_key(w, "active");
	json_bool(w, x->installation.active);
	json_object_end(w);
	errno = ENOMEM;
	if (json_writer_end(w) == 0)
		result = fill(r, asked->record, &text);
	saved = errno;
	buf_wipe(&text);
	errno = saved;
	return (result);
}

static void
set(struct reading *r, char **field, const char *text, size_t len)
{
	free(*field);
	if ((*field = strndup(text, len)) == NULL)
		r->failed = true;
}

static void
on_member(void *user, const char *key, size_t key_len, enum json_kind kind, const char *text,
    size_t len)
{
	struct reading *r = user;
	const struct {
		const char *key;
		char **field;
	} texts[] = {
		{ "exchange_token", &r->asked->exchange_token },
		{ "authentication_token", &r->x->authentication_token },
		{ "webhook_verification_token", &r->x->webhook_verification_token },
		{ "droplet_installation_uuid", &r->x->installation.droplet_installation_uuid },
		{ "droplet_uuid", &r->x->installation.droplet_uuid },
		{ "fluid_company_id", &r->x->installation.fluid_company_id },
		{ "fluid_shop", &r->x->installation.fluid_shop },
	};
	char name[64] = "", number[24] = "";

	memcpy(name, key, key_len < sizeof(name) ? key_len : sizeof(name) - 1);
	for (size_t i = 0; kind == JSON_STRING && i < sizeof(texts) / sizeof(texts[0]); i++)
		if (strcmp(name, texts[i].key) == 0)
			set(r, texts[i].field, text, len);
	if (kind == JSON_BOOL && strcmp(name, "active") == 0)
		r->x->installation.active = len == strlen("true");
	if (kind == JSON_BOOL && strcmp(name, "fluid_company_id_number") == 0)
		r->x->installation.fluid_company_id_number = len == strlen("true");
	if (kind == JSON_NUMBER && strcmp(name, "installed_at") == 0) {
		memcpy(number, text, len < sizeof(number) ? len : sizeof(number) - 1);
		r->asked->installed_at = strtoll(number, NULL, 10);
	}
}

/* Read the line that was left behind, and open it if it is sealed. Returns 0, or an errno. */
static int
read_line(int dir, const char *record, struct buf *line)
{
	struct buf text = { 0 };
	const char *end;
	size_t len;
	int error = 0;

	if (file_read_at(dir, record, ANSWER_SIZE, &text)) {
		error = errno;
	} else if (text.len == 0 || (end = memchr(text.data, '\n', text.len)) == NULL) {
		error = EBADMSG;
	} else {
		len = (size_t)(end - text.data);
		if (!seal_is_sealed(text.data, len))
			buf_add(line, text.data, len);
		else if (seal_open(line, record, sealed_field, text.data, len))
			error = errno;
		if (line->failed)
			error = ENOMEM;
	}
	buf_wipe(&text);
	return (error);
}

int
answer_read(int dir, const char *record, struct installation **asked, struct exchange *x)
{
	struct buf line = { 0 };
	struct reading r = { .x = x };
	int error;

	*x = (struct exchange){ .installation = { .active = false } };
	if ((*asked = r.asked = installation_new(record)) == NULL)
		return (-1);
	error = read_line(dir, record, &line);
	if (error == 0 &&
	    (json_read_members(line.data, line.len, on_member, &r) ||
		(!r.failed &&
		    (x->authentication_token == NULL || r.asked->exchange_token == NULL))))
		error = EBADMSG;
	else if (error == 0 && r.failed)
		error = ENOMEM;
	buf_wipe(&line);
	if (error) {
		exchange_free(x);
		installation_free(*asked);
		*asked = NULL;
		errno = error;
	}
	return (error ? -1 : 0);
}

int
answer_remove(int dir, const char *record)
{
	if (unlinkat(dir, record, 0) && errno != ENOENT)
		return (-1);
	return (sync_directory(dir));
}
