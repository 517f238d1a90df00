#include "cli/lib/registered.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/url.h"
#include "cli/lib/cli.h"
#include "cli/lib/secret_note.h"

static const char suffix[] = ".registered", pending_word[] = "pending", used_word[] = "registered";

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

	if (secret_note_read(secrets, suffix, &text) == 0)
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

int
registered_note(const char *secrets, const char *fingerprint, const char *url, bool pending)
{
	struct buf text = { 0 }, out = { 0 };
	char *rest, *print, *state, *other;
	int result = secret_note_read(secrets, suffix, &text);

	for (rest = text.data; result == 0 && next_line(&rest, &print, &state, &other);)
		/* Another URL stays, unless it waited for this very secret. */
		if (strcmp(other, url) != 0 &&
		    !(strcmp(print, fingerprint) == 0 && strcmp(state, pending_word) == 0))
			buf_addf(&out, "%s %s %s\n", print, state, other);
	buf_addf(&out, "%s %s %s\n", fingerprint, pending ? pending_word : used_word, url);
	if (result == 0)
		result = out.failed ? -1 : secret_note_write(secrets, suffix, &out);
	if (result)
		cli_fail("%s%s: %s", secrets, suffix,
		    out.failed ? "out of memory" : strerror(errno));
	buf_free(&out);
	buf_free(&text);
	return (result);
}

bool
registered_secret_of(const char *secrets, const char *url, char fingerprint[FINGERPRINT_SIZE])
{
	char *rest, *print, *state, *noted;
	struct buf text = { 0 };
	bool found = false;

	if (secret_note_read(secrets, suffix, &text) == 0)
		for (rest = text.data; !found && next_line(&rest, &print, &state, &noted);)
			if (strcmp(state, used_word) == 0 && url_is_same(noted, url)) {
				memcpy(fingerprint, print, FINGERPRINT_SIZE);
				found = true;
			}
	buf_free(&text);
	return (found);
}

int
registered_replace(const char *secrets, const char *old, const char *fresh)
{
	char *rest, *print, *state, *url;
	struct buf text = { 0 }, out = { 0 };
	bool changed = false;
	int result = secret_note_read(secrets, suffix, &text);

	for (rest = text.data; result == 0 && next_line(&rest, &print, &state, &url);) {
		bool is_old = strcmp(print, old) == 0 && strcmp(state, used_word) == 0;

		changed = changed || is_old;
		buf_addf(&out, "%s %s %s\n", is_old ? fresh : print, state, url);
	}
	if (result == 0 && changed)
		result = out.failed ? -1 : secret_note_write(secrets, suffix, &out);
	if (result)
		cli_fail("%s%s: %s", secrets, suffix,
		    out.failed ? "out of memory" : strerror(errno));
	buf_free(&out);
	buf_free(&text);
	return (result);
}

int
registered_read(const char *secrets, struct registered_list *out)
{
	char *rest, *print, *state, *url, **larger;
	struct buf text = { 0 };
	int result = secret_note_read(secrets, suffix, &text);

	*out = (struct registered_list){ 0 };
	for (rest = text.data; result == 0 && next_line(&rest, &print, &state, &url);) {
		if ((larger = reallocarray(out->urls, out->n + 1, sizeof(*larger))) == NULL) {
			result = -1;
			break;
		}
		out->urls = larger;
		if ((out->urls[out->n] = strdup(url)) == NULL)
			result = -1;
		else
			out->n++;
	}
	if (result) {
		cli_fail("%s%s: %s", secrets, suffix, strerror(errno));
		registered_list_free(out);
	}
	buf_free(&text);
	return (result);
}

void
registered_list_free(struct registered_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->urls[i]);
	free(l->urls);
	*l = (struct registered_list){ 0 };
}

int
registered_lock(const struct conf *conf)
{
	int fd = open(conf->file, O_RDONLY | O_CLOEXEC);

	if (fd == -1) {
		cli_fail("%s: %s", conf->file, strerror(errno));
	} else if (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno == EWOULDBLOCK)
			cli_fail(
			    "another \"fluidhook register\" or \"secret rotate\" runs with %s; "
			    "run this again when it has ended",
			    conf->file);
		else
			cli_fail("%s: %s", conf->file, strerror(errno));
		close(fd);
		fd = -1;
	}
	return (fd);
}
