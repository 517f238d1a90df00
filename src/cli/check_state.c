#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/timefmt.h"
#include "cli/check.h"
#include "cli/lib/cli.h"
#include "cli/lib/installation_arg.h"
#include "store/installations.h"
#include "store/lifecycle.h"
#include "store/reindex.h"

enum { FREE_INODES_LEAST = 16, DEPTH_MAX = 3, FAILED_DAYS = 7, FAILED_SHOWN = 10 };

/* The state directory while it is looked at. */
struct looking {
	struct checklist *list;
	const struct conf *conf;
	struct stat top;
	bool shared; /* it is a volume that a group shares */
	char owner[CHECK_OWNER_SIZE];
	unsigned wrong;       /* files and directories that are not as they should be */
	char first[PATH_MAX]; /* the first of them, and what is wrong with it */
	const char *fault;
	unsigned counts[INSTALLATION_SUPERSEDED + 1], damaged;
	unsigned failed; /* installations, in the last days */
};

void
check_user_name(char out[CHECK_OWNER_SIZE], uid_t uid)
{
	const struct passwd *pw = getpwuid(uid);

	if (pw)
		snprintf(out, CHECK_OWNER_SIZE, "%s", pw->pw_name);
	else
		snprintf(out, CHECK_OWNER_SIZE, "user %lu", (unsigned long)uid);
}

/*
 * A volume that a group shares, as Kubernetes makes it of every volume for fsGroup: each time it is mounted, files are
 * given to that group, and directories become group-writable with the set-group-ID bit. Whoever runs in there can
 * change neither for long.
 */
static bool
is_shared(const struct stat *st)
{
	gid_t groups[NGROUPS_MAX];
	int n = getgroups(NGROUPS_MAX, groups);

	if ((st->st_mode & (S_ISGID | S_IWGRP)) != (S_ISGID | S_IWGRP))
		return (false);
	for (int i = 0; i < n; i++)
		if (groups[i] == st->st_gid)
			return (true);
	return (getegid() == st->st_gid || geteuid() == 0);
}

static void
say_shared(struct looking *k)
{
	checklist_note(k->list, "state",
	    "That is how Kubernetes makes a volume for fsGroup. Run nothing else with this "
	    "group. Elsewhere: chmod 0700 it.",
	    "%s: group %lu can read and change it (mode %04o)", k->conf->state_dir,
	    (unsigned long)k->top.st_gid, (unsigned)k->top.st_mode & 07777);
}

/* What is wrong with something in there, or NULL. */
static const char *
fault_of(const struct looking *k, const struct stat *st, bool top)
{
	/* Links are fluidhook's own in the indexes, which are not walked through; nowhere else. */
	if (S_ISLNK(st->st_mode))
		return ("is a symbolic link, which fluidhook does not follow here");
	if (!S_ISDIR(st->st_mode) && (top || !S_ISREG(st->st_mode)))
		return (top ? "is no directory" : "is neither file nor directory");
	if (st->st_uid != k->top.st_uid && !k->shared)
		return ("belongs to another user");
	if (st->st_mode & (k->shared && st->st_gid == k->top.st_gid ? S_IRWXO : S_IRWXG | S_IRWXO))
		return ("is open to others");
	return (NULL);
}

static void
note(struct looking *k, const char *path, const char *fault)
{
	if (k->wrong++)
		return;
	k->fault = fault;
	snprintf(k->first, sizeof(k->first), "%s", path);
}

static void walk(struct looking *k, int parent, const char *name, const char *path, unsigned depth);

/* Look at one entry of the open directory. path: below the state directory, for messages. */
static void
look_at_entry(struct looking *k, int dir, const char *name, const char *path, unsigned depth)
{
	const char *fault;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW)) {
		if (errno != ENOENT)
			note(k, path, "cannot be looked at");
		return;
	}
	if ((fault = fault_of(k, &st, false)) != NULL)
		note(k, path, fault);
	if (S_ISDIR(st.st_mode) && depth < DEPTH_MAX)
		walk(k, dir, name, path, depth + 1);
}

/* Look at a directory and all below it. */
static void
walk(struct looking *k, int parent, const char *name, const char *path, unsigned depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *directory = fd == -1 ? NULL : fdopendir(fd);
	char inner[PATH_MAX];
	const struct dirent *entry;

	if (directory == NULL) {
		if (errno != ENOENT)
			note(k, path, "cannot be read");
		if (fd != -1)
			close(fd);
		return;
	}
	while ((errno = 0, entry = readdir(directory)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name) <
			(int)sizeof(inner))
			look_at_entry(k, fd, entry->d_name, inner, depth);
	if (errno)
		note(k, path, "cannot be read");
	closedir(directory);
}

/* Directories and files: fluidhook's own directories are looked into, whatever else lies there is not ours. */
static void
check_files(struct looking *k, int top)
{
	static const struct {
		const char *name;
		bool has_links;
	} directories[] = { { "installations", false }, { "journal", false }, { "queue", false },
		{ "runs", false }, { "refused", false }, { "shops", true }, { "companies", true } };
	const char *fault;
	struct stat st;

	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		/* One that is missing was named before. */
		if (fstatat(top, directories[i].name, &st, AT_SYMLINK_NOFOLLOW))
			continue;
		if ((fault = fault_of(k, &st, true)) != NULL)
			note(k, directories[i].name, fault);
		if (!directories[i].has_links)
			walk(k, top, directories[i].name, directories[i].name, 1);
	}
	if (k->wrong == 0) {
		checklist_good(k->list, "state", "%s, of %s", k->conf->state_dir, k->owner);
		return;
	}
	checklist_bad(k->list, "state",
	    "Directories have mode 0700 and files 0600, all of the same user.", "%s/%s %s%s",
	    k->conf->state_dir, k->first, k->fault,
	    k->wrong > 1 ? ", and it is not the only one" : "");
}

static void
check_room(struct looking *k, int top)
{
	const double mib = 1024 * 1024;
	struct statvfs fs;
	double free_bytes;

	if (fstatvfs(top, &fs)) {
		checklist_bad(k->list, "disk", "Nothing can be stored where that fails.", "%s",
		    strerror(errno));
		return;
	}
	free_bytes = (double)fs.f_bavail * (double)fs.f_frsize;
	if (free_bytes < (double)k->conf->min_free)
		checklist_bad(k->list, "disk",
		    "Deliveries get 503 until there is room: make some, for "
		    "example with \"fluidhook prune\".",
		    "%.0f MiB free, less than min_free (%.0f MiB)", free_bytes / mib,
		    (double)k->conf->min_free / mib);
	else if (fs.f_files && fs.f_favail < FREE_INODES_LEAST)
		checklist_bad(k->list, "disk",
		    "Deliveries get 503 until there is room: remove files.",
		    "no room for more files (inodes)");
	else
		checklist_good(k->list, "disk", "%.0f MiB free", free_bytes / mib);
}

/* What a failed installation needs, by its reason. */
static const struct {
	const char *reason, *hint;
} ways_out[] = {
	{ "exchange_expired",
	    "Have the company uninstall the droplet and install it again. A token lives for minutes only: "
	    "keep a worker running." },
	{ "exchange_contradicts",
	    "Fluid's answer is about another company or droplet: compare the droplet's uuid with the "
	    "configuration.\nThen have the company uninstall the droplet and install it again." },
};

static const char hint_of_others[] =
    "Have the company uninstall the droplet and install it again. The worker's log "
    "has the details.";

static void
check_failed(struct looking *k, const struct installation *i)
{
	const char *reason = i->reason ? i->reason : "unknown", *hint = hint_of_others;
	char when[TIMEFMT_SECONDS_SIZE];

	if (i->status != INSTALLATION_FAILED || !lifecycle_is_verified(i) ||
	    i->updated_at.tv_sec < time(NULL) - FAILED_DAYS * 86400 || ++k->failed > FAILED_SHOWN)
		return;
	for (size_t n = 0; n < sizeof(ways_out) / sizeof(ways_out[0]); n++)
		if (strcmp(ways_out[n].reason, reason) == 0)
			hint = ways_out[n].hint;
	timefmt_seconds(when, i->updated_at.tv_sec);
	checklist_bad(k->list, "installation", hint, "%s: failed at %s: %s", i->record, when,
	    reason);
}

static int
look_at(void *user, const char *file, struct installation *i)
{
	struct looking *k = user;

	if (i) {
		k->counts[i->status]++;
		check_failed(k, i);
		installation_free(i);
		return (0);
	}
	k->damaged++;
	checklist_bad(k->list, "record",
	    "Put it right, or move it away: the journal has the install.",
	    "%s/installations/%s: %s", k->conf->state_dir, file, installation_problem(errno));
	return (0);
}

static void
check_records(struct looking *k, int top)
{
	int dir = openat(top, "installations", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	unsigned all = 0;
	int result;

	result = dir == -1 ? -1 : installations_each(dir, look_at, k);
	if (result)
		checklist_bad(k->list, "records", "Nothing is known about the installations.",
		    "%s/installations: %s", k->conf->state_dir, strerror(errno));
	if (dir != -1)
		close(dir);
	if (k->failed > FAILED_SHOWN)
		checklist_bad(k->list, "installation",
		    "\"fluidhook list --status failed\" shows them.",
		    "%u more failed in the last %d days", k->failed - FAILED_SHOWN, FAILED_DAYS);
	for (size_t i = 0; i < sizeof(k->counts) / sizeof(k->counts[0]); i++)
		all += k->counts[i];
	if (result == 0 && k->damaged == 0)
		checklist_good(k->list, "records", "%u installation%s, %u active", all,
		    all == 1 ? "" : "s", k->counts[INSTALLATION_ACTIVE]);
}

/* What is derived from the records has to agree with them: else events of a shop get 401, or 503. */
static void
check_indexes(struct looking *k)
{
	struct reindex r = { .dry = true };
	char why[STATE_WHY_SIZE];
	struct state *s = state_open(k->conf->state_dir, why);
	int result;

	if (s == NULL) {
		checklist_bad(k->list, "indexes", "They are made from the records.", "%s", why);
		return;
	}
	result = reindex(s, &r);
	state_close(s);
	if (result)
		checklist_bad(k->list, "indexes", "They are made from the records.", "%s: %s",
		    k->conf->state_dir, strerror(errno));
	else if (r.added)
		checklist_bad(k->list, "indexes", "\"fluidhook repair\" makes them again.",
		    "%lu record%s not in shops/, companies/ or queue/ where %s", r.added,
		    r.added == 1 ? " is" : "s are", r.added == 1 ? "it belongs" : "they belong");
	else if (r.orphans)
		checklist_bad(k->list, "indexes",
		    "\"fluidhook repair\" makes records again from the journal, and "
		    "removes what is left over.",
		    "%lu entr%s in shops/ and companies/ without a record", r.orphans,
		    r.orphans == 1 ? "y" : "ies");
	else if (!r.complete)
		checklist_bad(k->list, "indexes",
		    "\"fluidhook repair\" compares them with the records. Until "
		    "then, events of an unknown shop get 503.",
		    "shops/ or companies/ is not marked as complete");
	else
		checklist_good(k->list, "indexes", "agree with the records%s",
		    r.removed ? ", but for entries of ended installations" : "");
}

/* Look at the directory itself. Returns 0, or -1 where there is no use in looking further. */
static int
begin(struct looking *k, bool *complete)
{
	const char *path = k->conf->state_dir;
	char us[CHECK_OWNER_SIZE], hint[256], why[STATE_WHY_SIZE];

	if (stat(path, &k->top)) {
		checklist_bad(k->list, "state",
		    errno == ENOENT ? "\"fluidhook init\" makes it." :
				      "Every directory above it has to let its owner through.",
		    "%s: %s", path, strerror(errno));
		return (-1);
	}
	check_user_name(k->owner, k->top.st_uid);
	if (!S_ISDIR(k->top.st_mode)) {
		checklist_bad(k->list, "state", "Name a directory as state_dir.",
		    "%s: is no directory", path);
		return (-1);
	}
	k->shared = is_shared(&k->top);
	if (k->shared)
		say_shared(k);
	else if (k->top.st_mode & (S_IRWXG | S_IRWXO))
		checklist_bad(k->list, "state", "chmod 0700 it.", "%s: open to others (mode %04o)",
		    path, (unsigned)k->top.st_mode & 07777);
	if (geteuid() != 0 && geteuid() != k->top.st_uid && !k->shared) {
		check_user_name(us, geteuid());
		if (getpwuid(k->top.st_uid))
			snprintf(hint, sizeof(hint), "Try \"sudo -u %s fluidhook check\".",
			    k->owner);
		else
			snprintf(hint, sizeof(hint),
			    "Try \"sudo -u '#%lu' fluidhook check\". In a container: run it "
			    "as user %lu\n(docker exec --user %lu), or give the volume to user %lu.",
			    (unsigned long)k->top.st_uid, (unsigned long)k->top.st_uid,
			    (unsigned long)k->top.st_uid, (unsigned long)geteuid());
		checklist_bad(k->list, "state", hint, "%s: belongs to %s, and this is %s", path,
		    k->owner, us);
		return (-1);
	}
	if (cli_become_owner(k->conf))
		return (-1);
	if (state_is_complete(path, why)) {
		*complete = false;
		checklist_bad(k->list, "state", "Deliveries get 503 until then.", "%s", why);
		/* What is there can still be looked at, but it is no use where nothing is. */
		return (state_is_marked(path, why));
	}
	return (0);
}

int
check_state(struct checklist *l, const struct conf *conf)
{
	struct looking k = { .list = l, .conf = conf };
	bool complete = true;
	int top;

	if (begin(&k, &complete))
		return (-1);
	if ((top = open(conf->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1) {
		checklist_bad(l, "state", "Its owner needs all rights on it: mode 0700.", "%s: %s",
		    conf->state_dir, strerror(errno));
		return (-1);
	}
	check_files(&k, top);
	check_room(&k, top);
	check_write(l, conf->state_dir, top, k.owner);
	check_records(&k, top);
	/* Opening one from before 0.2 would adopt it. */
	if (complete && faccessat(top, layout_version_file, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		check_indexes(&k);
	check_queue(l, conf, top,
	    k.counts[INSTALLATION_PENDING] + k.counts[INSTALLATION_UNCONFIRMED]);
	close(top);
	return (0);
}
