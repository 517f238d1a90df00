#include "fluid/token.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/utf8.h"

enum { TOKEN_FILE_MAX = 64 * 1024 };

static const char env_name[] = "FLUID_COMPANY_TOKEN";

/* What a header can carry as one word: printable ASCII, no blank. */
static bool
is_token(const char *s, size_t len)
{
	if (len == 0 || len > FLUID_TOKEN_MAX)
		return (false);
	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] >= 0x7f)
			return (false);
	return (true);
}

static int
set(struct fluid_token *t, const char *value, size_t len, const char *source, struct fluid_error *e)
{
	if (!is_token(value, len))
		return (fluid_error_set(e, FLUID_LOCAL,
		    "%s: not a token (one word, at most %d characters)", source, FLUID_TOKEN_MAX));
	t->value = strndup(value, len);
	t->source = strdup(source);
	if (t->value == NULL || t->source == NULL) {
		fluid_error_errno(e, source);
		token_free(t);
		return (-1);
	}
	return (0);
}

/* The first line that is neither blank nor a remark, without blanks around it. */
static const char *
first_word(const char *text, size_t *len)
{
	static const char blanks[] = " \t\r\n";

	for (;;) {
		text += strspn(text, blanks);
		*len = strcspn(text, "\n");
		if (*text != '#')
			break;
		text += *len;
	}
	while (*len && strchr(blanks, text[*len - 1]))
		--*len;
	return (text);
}

static int
read_file(struct fluid_token *t, const char *path, struct fluid_error *e)
{
	struct buf text = { 0 };
	const char *word;
	size_t len;
	int result = -1;

	if (file_read_secret(path, TOKEN_FILE_MAX, &text, NULL)) {
		if (errno == EPERM)
			fluid_error_set(e, FLUID_LOCAL, "%s: open to other users: chmod o= it",
			    path);
		else
			fluid_error_errno(e, path);
		goto out;
	}
	word = first_word(text.data ? text.data + utf8_mark(text.data, text.len) : "", &len);
	if (len == 0)
		fluid_error_set(e, FLUID_LOCAL, "%s: no token in it", path);
	else
		result = set(t, word, len, path, e);
out:
	buf_wipe(&text);
	return (result);
}

bool
token_is_there(const struct conf *c)
{
	const char *env = getenv(env_name);

	if (env && *env)
		return (true);
	/* A new configuration names a file that is not there yet. */
	return (c->company_token && (access(c->company_token, F_OK) == 0 || errno != ENOENT));
}

int
token_company(struct fluid_token *t, const struct conf *c, struct fluid_error *e)
{
	const char *env = getenv(env_name);

	fluid_error_clear(e);
	if (env && *env)
		return (set(t, env, strlen(env), "$FLUID_COMPANY_TOKEN", e));
	if (c->company_token)
		return (read_file(t, c->company_token, e));
	return (fluid_error_set(e, FLUID_LOCAL,
	    "no company token: name its file as `company_token` under [fluid] in %s, or set $%s",
	    c->file ? c->file : "the configuration", env_name));
}

int
token_installation(struct fluid_token *t, const char *value, const char *record,
    struct fluid_error *e)
{
	char source[FLUID_ERROR_SIZE];

	fluid_error_clear(e);
	snprintf(source, sizeof(source), "the record of %s", record);
	if (value == NULL)
		return (fluid_error_set(e, FLUID_LOCAL, "%s has no authentication token", source));
	return (set(t, value, strlen(value), source, e));
}

void
token_free(struct fluid_token *t)
{
	secret_free(t->value);
	free(t->source);
	*t = (struct fluid_token){ 0 };
}
