#include "cli/lib/registered.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "cli/lib/cli.h"
#include "store/durable.h"

enum { NOTE_MAX = 64 * 1024 };

static const char suffix[] = ".registered", pending_word[] = "pending", used_word[] = "registered";

/* The whole note, NUL-terminated; empty if there is none. Returns 0, or -1 with errno set. */
static int
read_note(const char *secrets, struct buf *text)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s%s", secrets, suffix) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	if (file_read_path(path, NOTE_MAX, text) && errno != ENOENT)
		return (-1);
	buf_adds(text, "");
	return (text->failed ? -1 : 0);
}

/* The next line, split at its blanks. Returns 1, or 0 at the end. What is no such line is skipped. */
static int
next_line(char **rest, char **fingerprint, char **state, char **url)
{
	char *line, *words;

	while ((line = strsep(rest, "\n")) != NULL) {
		words = line;
		*fingerprint = strsep(&words, " ");
		*state = strsep(&words, " ");
		*url = words;
		if (*state && *url && **url && strlen(*fingerprint) == FINGERPRINT_SIZE - 1)
			return (1);
	}
	return (0);
}

/* Find a line in this state, with this fingerprint unless that is empty. Writes its fingerprint. */
static bool
find(const char *secrets, const char *wanted_state, char fingerprint[FINGERPRINT_SIZE])
{
	struct buf text = { 0 };
	char *rest, *print, *state, *url;
	bool found = false;

	if (read_note(secrets, &text) == 0)
		for (rest = text.data; !found && next_line(&rest, &print, &state, &url);)
			if (strcmp(state, wanted_state) == 0 &&
			    (*fingerprint == '\0' || strcmp(print, fingerprint) == 0)) {
				memcpy(fingerprint, print, FINGERPRINT_SIZE);
				found = true;
			}
	buf_free(&text);
	return (found);
}

bool
registered_pending(const char *secrets, char fingerprint[FINGERPRINT_SIZE])
{
	*fingerprint = '\0';
	return (find(secrets, pending_word, fingerprint));
}

bool
registered_uses(const char *secrets, const char *fingerprint)
{
	char print[FINGERPRINT_SIZE];

	snprintf(print, sizeof(print), "%s", fingerprint);
	return (find(secrets, used_word, print));
}

/* Put the text in the place of the note beside the secrets. Returns 0, or -1 with errno set. */
static int
write_note(const char *secrets, const struct buf *text)
{
	const char *slash = strrchr(secrets, '/');
	char directory[PATH_MAX], name[NAME_MAX + 1];
	int dir, result;

	if (snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - secrets) + 1 : 1,
		slash ? secrets : ".") >= (int)sizeof(directory) ||
	    snprintf(name, sizeof(name), "%s%s", slash ? slash + 1 : secrets, suffix) >=
		(int)sizeof(name)) {
		errno = ENAMETOOLONG;
		return (-1);
	}
	if ((dir = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1)
		return (-1);
	result = durable_replace(dir, name, text->data, text->len, 0644);
	file_close(dir);
	return (result);
}

int
registered_note(const char *secrets, const char *fingerprint, const char *url, bool pending)
{
	struct buf text = { 0 }, out = { 0 };
	char *rest, *print, *state, *other;
	int result = read_note(secrets, &text);

	for (rest = text.data; result == 0 && next_line(&rest, &print, &state, &other);)
		/* Another URL stays, unless it waited for this very secret. */
		if (strcmp(other, url) != 0 &&
		    !(strcmp(print, fingerprint) == 0 && strcmp(state, pending_word) == 0))
			buf_addf(&out, "%s %s %s\n", print, state, other);
	buf_addf(&out, "%s %s %s\n", fingerprint, pending ? pending_word : used_word, url);
	if (result == 0)
		result = out.failed ? -1 : write_note(secrets, &out);
	if (result)
		cli_fail("%s%s: %s", secrets, suffix,
		    out.failed ? "out of memory" : strerror(errno));
	buf_free(&out);
	buf_free(&text);
	return (result);
}
