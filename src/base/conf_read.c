#include "base/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/conf_value.h"
#include "config.h"

enum {
	LINE_SIZE = 4096, /* longest line, with its newline and NUL */
	SECTION_MAX = 48, /* inih keeps no longer section names */
};

static const char *const installs_choices[] = { "refuse", "confirm", NULL };
static const char *const level_choices[] = { "error", "warn", "info", "debug", NULL };

#define AT(field) offsetof(struct conf, field)
#define DROPLET_AT(field) offsetof(struct conf_droplet, field)

/* Every key there is stands in this table; all else is a mistake. */
static const struct conf_key keys[] = {
	{ "", "state_dir", CONF_PATH, AT(state_dir), 0, 0, NULL },
	{ "", "max_body", CONF_SIZE, AT(max_body), 1 << 10, 64 << 20, NULL },
	{ "", "tolerance", CONF_COUNT, AT(tolerance), 1, 86400, NULL },
	{ "", "legacy_tokens", CONF_YESNO, AT(legacy_tokens), 0, 0, NULL },
	{ "", "unsigned_installs", CONF_CHOICE, AT(unsigned_installs), 0, 0, installs_choices },
	{ "", "seal_key", CONF_PATH, AT(seal_key), 0, 0, NULL },
	{ "", "min_free", CONF_SIZE, AT(min_free), 0, 0, NULL },
	{ "", "keep_refused", CONF_SIZE, AT(keep_refused), 0, 0, NULL },
	{ "", "keep", CONF_REFUSED, 0, 0, 0, NULL },
	{ "", "silent_after", CONF_REFUSED, 0, 0, 0, NULL },
	{ "", "log", CONF_LOG, AT(log), 0, 0, NULL },
	{ "", "log_level", CONF_CHOICE, AT(log_level), 0, 0, level_choices },
	{ "droplet", "uuid", CONF_NAME, DROPLET_AT(uuid), 0, 0, NULL },
	{ "droplet", "secrets", CONF_PATH, DROPLET_AT(secrets), 0, 0, NULL },
	{ "fluid", "api", CONF_API, AT(api), 0, 0, NULL },
	{ "fluid", "webhooks", CONF_API_LIST, AT(webhooks), 0, 0, NULL },
	{ "fluid", "company_token", CONF_PATH, AT(company_token), 0, 0, NULL },
	{ "fluid", "timeout", CONF_COUNT, AT(timeout), 1, 3600, NULL },
	{ "fluid", "ca_file", CONF_PATH, AT(ca_file), 0, 0, NULL },
	{ "worker", "hooks", CONF_PATH, AT(hooks), 0, 0, NULL },
	{ "worker", "attempts", CONF_COUNT, AT(attempts), 1, 1000, NULL },
	{ "worker", "hook_timeout", CONF_COUNT, AT(hook_timeout), 1, 86400, NULL },
	{ "worker", "concurrency", CONF_COUNT, AT(concurrency), 1, 64, NULL },
	{ "worker", "public_url", CONF_URL, AT(public_url), 0, 0, NULL },
	{ "worker", "subscribe", CONF_EVENT_LIST, AT(subscribe), 0, 0, NULL },
	{ "worker", "reconcile", CONF_REFUSED, 0, 0, 0, NULL },
};

enum { N_KEYS = sizeof(keys) / sizeof(keys[0]) };

/* What the reading of a file needs beside the result. */
struct reading {
	struct conf_reading in;
	FILE *fp;
	size_t errors_at_start;
	int *seen; /* [droplet * N_KEYS + key]: the line that said it, 0 for none */
	size_t seen_droplets;
};

/* The droplet that a section "droplet" or "droplet NAME" means, made when new. */
static struct conf_droplet *
droplet_of(struct conf *c, const char *section, int line)
{
	const char *name = section + strlen("droplet");
	struct conf_droplet *more;

	name += strspn(name, " \t");
	for (size_t i = 0; i < c->n_droplets; i++)
		if (strcmp(c->droplets[i].name, name) == 0)
			return (&c->droplets[i]);
	if ((more = reallocarray(c->droplets, c->n_droplets + 1, sizeof(*more))) == NULL)
		return (NULL);
	c->droplets = more;
	more += c->n_droplets;
	*more = (struct conf_droplet){ .name = strdup(name), .line = line };
	if (more->name == NULL)
		return (NULL);
	c->n_droplets++;
	return (more);
}

static bool
is_droplet_section(const char *section)
{
	size_t len = strlen("droplet");

	return (strncmp(section, "droplet", len) == 0 &&
	    (section[len] == '\0' || section[len] == ' ' || section[len] == '\t'));
}

/* Note that this key was said on this line. Returns the line that said it before, or 0. */
static int
said_before(struct reading *r, size_t droplet, size_t key)
{
	size_t slot = droplet * N_KEYS + key;
	int *more, before;

	if (droplet >= r->seen_droplets) {
		if ((more = reallocarray(r->seen, droplet + 1, N_KEYS * sizeof(*more))) == NULL)
			return (0);
		memset(more + r->seen_droplets * N_KEYS, 0,
		    (droplet + 1 - r->seen_droplets) * N_KEYS * sizeof(*more));
		r->seen = more;
		r->seen_droplets = droplet + 1;
	}
	before = r->seen[slot];
	r->seen[slot] = r->in.line;
	return (before);
}

/* Two droplets of one uuid: which of them would a delivery belong to? */
static void
check_uuid(struct reading *r, const struct conf_droplet *droplet)
{
	const struct conf *c = r->in.conf;

	for (size_t i = 0; i < c->n_droplets; i++)
		if (&c->droplets[i] != droplet && c->droplets[i].uuid && droplet->uuid &&
		    strcmp(c->droplets[i].uuid, droplet->uuid) == 0)
			conf_mistake(&r->in, "uuid: [droplet%s%s] has the same",
			    *c->droplets[i].name ? " " : "", c->droplets[i].name);
}

/* With several droplets, a record's droplet decides whose secret counts: each must be told apart. */
static void
check_uuids_given(struct reading *r)
{
	const struct conf *c = r->in.conf;

	for (size_t i = 0; c->n_droplets > 1 && i < c->n_droplets; i++)
		if (c->droplets[i].uuid == NULL) {
			r->in.line = c->droplets[i].line;
			conf_mistake(&r->in,
			    "[droplet%s%s] has no uuid: with several droplets, each needs "
			    "one",
			    *c->droplets[i].name ? " " : "", c->droplets[i].name);
		}
}

/* inih's handler: one "name = value" line. */
static int
on_pair(void *user, const char *section, const char *name, const char *value)
{
	struct reading *r = user;
	const char *kind = is_droplet_section(section) ? "droplet" : section;
	struct conf_droplet *droplet = NULL;
	int before;

	if (value == NULL) {
		conf_mistake(&r->in, "\"%s\" is neither \"key = value\" nor a [section]", name);
		return (1);
	}
	for (size_t i = 0; i < N_KEYS; i++) {
		if (strcmp(keys[i].section, kind) != 0 || strcmp(keys[i].name, name) != 0)
			continue;
		if (strcmp(kind, "droplet") == 0) {
			if ((droplet = droplet_of(r->in.conf, section, r->in.line)) == NULL) {
				conf_mistake(&r->in, "out of memory");
				return (1);
			}
			if (strcmp(name, "secrets") == 0)
				droplet->secrets_line = r->in.line;
		}
		if (strcmp(kind, "worker") == 0 && strcmp(name, "hooks") == 0)
			r->in.conf->hooks_by_default = false;
		before = said_before(r, droplet ? (size_t)(droplet - r->in.conf->droplets) : 0, i);
		if (before)
			conf_mistake(&r->in, "%s: said on line %d already", name, before);
		else
			conf_set_value(&r->in, &keys[i],
			    droplet ? (char *)droplet : (char *)r->in.conf, value);
		if (droplet && strcmp(name, "uuid") == 0)
			check_uuid(r, droplet);
		return (1);
	}
	if (*section)
		conf_mistake(&r->in, "unknown key \"%s\" in [%s]", name, section);
	else
		conf_mistake(&r->in, "unknown key \"%s\"", name);
	return (1);
}

static bool
is_known_section(const char *section)
{
	if (is_droplet_section(section))
		return (true);
	for (size_t i = 0; i < N_KEYS; i++)
		if (strcmp(keys[i].section, section) == 0)
			return (true);
	return (false);
}

/*
 * Check a line that begins a section. inih reports neither text after the bracket nor a section
 * without keys. Notes a mistake; returns -1 where inih must not see the line.
 */
static int
check_section(struct reading *r, const char *start)
{
	char name[SECTION_MAX];
	const char *end = strchr(start, ']'), *after;

	if (end == NULL || end - start > SECTION_MAX) {
		conf_mistake(&r->in, "a section is [name], of at most %d characters",
		    SECTION_MAX - 1);
		return (-1);
	}
	after = end + 1 + strspn(end + 1, " \t\r\n");
	if (*after && (*after != ';' || after == end + 1)) {
		conf_mistake(&r->in, "text after \"]\": a key belongs on a line of its own");
		return (-1);
	}
	snprintf(name, sizeof(name), "%.*s", (int)(end - start - 1), start + 1);
	if (!is_known_section(name))
		conf_mistake(&r->in, "unknown section [%s]", name);
	return (0);
}

/*
 * Read one line with its newline, as fgets() does. *flaw is what makes it unfit, else NULL.
 * Returns false at the end of the file.
 */
static bool
get_line(char *text, int size, FILE *fp, const char **flaw)
{
	bool nul = false;
	int c = EOF, len = 0;

	*flaw = NULL;
	while ((c = getc(fp)) != EOF) {
		nul |= c == '\0';
		if (len < size - 1)
			text[len++] = (char)c;
		else
			*flaw = "line longer than 4094 bytes";
		if (c == '\n')
			break;
	}
	text[len] = '\0';
	if (nul)
		*flaw = "a NUL byte; the file must be plain text";
	return (c != EOF || len > 0);
}

/*
 * inih's reader: one line, counted. inih reports only the first line that it cannot read, so
 * what it would refuse is noted here and handed on as an empty line.
 */
static char *
read_line(char *text, int size, void *user)
{
	struct reading *r = user;
	const char *start, *flaw;

	if (!get_line(text, size, r->fp, &flaw))
		return (NULL);
	r->in.line++;
	if (flaw) {
		conf_mistake(&r->in, "%s", flaw);
		text[0] = '\0';
		return (text);
	}
	if (r->in.line == 1 && strncmp(text, "\xef\xbb\xbf", 3) == 0)
		memmove(text, text + 3, strlen(text + 3) + 1);
	start = text + strspn(text, " \t");
	if (*start == '[' && check_section(r, start))
		text[0] = '\0';
	return (text);
}

static struct conf *
conf_defaults(const char *file)
{
	static const char *const webhooks[] = { "https://fluid.app/api/webhooks",
		"https://api.fluid.app/api/company/webhooks" };
	struct conf *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return (NULL);
	*c = (struct conf){
		.file = conf_absolute(file),
		.state_dir = strdup(DEFAULT_STATE_DIR),
		.max_body = 1 << 20,
		.tolerance = 300,
		.legacy_tokens = true,
		.min_free = 16 << 20,
		.keep_refused = 64 << 20,
		.log_level = LOG_LEVEL_INFO,
		.api = strdup("https://api.fluid.app"),
		.webhooks = calloc(2, sizeof(char *)),
		.timeout = 20,
		.hooks = strdup(SYSCONFDIR "/fluidhook/hooks"),
		.hooks_by_default = true,
		.attempts = 12,
		.hook_timeout = 60,
		.concurrency = 4,
	};
	if (!c->file || !c->state_dir || !c->api || !c->webhooks || !c->hooks)
		goto nomem;
	for (size_t i = 0; i < 2; i++) {
		if ((c->webhooks[i] = strdup(webhooks[i])) == NULL)
			goto nomem;
		c->n_webhooks++;
	}
	return (c);

nomem:
	conf_free(c);
	errno = ENOMEM;
	return (NULL);
}

struct conf *
conf_load(const char *file, struct buf *errors)
{
	struct reading r = { .in = { .errors = errors }, .errors_at_start = errors->len };
	struct stat st;

	if ((r.in.conf = conf_defaults(file)) == NULL) {
		buf_addf(errors, "%s: %s\n", file, strerror(errno));
		return (NULL);
	}
	if ((r.fp = fopen(file, "re")) == NULL) {
		buf_addf(errors, "%s: %s\n", file, strerror(errno));
		goto err0;
	}
	if (fstat(fileno(r.fp), &st) == 0 && !S_ISREG(st.st_mode)) {
		buf_addf(errors, "%s: not a regular file\n", file);
		goto err1;
	}
	ini_allow_multiline = false;
	ini_allow_no_value = true;
	ini_use_stack = false;
	ini_initial_alloc = LINE_SIZE;
	ini_max_line = LINE_SIZE;
	if (ini_parse_stream(read_line, &r, on_pair, &r) != 0 && errors->len == r.errors_at_start)
		conf_mistake(&r.in, "cannot be read");
	if (ferror(r.fp))
		conf_mistake(&r.in, "cannot be read: %s", strerror(errno));
	check_uuids_given(&r);
err1:
	fclose(r.fp);
err0:
	free(r.seen);
	if (errors->len != r.errors_at_start || errors->failed) {
		conf_free(r.in.conf);
		return (NULL);
	}
	return (r.in.conf);
}

int
conf_check_secrets(const struct conf *c, struct buf *errors)
{
	size_t before = errors->len;
	struct stat st;
	int fd;

	for (size_t i = 0; i < c->n_droplets; i++) {
		const struct conf_droplet *d = &c->droplets[i];

		if (d->secrets == NULL)
			continue;
		if ((fd = open(d->secrets, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1 ||
		    fstat(fd, &st) == -1)
			buf_addf(errors, "%s:%d: secrets: %s: %s\n", c->file, d->secrets_line,
			    d->secrets, strerror(errno));
		else if (!S_ISREG(st.st_mode))
			buf_addf(errors, "%s:%d: secrets: %s: not a regular file\n", c->file,
			    d->secrets_line, d->secrets);
		else if (st.st_mode & S_IRWXO)
			buf_addf(errors,
			    "%s:%d: secrets: %s: open to others (mode %04o); "
			    "chmod 0640 it\n",
			    c->file, d->secrets_line, d->secrets, (unsigned)st.st_mode & 07777);
		if (fd != -1)
			close(fd);
	}
	return (errors->len == before ? 0 : -1);
}

int
conf_open_log(const struct conf *c, const char *ident)
{
	return (log_open(ident, c->log, c->log_file, c->log_level));
}

void
conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n_droplets; i++) {
		free(c->droplets[i].name);
		free(c->droplets[i].uuid);
		free(c->droplets[i].secrets);
	}
	free(c->droplets);
	conf_free_list(c->webhooks, c->n_webhooks);
	conf_free_list(c->subscribe, c->n_subscribe);
	free(c->file);
	free(c->state_dir);
	free(c->api);
	free(c->company_token);
	free(c->ca_file);
	free(c->hooks);
	free(c->public_url);
	free(c->log_file);
	free(c->seal_key);
	free(c);
}

const struct conf_droplet *
conf_droplet_by_uuid(const struct conf *c, const char *uuid)
{
	for (size_t i = 0; uuid && i < c->n_droplets; i++)
		if (c->droplets[i].uuid && strcmp(c->droplets[i].uuid, uuid) == 0)
			return (&c->droplets[i]);
	return (NULL);
}

char *
conf_find(const char *given)
{
	const char *env = getenv("FLUIDHOOK_CONF");
	const struct passwd *pw;
	char *path;

	if (given)
		return (strdup(given));
	if (env && *env)
		return (strdup(env));
	if ((pw = getpwuid(geteuid())) != NULL && pw->pw_dir && *pw->pw_dir == '/') {
		if (asprintf(&path, "%s/fluidhook/fluidhook.conf", pw->pw_dir) == -1)
			return (NULL);
		if (access(path, F_OK) == 0)
			return (path);
		free(path);
	}
	return (strdup(SYSCONFDIR "/fluidhook/fluidhook.conf"));
}
