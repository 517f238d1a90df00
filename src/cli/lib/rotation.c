#include "cli/lib/rotation.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/number.h"
#include "cli/lib/cli.h"
#include "cli/lib/secret_note.h"

static const char suffix[] = ".rotation";

bool
rotation_is_old(const struct rotation *r, const char *fingerprint)
{
	for (size_t i = 0; i < r->n_old; i++)
		if (strcmp(r->old[i], fingerprint) == 0)
			return (true);
	return (false);
}

void
rotation_add_old(struct rotation *r, const char *fingerprint)
{
	if (!rotation_is_old(r, fingerprint) && r->n_old < SECRETS_MAX)
		snprintf(r->old[r->n_old++], FINGERPRINT_SIZE, "%s", fingerprint);
}

/* One line, "WORD VALUE". Returns 0, or -1 if it is none. */
static int
read_line(struct rotation *r, char *line)
{
	char *value = line;
	const char *word = strsep(&value, " ");
	uint64_t at;

	if (value == NULL)
		return (-1);
	if (strcmp(word, "moved") == 0) {
		if (number_parse(value, 0, INT64_MAX, &at))
			return (-1);
		r->moved_at = (int64_t)at;
		return (0);
	}
	if (strlen(value) != FINGERPRINT_SIZE - 1)
		return (-1);
	if (strcmp(word, "new") == 0)
		snprintf(r->fresh, sizeof(r->fresh), "%s", value);
	else if (strcmp(word, "old") == 0)
		rotation_add_old(r, value);
	else
		return (-1);
	return (0);
}

int
rotation_read(const char *secrets, struct rotation *r)
{
	struct buf text = { 0 };
	char *rest, *line;
	int result = 0;

	*r = (struct rotation){ .n_old = 0 };
	if (secret_note_read(secrets, suffix, &text)) {
		cli_fail("%s%s: %s", secrets, suffix, strerror(errno));
		result = -1;
	}
	for (rest = text.data; result != -1 && (line = strsep(&rest, "\n")) != NULL;)
		if (*line && read_line(r, line)) {
			cli_fail("%s%s: cannot be understood; remove it to begin a new rotation",
			    secrets, suffix);
			result = -1;
		}
	if (result == 0 && *r->fresh)
		result = 1;
	buf_free(&text);
	return (result);
}

int
rotation_write(const char *secrets, const struct rotation *r)
{
	struct buf text = { 0 };
	int result = -1;

	buf_addf(&text, "new %s\n", r->fresh);
	for (size_t i = 0; i < r->n_old; i++)
		buf_addf(&text, "old %s\n", r->old[i]);
	if (r->moved_at)
		buf_addf(&text, "moved %" PRId64 "\n", r->moved_at);
	errno = ENOMEM;
	if (!text.failed)
		result = secret_note_write(secrets, suffix, &text);
	if (result)
		cli_fail("%s%s: %s", secrets, suffix, strerror(errno));
	buf_free(&text);
	return (result);
}

int
rotation_end(const char *secrets)
{
	if (secret_note_remove(secrets, suffix) == 0)
		return (0);
	cli_fail("%s%s: %s", secrets, suffix, strerror(errno));
	return (-1);
}
