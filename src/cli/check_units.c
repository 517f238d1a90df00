#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "cli/check.h"
#include "store/durable.h"

/*
 * systemd's units: does the state directory belong to the user that they run as? systemd is not asked, so that this
 * works in a rescue system as well. A unit is read from the first directory that has it, and then from its drop-ins,
 * in the order of their names (systemd.unit(5)).
 */

enum { N_DIRECTORIES = 16, N_DROPINS = 64, UNIT_MAX = 64 * 1024, USER_SIZE = 64 };

static const char default_path[] =
    "/etc/systemd/system:/run/systemd/system:/usr/local/lib/systemd/system:"
    "/usr/lib/systemd/system:/lib/systemd/system";

struct unit {
	const char *name;     /* "fluidhook.service" */
	const char *alias;    /* what starts it as well, or NULL: "fluidhook.socket" */
	char user[USER_SIZE]; /* of User=; "" for none */
	bool dynamic;         /* DynamicUser=yes: the name says nothing */
	bool ours;            /* its command names our configuration */
};

struct directories {
	char *list;
	const char *paths[N_DIRECTORIES];
	size_t n;
};

/* $SYSTEMD_UNIT_PATH, or what systemd uses without it. */
static int
find_directories(struct directories *d)
{
	const char *path = getenv("SYSTEMD_UNIT_PATH");
	char *word, *rest = NULL;

	*d = (struct directories){ .list = strdup(path && *path ? path : default_path) };
	if (d->list == NULL)
		return (-1);
	for (word = strtok_r(d->list, ":", &rest); word && d->n < N_DIRECTORIES;
	     word = strtok_r(NULL, ":", &rest))
		d->paths[d->n++] = word;
	return (0);
}

/* Whether a *.wants/ or *.requires/ directory has this unit. */
static bool
is_wanted(const struct directories *d, const char *unit)
{
	char path[PATH_MAX];
	struct dirent *entry;
	struct stat st;
	bool found = false;
	const char *dot;
	DIR *directory;

	for (size_t i = 0; i < d->n && !found; i++) {
		if ((directory = opendir(d->paths[i])) == NULL)
			continue;
		while (!found && (entry = readdir(directory)) != NULL) {
			dot = strrchr(entry->d_name, '.');
			if (dot == NULL ||
			    (strcmp(dot, ".wants") != 0 && strcmp(dot, ".requires") != 0))
				continue;
			found = (size_t)snprintf(path, sizeof(path), "%s/%s/%s", d->paths[i],
				    entry->d_name, unit) < sizeof(path) &&
			    lstat(path, &st) == 0;
		}
		closedir(directory);
	}
	return (found);
}

/* A word of a command is our configuration file: "--config", "/etc/fluidhook/fluidhook.conf". */
static bool
names(const char *command, const char *conf)
{
	size_t len = strlen(conf);

	for (const char *at = command; (at = strstr(at, conf)) != NULL; at += len)
		if ((at == command || strchr(" \t=\"'", at[-1])) &&
		    (at[len] == '\0' || strchr(" \t\"'", at[len])))
			return (true);
	return (false);
}

static void
take_line(struct unit *u, char *line, const char *conf)
{
	char *value = strchr(line, '=');
	size_t len = value ? (size_t)(value - line) : 0;

	while (len && strchr(" \t", line[len - 1]))
		len--;
	if (len == 0)
		return;
	value += 1 + strspn(value + 1, " \t");
	value[strcspn(value, "\r")] = '\0';
	for (size_t end = strlen(value); end && strchr(" \t", value[end - 1]); end--)
		value[end - 1] = '\0';
	if (len == 4 && strncmp(line, "User", len) == 0)
		snprintf(u->user, sizeof(u->user), "%s", value);
	else if (len == 11 && strncmp(line, "DynamicUser", len) == 0)
		u->dynamic = strchr("yYtT1", *value) != NULL && *value;
	else if (len == 9 && strncmp(line, "ExecStart", len) == 0)
		u->ours = names(value, conf);
}

/* Read a unit's file or a drop-in. One that cannot be read adds nothing. */
static void
take_file(struct unit *u, const char *path, const char *conf)
{
	struct buf text = { 0 };
	bool service = false;
	char *line, *rest = NULL;

	if (file_read_path(path, UNIT_MAX, &text) == 0 && text.len &&
	    !(buf_addc(&text, '\0'), text.failed))
		for (line = strtok_r(text.data, "\n", &rest); line;
		     line = strtok_r(NULL, "\n", &rest)) {
			line += strspn(line, " \t");
			if (*line == '[')
				service = strncmp(line, "[Service]", 9) == 0;
			else if (service && *line != '#' && *line != ';')
				take_line(u, line, conf);
		}
	buf_free(&text);
}

struct dropin {
	char name[NAME_MAX + 1];
	const char *directory;
};

static int
by_name(const void *a, const void *b)
{
	return (strcmp(((const struct dropin *)a)->name, ((const struct dropin *)b)->name));
}

/* Drop-ins of all directories; of one name, that of the first directory counts. */
static void
take_dropins(struct unit *u, const struct directories *d, const char *conf)
{
	struct dropin *all = calloc(N_DROPINS, sizeof(*all));
	char path[PATH_MAX];
	struct dirent *entry;
	size_t n = 0, known, len;
	DIR *directory;

	for (size_t i = 0; all && i < d->n; i++) {
		if ((size_t)snprintf(path, sizeof(path), "%s/%s.d", d->paths[i], u->name) >=
			sizeof(path) ||
		    (directory = opendir(path)) == NULL)
			continue;
		while ((entry = readdir(directory)) != NULL && n < N_DROPINS) {
			len = strlen(entry->d_name);
			if (len < 6 || strcmp(entry->d_name + len - 5, ".conf") != 0)
				continue;
			for (known = 0; known < n && strcmp(all[known].name, entry->d_name) != 0;
			     known++)
				;
			if (known < n)
				continue;
			memcpy(all[n].name, entry->d_name, len + 1);
			all[n++].directory = d->paths[i];
		}
		closedir(directory);
	}
	if (n)
		qsort(all, n, sizeof(*all), by_name);
	for (size_t i = 0; i < n; i++)
		if ((size_t)snprintf(path, sizeof(path), "%s/%s.d/%s", all[i].directory, u->name,
			all[i].name) < sizeof(path))
			take_file(u, path, conf);
	free(all);
}

/* Returns whether the unit is there. */
static bool
read_unit(struct unit *u, const struct directories *d, const char *conf)
{
	char path[PATH_MAX];
	size_t i;

	for (i = 0; i < d->n; i++)
		if ((size_t)snprintf(path, sizeof(path), "%s/%s", d->paths[i], u->name) <
			sizeof(path) &&
		    access(path, F_OK) == 0)
			break;
	if (i == d->n)
		return (false);
	take_file(u, path, conf);
	take_dropins(u, d, conf);
	return (true);
}

/* Returns 0, or -1 if there is no such user. */
static int
uid_of(const char *user, uid_t *uid)
{
	const struct passwd *pw;
	unsigned long number;
	char *end;

	number = strtoul(user, &end, 10);
	if (*user >= '0' && *user <= '9' && *end == '\0') {
		*uid = (uid_t)number;
		return (0);
	}
	if ((pw = getpwnam(*user ? user : "root")) == NULL)
		return (-1);
	*uid = pw->pw_uid;
	return (0);
}

static bool
check_one(struct checklist *l, const struct conf *conf, const struct unit *u, uid_t owner,
    const char *owner_name)
{
	const char *user = *u->user ? u->user : "root";
	char hint[512];
	uid_t uid;

	if (uid_of(u->user, &uid)) {
		snprintf(hint, sizeof(hint),
		    "adduser --system --group %s, or correct User= with \"systemctl edit %s\".",
		    user, u->name);
		checklist_bad(l, "units", hint, "%s runs as %s, and there is no such user", u->name,
		    user);
		return (false);
	}
	if (uid == owner)
		return (true);
	snprintf(hint, sizeof(hint), "chown -R %s: %s, or set User=%s with \"systemctl edit %s\".",
	    user, conf->state_dir, owner_name, u->name);
	checklist_bad(l, "units", hint, "%s runs as %s, but %s belongs to %s", u->name, user,
	    conf->state_dir, owner_name);
	return (false);
}

void
check_units(struct checklist *l, const struct conf *conf)
{
	struct unit units[] = {
		{ .name = "fluidhook.service", .alias = "fluidhook.socket" },
		{ .name = "fluidhook-worker.service" },
	};
	struct directories d;
	char owner[CHECK_OWNER_SIZE];
	unsigned good = 0, bad = 0;
	struct stat st;

	/* A state directory that is missing has a line of its own. */
	if (stat(conf->state_dir, &st) || find_directories(&d))
		return;
	check_user_name(owner, st.st_uid);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		struct unit *u = &units[i];

		if ((!is_wanted(&d, u->name) && !(u->alias && is_wanted(&d, u->alias))) ||
		    !read_unit(u, &d, conf->file) || u->dynamic || !u->ours)
			continue;
		if (check_one(l, conf, u, st.st_uid, owner))
			good++;
		else
			bad++;
	}
	if (good && bad == 0)
		checklist_good(l, "units", "run as the owner of the state directory, %s", owner);
	free(d.list);
}
