#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/check.h"
#include "cli/check_program.h"
#include "cli/lib/cli.h"
#include "cli/lib/guess.h"
#include "delivery/event.h"

enum { WAY_OUT_SIZE = 512 };

/* What a hook can be called beside the known events: contract section 6. */
static const char *const others[] = {
	"any",
	"fluidhook",
	"fluidhook.install_failed",
	"fluidhook.given_up",
	"fluidhook.refusing",
	"fluidhook.subscription_failed",
	"fluidhook.reconciled",
	"fluidhook.disk_low",
	"fluidhook.silent",
};

enum { N_OTHERS = sizeof(others) / sizeof(others[0]) };

/* What programs are called by habit: a hook has none of it. */
static const char *const program_extensions[] = {
	"sh",
	"bash",
	"zsh",
	"ksh",
	"py",
	"py3",
	"php",
	"phar",
	"pl",
	"rb",
	"js",
	"mjs",
	"cjs",
	"ts",
	"lua",
	"tcl",
	"awk",
	"exe",
	"bin",
	"run",
	"cmd",
	"bat",
	"txt",
};

/* A hook that was put aside on purpose. */
static const char *const aside_extensions[] = {
	"bak",
	"old",
	"orig",
	"off",
	"disabled",
	"save",
	"swp",
	"tmp",
	"sample",
	"example",
	"dist",
	"md",
	"dpkg-dist",
	"dpkg-old",
	"dpkg-new",
	"rpmsave",
	"rpmnew",
	"rej",
};

struct hooks {
	struct checklist *list;
	const char *path; /* of the directory */
	int dir;
	struct buf good; /* names of those that will run */
	bool wrong;
};

/* The name nearest to this one of all that a hook can have: the name itself where it is one. */
static void
guess(struct guess *g)
{
	const char *event;

	for (size_t i = 0; i < N_OTHERS; i++)
		guess_consider(g, others[i], strlen(others[i]));
	for (size_t i = 0; (event = event_known(i)) != NULL; i++) {
		guess_consider(g, event, strlen(event));
		guess_consider(g, event, strcspn(event, "."));
	}
}

static void
bad(struct hooks *h, const char *name, const char *hint, const char *what)
{
	h->wrong = true;
	checklist_bad(h->list, "hooks", hint, "%s/%s: %s", h->path, name, what);
}

/* Whoever can change a hook runs programs as the worker's user. */
static bool
is_open(const struct stat *st)
{
	return ((st->st_uid != 0 && st->st_uid != geteuid()) || (st->st_mode & S_IWOTH));
}

static bool
is_one_of(const char *const *list, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcasecmp(list[i], word) == 0)
			return (true);
	return (false);
}

#define IS_ONE_OF(list, word) is_one_of(list, sizeof(list) / sizeof((list)[0]), word)

/* Whether a hook that is called so can work. Says it if not. */
static bool
is_sound(struct hooks *h, const char *name, const struct stat *st)
{
	struct program_fault fault;

	if (S_ISDIR(st->st_mode)) {
		bad(h, name, "A hook is a program. Rename or remove the directory.",
		    "it is a directory, and never runs");
		return (false);
	}
	if (!S_ISREG(st->st_mode)) {
		bad(h, name, "A hook is a program: put one there.",
		    "it is not a regular file, and never runs");
		return (false);
	}
	if (is_open(st)) {
		bad(h, name, "It has to belong to root or to the worker's user; chmod o-w it.",
		    "somebody else can change it");
		return (false);
	}
	if (program_can_run(h->dir, name, &fault))
		return (true);
	if (!fault.maybe)
		bad(h, name, fault.hint, fault.what);
	else
		checklist_note(h->list, "hooks", fault.hint, "%s/%s: %s", h->path, name,
		    fault.what);
	return (fault.maybe);
}

/*
 * "order.created.sh": what it was meant to be. Returns the length of the name without its extension, or 0 if it is no
 * hook with an extension, and *aside if it was put aside.
 */
static size_t
without_extension(const char *name, struct guess *g, bool *aside)
{
	const char *dot = strrchr(name, '.');
	char stem[EVENT_SIZE];

	*aside = false;
	if (dot == NULL || dot == name || strlen(name) > EVENT_MAX_LEN)
		return (0);
	snprintf(stem, sizeof(stem), "%.*s", (int)(dot - name), name);
	*g = guess_begin(stem);
	guess(g);
	g->name = NULL;
	*aside = IS_ONE_OF(aside_extensions, dot + 1);
	/* An event has one dot: what has two, and begins as a known one, has an extension of whatever kind. */
	if (g->distance <= GUESS_NEAR &&
	    (*aside || IS_ONE_OF(program_extensions, dot + 1) ||
		(strchr(stem, '.') && strcmp(dot, ".d") != 0)))
		return ((size_t)(dot - name));
	return (0);
}

/* A file in the directory that is not called as a hook is. */
static void
look_at_other(struct hooks *h, const char *name, const struct guess *g, const struct stat *st)
{
	bool runs = S_ISREG(st->st_mode) && (st->st_mode & 0111), aside;
	char hint[WAY_OUT_SIZE];
	struct guess meant;

	if (S_ISDIR(st->st_mode) || name[strlen(name) - 1] == '~')
		return;
	if (without_extension(name, &meant, &aside)) {
		snprintf(hint, sizeof(hint),
		    "Rename it to %s: a hook is called exactly as the event.", meant.best);
		if (!aside)
			bad(h, name, hint, "it never runs: no event is called so");
		return;
	}
	/* Files such as a README are no hooks. */
	if (!runs)
		return;
	if (g->distance <= GUESS_NEAR) {
		snprintf(hint, sizeof(hint), "Did you mean %s?", g->best);
		bad(h, name, hint, "no event that fluidhook knows is called so");
		return;
	}
	if (is_sound(h, name, st))
		buf_addf(&h->good, "%s%s (not an event that fluidhook knows)",
		    h->good.len ? ", " : "", name);
}

static void
look_at(struct hooks *h, const char *name)
{
	struct guess g = guess_begin(name);
	struct stat st;

	if (strlen(name) > EVENT_MAX_LEN)
		return;
	guess(&g);
	if (fstatat(h->dir, name, &st, 0)) {
		if (g.distance <= GUESS_NEAR)
			bad(h, name, "A link has to lead to a program.", strerror(errno));
		return;
	}
	if (g.distance)
		look_at_other(h, name, &g, &st);
	else if (is_sound(h, name, &st))
		buf_addf(&h->good, "%s%s", h->good.len ? ", " : "", name);
}

void
check_hooks(struct checklist *l, const struct conf *conf)
{
	struct hooks h = { .list = l, .path = conf->hooks };
	struct dirent *entry;
	struct stat st;
	DIR *directory = opendir(conf->hooks);

	if (directory == NULL && errno == ENOENT && conf->hooks_by_default) {
		checklist_good(l, "hooks", "none: there is no %s", conf->hooks);
		return;
	}
	if (directory == NULL || faccessat(dirfd(directory), ".", X_OK, AT_EACCESS)) {
		checklist_bad(l, "hooks",
		    "Deliveries wait until the worker's user can read and search this "
		    "directory: make or mount it, or correct [worker] hooks.",
		    "%s: %s", conf->hooks, strerror(errno));
		if (directory)
			closedir(directory);
		return;
	}
	h.dir = dirfd(directory);
	if (fstat(h.dir, &st) == 0 && is_open(&st))
		bad(&h, "", "It has to belong to root or to the worker's user; chmod o-w it.",
		    "somebody else can change what is in it");
	while ((errno = 0, entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			look_at(&h, entry->d_name);
	if (errno)
		bad(&h, "", "Hooks in it do not run while it cannot be read.", strerror(errno));
	closedir(directory);
	if (!h.wrong)
		checklist_good(l, "hooks", "%s", h.good.len ? h.good.data : "none");
	buf_free(&h.good);
}
