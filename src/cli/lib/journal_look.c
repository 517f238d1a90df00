#include "cli/lib/journal_look.h"

#include <string.h>
#include <strings.h>

/* The name, if it is one whose characters stand in the line as they are. */
static const char *
plain(const char *name)
{
	return (name && name_is_safe(name, strlen(name)) ? name : NULL);
}

struct journal_look
journal_look_for(const char *event, const char *installation, const char *uuid)
{
	struct journal_look look = {
		.event = plain(event),
		.uuid = plain(uuid),
		.installation = plain(installation),
	};

	if (look.installation &&
	    name_of_shop(look.shop, look.installation, strlen(look.installation)))
		look.installation = NULL;
	return (look);
}

/*
 * Whether the line has the member `key` (its name in quotes) with a string that begins like this, whatever the case.
 * The body can hold the same bytes, with escaped quotes: those do not count as the key's.
 */
static bool
has_member(const char *line, size_t len, const char *key, const char *beginning)
{
	const char *end = line + len, *at = line;
	size_t key_len = strlen(key), n = strlen(beginning);

	while ((at = memmem(at, (size_t)(end - at), key, key_len)) != NULL) {
		at += key_len;
		while (at < end && (*at == ' ' || *at == '\t' || *at == ':'))
			at++;
		if ((size_t)(end - at) > n && *at == '"' && strncasecmp(at + 1, beginning, n) == 0)
			return (true);
	}
	return (false);
}

bool
journal_look_at(void *user, const char *line, size_t len)
{
	struct journal_look *look = user;

	look->lines++;
	/* What is no whole object is damaged, and the reader has to say so. */
	if (len < 2 || line[0] != '{' || line[len - 1] != '}')
		return (len != 0);
	if (look->uuid && !has_member(line, len, "\"delivery\"", look->uuid))
		return (false);
	if (look->event && !has_member(line, len, "\"event\"", look->event))
		return (false);
	return (look->installation == NULL ||
	    memmem(line, len, look->installation, strlen(look->installation)) ||
	    has_member(line, len, "\"fluid_shop\"", look->shop));
}
