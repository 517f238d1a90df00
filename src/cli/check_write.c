#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/check.h"
#include "store/durable.h"
#include "store/fstype.h"
#include "store/layout.h"
#include "store/lock.h"

/*
 * The writes of the receiver and the worker, tried in each directory: some file systems refuse one of
 * them. What is made has a name of its own, which no program takes for one of its files, and is removed.
 */

struct trial {
	int dir;
	char file[48], renamed[48], link[48];
	const char *call; /* the one that failed */
};

static int
failed(struct trial *t, const char *call)
{
	t->call = call;
	return (-1);
}

static int
try_file(struct trial *t)
{
	int fd = openat(t->dir, t->file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int result = 0, saved;

	if (fd == -1)
		return (failed(t, "open"));
	if (lock_try(fd))
		result = failed(t, "flock");
	else if (file_write_all(fd, "check\n", 6))
		result = failed(t, "write");
	else if (fdatasync(fd))
		result = failed(t, "fdatasync");
	else if (fsync(fd))
		result = failed(t, "fsync");
	saved = errno;
	if (close(fd) && result == 0)
		return (failed(t, "close"));
	errno = saved;
	return (result);
}

static int
try_names(struct trial *t)
{
	if (renameat(t->dir, t->file, t->dir, t->renamed))
		return (failed(t, "rename"));
	if (symlinkat(t->renamed, t->dir, t->link))
		return (failed(t, "symlink"));
	if (fsync(t->dir))
		return (failed(t, "fsync of the directory"));
	return (0);
}

static int
clear_away(struct trial *t)
{
	const char *const names[] = { t->file, t->renamed, t->link };
	int result = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (unlinkat(t->dir, names[i], 0) && errno != ENOENT)
			result = failed(t, "unlink");
	return (result);
}

/* Returns 0, or -1 with errno set and t->call being what failed. */
static int
try_directory(int top, enum layout_dir dir, struct trial *t)
{
	int result, saved;

	if ((t->dir = layout_open(top, dir)) == -1)
		return (failed(t, "open"));
	if ((result = clear_away(t)) == 0 && (result = try_file(t)) == 0)
		result = try_names(t);
	saved = errno;
	if (clear_away(t) && result == 0) {
		saved = errno;
		result = -1;
	}
	if (result == -1)
		errno = saved;
	return (result);
}

void
check_write(struct checklist *l, const char *state_dir, int top, const char *owner)
{
	char type[FSTYPE_SIZE];
	struct trial t = { .dir = -1 };
	bool good = true;

	snprintf(t.file, sizeof(t.file), ".check-%ld", (long)getpid());
	snprintf(t.renamed, sizeof(t.renamed), ".check-%ld.new", (long)getpid());
	snprintf(t.link, sizeof(t.link), ".check-%ld.link", (long)getpid());
	for (int d = 0; d < LAYOUT_N && good; d++) {
		if (try_directory(top, (enum layout_dir)d, &t)) {
			good = false;
			checklist_bad(l, "write",
			    "Deliveries get 503 while that fails. README, \"File systems\", "
			    "says which are supported.",
			    "%s/%s: %s: %s (file system %s)", state_dir,
			    layout_path((enum layout_dir)d), t.call, strerror(errno),
			    fstype_of(top, type));
		}
		if (t.dir != -1)
			close(t.dir);
		t.dir = -1;
	}
	if (good)
		checklist_good(l, "write", "%s can store files in it (file system %s)", owner,
		    fstype_of(top, type));
}
