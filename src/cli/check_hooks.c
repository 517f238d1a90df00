#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/check.h"
#include "cli/cli.h"
#include "cli/guess.h"
#include "delivery/event.h"

enum { LINE_SIZE = 256, WAY_OUT_SIZE = 512 };

/* What a hook can be called beside the known events. */
static const char *const others[] = {
	"any", "fluidhook", "fluidhook.install_failed", "fluidhook.subscription_failed",
};

enum { N_OTHERS = sizeof(others) / sizeof(others[0]) };

struct hooks {
	struct checklist *list;
	const char *path;	/* of the folder */
	int dir;
	struct buf good;	/* names of those that will run */
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
bad(struct hooks *h, const char *name, const char *way_out, const char *what)
{
	h->wrong = true;
	checklist_bad(h->list, "hooks", way_out, "%s/%s: %s", h->path, name, what);
}

/* The program that a script's first line names is not there: the kernel would say so of the script. */
static bool
lacks_interpreter(int fd, char interpreter[LINE_SIZE])
{
	char line[LINE_SIZE];
	ssize_t n = read(fd, line, sizeof(line) - 1);
	char *start;

	if (n < 3 || line[0] != '#' || line[1] != '!')
		return (false);
	line[n] = '\0';
	start = line + 2 + strspn(line + 2, " \t");
	start[strcspn(start, " \t\r\n")] = '\0';
	memcpy(interpreter, start, strlen(start) + 1);
	return (*start && access(start, X_OK) != 0);
}

/* Whoever can change a hook runs programs as the worker's user. */
static bool
is_open(const struct stat *st)
{
	return ((st->st_uid != 0 && st->st_uid != geteuid()) || (st->st_mode & S_IWOTH));
}

/* A file that can be run as a hook, but may not work. */
static bool
is_sound(struct hooks *h, const char *name, const struct stat *st)
{
	char interpreter[LINE_SIZE], way_out[LINE_SIZE + 64];
	int fd;
	bool lacks;

	if (is_open(st)) {
		bad(h, name, "It has to belong to root or to the worker's user; chmod o-w it.",
		    "somebody else can change it");
		return (false);
	}
	if (faccessat(h->dir, name, X_OK, AT_EACCESS)) {
		bad(h, name, "chmod +x it.", "the worker cannot execute it");
		return (false);
	}
	if ((fd = openat(h->dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1)
		return (true);
	lacks = lacks_interpreter(fd, interpreter);
	close(fd);
	if (lacks) {
		snprintf(way_out, sizeof(way_out), "Its first line says %s: install that, or name "
		    "another.", interpreter);
		bad(h, name, way_out, "its interpreter is not there");
	}
	return (!lacks);
}

static void
look_at(struct hooks *h, const char *name)
{
	struct guess g = guess_begin(name);
	char way_out[WAY_OUT_SIZE];
	struct stat st;
	bool runs;

	if (strlen(name) > EVENT_MAX_LEN)
		return;
	guess(&g);
	if (fstatat(h->dir, name, &st, 0)) {
		if (g.distance <= GUESS_NEAR)
			bad(h, name, "A link has to lead to a program.", strerror(errno));
		return;
	}
	runs = S_ISREG(st.st_mode) && (st.st_mode & 0111);
	/* Folders and files such as a README are nobody's hook. */
	if (S_ISDIR(st.st_mode) || (g.distance && !runs))
		return;
	if (g.distance && g.distance <= GUESS_NEAR) {
		snprintf(way_out, sizeof(way_out), "Did you mean %s?", g.best);
		bad(h, name, way_out, "no event that fluidhook knows is called so");
		return;
	}
	if (is_sound(h, name, &st))
		buf_addf(&h->good, "%s%s%s", h->good.len ? ", " : "", name,
		    g.distance ? " (not an event that fluidhook knows)" : "");
}

void
check_hooks(struct checklist *l, const struct conf *conf)
{
	struct hooks h = { .list = l, .path = conf->hooks };
	struct dirent *entry;
	struct stat st;
	DIR *folder = opendir(conf->hooks);

	if (folder == NULL && errno == ENOENT && conf->hooks_by_default) {
		checklist_good(l, "hooks", "none: there is no %s", conf->hooks);
		return;
	}
	if (folder == NULL || faccessat(dirfd(folder), ".", X_OK, AT_EACCESS)) {
		checklist_bad(l, "hooks", "Deliveries wait until the worker's user can read and search this "
		    "directory: make or mount it, or correct [worker] hooks.", "%s: %s", conf->hooks,
		    strerror(errno));
		if (folder)
			closedir(folder);
		return;
	}
	h.dir = dirfd(folder);
	if (fstat(h.dir, &st) == 0 && is_open(&st))
		bad(&h, "", "It has to belong to root or to the worker's user; chmod o-w it.",
		    "somebody else can change what is in it");
	while ((errno = 0, entry = readdir(folder)) != NULL)
		if (entry->d_name[0] != '.')
			look_at(&h, entry->d_name);
	if (errno)
		bad(&h, "", "Hooks in it do not run while it cannot be read.", strerror(errno));
	closedir(folder);
	if (!h.wrong)
		checklist_good(l, "hooks", "%s", h.good.len ? h.good.data : "none");
	buf_free(&h.good);
}
