#include "base/conf_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/url.h"

enum { MESSAGE_SIZE = 4096 + 256, LIST_MAX = 64, NAME_MAX_BYTES = 200 };

void
conf_mistake(struct conf_reading *r, const char *fmt, ...)
{
	char text[MESSAGE_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = '?';
	buf_addf(r->errors, "%s:%d: %s\n", r->conf->file, r->line, text);
}

void
conf_free_list(char **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(list[i]);
	free(list);
}

char *
conf_absolute(const char *path)
{
	char *directory, *absolute;

	if (*path == '/')
		return (strdup(path));
	if ((directory = getcwd(NULL, 0)) == NULL)
		return (NULL);
	if (asprintf(&absolute, "%s/%s", strcmp(directory, "/") == 0 ? "" : directory, path) == -1)
		absolute = NULL;
	free(directory);
	return (absolute);
}

/* A path in the configuration is relative to the directory of the file. NULL when out of memory. */
static char *
resolve(const struct conf *c, const char *value)
{
	char *path;

	if (*value == '/')
		return (strdup(value));
	/* c->file is absolute. */
	if (asprintf(&path, "%.*s/%s", (int)(strrchr(c->file, '/') - c->file), c->file, value) ==
	    -1)
		return (NULL);
	return (path);
}

/* Whether a value can be a path: quotes and a comment after it are mistakes, not part of a name. */
static bool
is_path(struct conf_reading *r, const struct conf_key *k, const char *value)
{
	if (*value == '"' || *value == '\'')
		conf_mistake(r, "%s: begins with a quote; write the path without quotes", k->name);
	else if (strstr(value, " #") || strstr(value, "\t#"))
		conf_mistake(r, "%s: \" #\" in a path; a comment after a value begins with \" ;\"",
		    k->name);
	else
		return (true);
	return (false);
}

/* API addresses are https; plain http only to a loopback address (contract section 2). */
static bool
is_api_address(const char *text)
{
	struct url u;

	return (url_check(&u, text) == URL_OK && strchr(u.path, '?') == NULL);
}

static char *
dup_api(const char *url, size_t len)
{
	while (len && url[len - 1] == '/')
		len--;
	return (strndup(url, len));
}

/* 1M, 512K, 1048576: bytes, with K, M and G for powers of 1024. Returns 0, or -1. */
static int
parse_size(const char *value, uint64_t *out)
{
	static const char units[] = "KMG";
	const char *unit;
	char *end;
	unsigned long long n;
	unsigned shift = 0;

	if (!isdigit((unsigned char)*value))
		return (-1);
	errno = 0;
	n = strtoull(value, &end, 10);
	if (errno)
		return (-1);
	if (*end) {
		if ((unit = strchr(units, toupper((unsigned char)*end))) == NULL || end[1])
			return (-1);
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (n > (UINT64_MAX >> 1) >> shift)
		return (-1);
	*out = (uint64_t)n << shift;
	return (0);
}

static void
set_size(struct conf_reading *r, const struct conf_key *k, uint64_t *out, const char *value)
{
	uint64_t n;

	if (parse_size(value, &n))
		conf_mistake(r, "%s: \"%s\" is not a size (such as 512K, 1M)", k->name, value);
	else if (n < k->least || (k->most && n > k->most))
		conf_mistake(r, "%s: \"%s\" is not from %uK to %uM", k->name, value, k->least >> 10,
		    k->most >> 20);
	else
		*out = n;
}

static int
parse_yesno(const char *value, bool *out)
{
	static const char *const words[] = { "no", "yes", "off", "on", "false", "true", "0", "1" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(value, words[i]) == 0) {
			*out = i & 1;
			return (0);
		}
	return (-1);
}

/* The name of an event, such as order.created. */
static bool
is_event(const char *value)
{
	static const char word[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
	size_t resource = strspn(value, word), event;

	if (resource == 0 || value[resource] != '.')
		return (false);
	event = strspn(value + resource + 1, word);
	return (event && value[resource + 1 + event] == '\0');
}

/*
 * Entries separated by blanks or commas: API addresses where `api`, else events. The list replaces
 * what was there.
 */
static void
set_list(struct conf_reading *r, const struct conf_key *k, char ***list, size_t *n,
    const char *value, bool api)
{
	char **words = calloc(LIST_MAX, sizeof(*words));
	size_t count = 0, len;

	if (words == NULL)
		goto nomem;
	for (const char *p = value; *(p += strspn(p, " \t,")); p += len) {
		len = strcspn(p, " \t,");
		if (count == LIST_MAX) {
			conf_mistake(r, "%s: more than %d entries", k->name, LIST_MAX);
			break;
		}
		words[count] = api ? dup_api(p, len) : strndup(p, len);
		if (words[count++] == NULL)
			goto nomem;
		if (api && !is_api_address(words[count - 1]))
			conf_mistake(r,
			    "%s: \"%s\" is not an https address "
			    "(http only to a loopback address)",
			    k->name, words[count - 1]);
		if (!api && !is_event(words[count - 1]))
			conf_mistake(r, "%s: \"%s\" is not an event (such as order.created)",
			    k->name, words[count - 1]);
	}
	if (api && count == 0)
		conf_mistake(r, "%s: no address", k->name);
	conf_free_list(*list, *n);
	*list = words;
	*n = count;
	return;

nomem:
	conf_free_list(words, count);
	conf_mistake(r, "out of memory");
}

static void
set_count(struct conf_reading *r, const struct conf_key *k, uint32_t *out, const char *value)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (!isdigit((unsigned char)*value) || *end || errno || n < k->least || n > k->most)
		conf_mistake(r, "%s: \"%s\" is not a number from %u to %u", k->name, value,
		    k->least, k->most);
	else
		*out = (uint32_t)n;
}

/* Index of value in the choices, -1 (and a mistake noted) where it is none of them. */
static int
choose(struct conf_reading *r, const struct conf_key *k, const char *value)
{
	struct buf all = { 0 };

	for (int i = 0; k->choices[i]; i++)
		if (strcmp(value, k->choices[i]) == 0)
			return (i);
	for (int i = 0; k->choices[i]; i++)
		buf_addf(&all, "%s%s", i ? ", " : "", k->choices[i]);
	conf_mistake(r, "%s: \"%s\" is none of: %s", k->name, value, all.data ? all.data : "");
	buf_free(&all);
	return (-1);
}

/* Fluid's identifiers, as far as they can be a file's name as well. */
static bool
is_name(const char *value)
{
	size_t len = strspn(value,
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

	return (len <= NAME_MAX_BYTES && value[len] == '\0' && *value != '.');
}

static void
set_string(struct conf_reading *r, char **out, char *value)
{
	if (value == NULL) {
		conf_mistake(r, "out of memory");
		return;
	}
	free(*out);
	*out = value;
}

/* Where log lines go. The name of a file has a slash or a dot, so that a mistyped word is not one. */
static void
set_log(struct conf_reading *r, const struct conf_key *k, const char *value)
{
	if (strcmp(value, "stderr") == 0) {
		r->conf->log = LOG_TO_STDERR;
	} else if (strcmp(value, "syslog") == 0) {
		r->conf->log = LOG_TO_SYSLOG;
	} else if (is_path(r, k, value)) {
		if (strpbrk(value, "/.") == NULL) {
			conf_mistake(r,
			    "%s: \"%s\" is neither stderr nor syslog; write a file as "
			    "./%s",
			    k->name, value, value);
			return;
		}
		r->conf->log = LOG_TO_FILE;
		set_string(r, &r->conf->log_file, resolve(r->conf, value));
	}
}

static bool
is_url(const char *value)
{
	struct url u;

	return (url_parse(&u, value) == URL_OK);
}

void
conf_set_value(struct conf_reading *r, const struct conf_key *k, char *base, const char *value)
{
	void *at = base + k->offset;
	int choice;

	/* "key =" with nothing behind it says: as if this line were not here. */
	if (*value == '\0' && k->kind != CONF_EVENT_LIST)
		return;
	switch (k->kind) {
	case CONF_SIZE:
		set_size(r, k, at, value);
		return;
	case CONF_COUNT:
		set_count(r, k, at, value);
		return;
	case CONF_YESNO:
		if (parse_yesno(value, at))
			conf_mistake(r, "%s: \"%s\" is neither yes nor no", k->name, value);
		return;
	case CONF_CHOICE:
		if ((choice = choose(r, k, value)) == -1)
			return;
		if (k->offset == offsetof(struct conf, log_level))
			r->conf->log_level = (enum log_level)choice;
		else
			r->conf->unsigned_installs = (enum unsigned_installs)choice;
		return;
	case CONF_PATH:
		if (is_path(r, k, value))
			set_string(r, at, resolve(r->conf, value));
		return;
	case CONF_LOG:
		set_log(r, k, value);
		return;
	case CONF_API:
		set_string(r, at, dup_api(value, strlen(value)));
		if (!is_api_address(value))
			conf_mistake(r,
			    "%s: \"%s\" is not an https address "
			    "(http only to a loopback address)",
			    k->name, value);
		return;
	case CONF_API_LIST:
		set_list(r, k, &r->conf->webhooks, &r->conf->n_webhooks, value, true);
		return;
	case CONF_NAME:
		if (is_name(value))
			set_string(r, at, strdup(value));
		else
			conf_mistake(r, "%s: \"%s\" is not made of A-Z a-z 0-9 . _ - alone",
			    k->name, value);
		return;
	case CONF_URL:
		if (is_url(value))
			set_string(r, at, strdup(value));
		else
			conf_mistake(r, "%s: \"%s\" is not an http or https address", k->name,
			    value);
		return;
	case CONF_EVENT_LIST:
		set_list(r, k, &r->conf->subscribe, &r->conf->n_subscribe, value, false);
		return;
	case CONF_REFUSED:
		conf_mistake(r,
		    "%s: this version of fluidhook does not support it; remove the line", k->name);
		return;
	}
}
