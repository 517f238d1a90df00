#include "base/credential.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"

static const char *const names[] = { "token", "secret", "password", "credential", "api_key",
	"apikey", "private_key" };

enum { N_NAMES = sizeof(names) / sizeof(names[0]) };

bool
credential_is_name(const char *key, size_t len)
{
	for (size_t i = 0; i < N_NAMES; i++)
		for (size_t at = 0, n = strlen(names[i]); at + n <= len; at++)
			if (strncasecmp(key + at, names[i], n) == 0)
				return (true);
	return (false);
}

/*
 * Whether the text can have such a name: it stands in it somewhere, or a character is written as \\uNNNN.
 * Most bodies need not be parsed then.
 */
static bool
may_have(const char *text, size_t len)
{
	static const char initials[] = "tTsSpPcCaA\\";
	bool is_initial[256] = { false };

	for (const char *p = initials; *p; p++)
		is_initial[(unsigned char)*p] = true;
	for (size_t at = 0; at < len; at++) {
		if (!is_initial[(unsigned char)text[at]])
			continue;
		if (text[at] == '\\' && at + 1 < len && text[at + 1] == 'u')
			return (true);
		for (size_t i = 0; i < N_NAMES; i++)
			if (len - at >= strlen(names[i]) &&
			    strncasecmp(text + at, names[i], strlen(names[i])) == 0)
				return (true);
	}
	return (false);
}

static void
on_event(void *user, enum json_kind kind, const char *text, size_t len, unsigned depth)
{
	bool *found = user;

	(void)depth;
	if (kind == JSON_KEY && credential_is_name(text, len))
		*found = true;
}

bool
credential_in_json(const char *text, size_t len)
{
	struct json_parser *p;
	bool found = false, whole;

	if (!may_have(text, len))
		return (false);
	if ((p = json_parser_new(on_event, &found)) == NULL)
		return (true);
	whole = json_parser_feed(p, text, len) == 0 && json_parser_finish(p) == 0;
	json_parser_free(p);
	return (found || !whole);
}
