#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/utf8.h"
#include "cli/check.h"
#include "delivery/secrets.h"
#include "store/durable.h"

/* Lines of a file of secrets that look like a mistake. No secret is ever printed. */

enum { FILE_MAX = 64 * 1024, SHORT = 16 };

/* "NAME=secret", as in a shell's or systemd's environment file. Base64 has "=" at its end alone. */
static bool
is_assignment(const char *s, size_t len)
{
	const char *sign = memchr(s, '=', len);
	size_t at = sign ? (size_t)(sign - s) : 0;

	if (at == 0 || at > 64 || at + 1 >= len || s[at + 1] == '=' || isdigit((unsigned char)*s))
		return (false);
	for (size_t i = 0; i < at; i++)
		if (!isupper((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) && s[i] != '_')
			break;
		else if (i + 1 == at)
			return (true);
	/* In small letters it can be a part of the secret, unless it says what it is. */
	for (size_t i = 0; i + 1 < at; i++)
		if (strncasecmp(s + i, "secret", 6) == 0 || strncasecmp(s + i, "token", 5) == 0 ||
		    strncasecmp(s + i, "key", 3) == 0)
			return (true);
	return (false);
}

const char *
secret_mistake(const char *s, size_t len, const char **hint)
{
	static const char quotes[] = "\"'`";
	const char *blank;

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)s[i] >= 0x80) {
			*hint =
			    "Copy it again as plain text. Some programs put typographic quotes or invisible characters "
			    "in.";
			return ("has characters that are not ASCII");
		}
	if ((len > 7 && strncmp(s, "export ", 7) == 0) || is_assignment(s, len)) {
		*hint = "Remove the name and the equals sign: the line is the secret alone.";
		return ("looks like NAME=secret, and all of it counts as the secret");
	}
	blank = memchr(s, ' ', len) ? memchr(s, ' ', len) : memchr(s, '\t', len);
	if (blank && blank < s + len && memchr(blank, '#', len - (size_t)(blank - s))) {
		*hint = "Put the comment on a line of its own, which begins with #.";
		return ("has a comment behind the secret, which counts as part of it");
	}
	if (strchr(quotes, s[0]) || strchr(quotes, s[len - 1])) {
		*hint = "Remove the quotes: the line is the secret alone.";
		return ("has quotes around the secret, which count as part of it");
	}
	if (s[0] == '<' && s[len - 1] == '>') {
		*hint = "Put the secret there.";
		return ("is a placeholder");
	}
	if (blank) {
		*hint = "Put one secret on each line, without blanks.";
		return ("has blanks in it");
	}
	return (NULL);
}

/* Returns whether the line is sound. */
static bool
check_line(struct checklist *l, const char *path, unsigned number, const char *line, size_t len)
{
	const char *secret = secret_of_line(line, &len), *what, *hint = NULL;

	if (len == 0)
		return (true);
	if (!secret_is_valid(secret, len)) {
		checklist_bad(l, "secrets",
		    "One secret stands on a line, as plain text of at most 512 bytes.",
		    "%s:%u: is no secret: it is too long or has control characters", path, number);
		return (false);
	}
	if ((what = secret_mistake(secret, len, &hint)) != NULL) {
		checklist_bad(l, "secrets", hint, "%s:%u: %s", path, number, what);
		return (false);
	}
	if (len < SHORT)
		checklist_note(l, "secrets",
		    "Whoever guesses it can forge deliveries. \"fluidhook secret add\" makes a "
		    "random one.",
		    "%s:%u: has only %zu characters", path, number, len);
	return (true);
}

bool
check_secret_lines(struct checklist *l, const char *path)
{
	struct buf text = { 0 };
	unsigned number = 0;
	bool good = true;
	const char *end;
	size_t len;

	/* One that cannot be read was named before. */
	if (file_read_path(path, FILE_MAX, &text) == 0)
		for (size_t at = utf8_mark(text.data, text.len); at < text.len; at += len + 1) {
			end = memchr(text.data + at, '\n', text.len - at);
			len = end ? (size_t)(end - text.data) - at : text.len - at;
			if (!check_line(l, path, ++number, text.data + at, len))
				good = false;
		}
	buf_wipe(&text);
	return (good);
}
