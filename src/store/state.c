#include "store/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "store/durable.h"
#include "store/index.h"
#include "store/lock.h"
#include "store/seal_note.h"

enum { MIN_FREE_INODES = 16 };

/* The descriptor that is kept open for a directory, or NULL if none is. */
static int *
descriptor(struct state *s, enum layout_dir dir)
{
	switch (dir) {
	case LAYOUT_INSTALLATIONS:
		return (&s->installations);
	case LAYOUT_SHOPS:
		return (&s->shops);
	case LAYOUT_COMPANIES:
		return (&s->companies);
	case LAYOUT_JOURNAL:
		return (&s->journal);
	case LAYOUT_QUEUE:
		return (&s->queue);
	case LAYOUT_PENDING:
		return (&s->pending);
	case LAYOUT_UNCONFIRMED:
		return (&s->unconfirmed);
	default:
		return (NULL);
	}
}

static void say(char why[STATE_WHY_SIZE], const char *path, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "state_dir PATH: ...". Keeps errno. */
static void
say(char why[STATE_WHY_SIZE], const char *path, const char *fmt, ...)
{
	int n = snprintf(why, STATE_WHY_SIZE, "state_dir %s: ", path), saved = errno;
	va_list ap;

	if (n < 0 || n >= STATE_WHY_SIZE)
		return;
	va_start(ap, fmt);
	vsnprintf(why + n, (size_t)(STATE_WHY_SIZE - n), fmt, ap);
	va_end(ap);
	errno = saved;
}

static void
say_dir(char why[STATE_WHY_SIZE], const char *path, enum layout_dir dir)
{
	const char *name = layout_path(dir);

	if (errno == ENOENT)
		say(why, path,
		    "%s/ is missing; put it back, or run \"fluidhook repair\" to make it again "
		    "empty",
		    name);
	else if (errno == ELOOP || errno == ENOTDIR)
		say(why, path, "%s is not a directory; put the directory back", name);
	else
		say(why, path, "%s/: %s", name, strerror(errno));
}

/* The state directory itself may be a symbolic link: its name comes from the configuration. */
static int
open_top(const char *path, char why[STATE_WHY_SIZE])
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd == -1)
		say(why, path, "%s%s", strerror(errno),
		    errno == ENOENT ? "; run \"fluidhook init\" or mount it" : "");
	return (fd);
}

/* Whether it is a state directory. Returns 1, 0 for one from before 0.2, or -1 with errno set. */
static int
look(int top, const char *path, char why[STATE_WHY_SIZE])
{
	char number[LAYOUT_NUMBER_SIZE];

	switch (layout_version(top, number)) {
	case LAYOUT_OURS:
		return (1);
	case LAYOUT_OLD:
		return (0);
	case LAYOUT_NONE:
		errno = ENOENT;
		say(why, path, "no VERSION file; run \"fluidhook init\" or mount it");
		return (-1);
	case LAYOUT_OTHER:
		errno = EPROTONOSUPPORT;
		say(why, path,
		    "VERSION is \"%s\", and this fluidhook knows only \"1\"; use the fluidhook "
		    "that made it",
		    number);
		return (-1);
	case LAYOUT_UNREADABLE:
		say(why, path, "VERSION cannot be read: %s", strerror(errno));
		return (-1);
	}
	return (-1);
}

static int
make_directories(int top, const char *path, void (*made)(void *user, const char *name), void *user,
    char why[STATE_WHY_SIZE])
{
	enum layout_dir failed;

	if (layout_make(top, made, user, &failed) == 0)
		return (0);
	say(why, path, "%s cannot be made: %s", layout_path(failed), strerror(errno));
	return (-1);
}

/* The file whose lock is that of the records. Returns a descriptor, or -1 with errno set. */
static int
open_lock(int installations)
{
	return (openat(installations, ".lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
}

/* Write VERSION, unless another process was quicker. */
static int
mark(struct state *s, char why[STATE_WHY_SIZE])
{
	char number[LAYOUT_NUMBER_SIZE];
	int result = state_lock(s);

	if (result == 0) {
		if (layout_version(s->dir, number) != LAYOUT_OURS)
			result = layout_mark(s->dir);
		state_unlock(s);
	}
	if (result)
		say(why, s->path, "VERSION cannot be made: %s", strerror(errno));
	return (result);
}

/* Note the key that seals, unless another process has noted one meanwhile. */
static int
note_key(struct state *s, const char *id)
{
	int result = state_lock(s);

	if (result == 0) {
		if ((result = seal_note_read(s->queue, s->seal_id)) == 0 && s->seal_id[0] == '\0' &&
		    (result = seal_note_write(s->queue, id)) == 0)
			memcpy(s->seal_id, id, SEAL_ID_SIZE);
		state_unlock(s);
	}
	return (result);
}

/*
 * Whether the key that credentials here are sealed under is at hand: before anything is written, so that a
 * wrong key never seals anything. Returns 0, or -1 with errno ENOKEY (or why it is not known) and *why filled.
 */
static int
check_key(struct state *s, char why[STATE_WHY_SIZE])
{
	char current[SEAL_ID_SIZE];

	if (seal_note_read(s->queue, s->seal_id)) {
		say(why, s->path, "%s: %s", SEAL_NOTE, strerror(errno));
		return (-1);
	}
	if (!seal_is_on()) {
		if (s->seal_id[0] == '\0')
			return (0);
		say(why, s->path,
		    "credentials are sealed under the key %s; set seal_key to the file that has it",
		    s->seal_id);
	} else if (seal_ready(current)) {
		say(why, s->path, "credentials cannot be sealed: seal_key: %s",
		    seal_problem(errno));
	} else if (s->seal_id[0] && !seal_has(s->seal_id)) {
		say(why, s->path,
		    "credentials are sealed under the key %s, which is not in the file seal_key (its "
		    "first key is %s); put the right key there",
		    s->seal_id, current);
	} else if (s->seal_id[0] == '\0' && note_key(s, current)) {
		say(why, s->path, "%s cannot be made: %s", SEAL_NOTE, strerror(errno));
		return (-1);
	} else if (!seal_has(s->seal_id)) {
		say(why, s->path,
		    "credentials are sealed under the key %s, which is not in seal_key",
		    s->seal_id);
	} else {
		return (0);
	}
	errno = ENOKEY;
	return (-1);
}

static struct state_place
place_of(const struct stat *st)
{
	return ((struct state_place){ st->st_dev, st->st_ino });
}

static bool
same_place(const struct state_place *a, const struct stat *b)
{
	return (a->ino == b->st_ino && a->dev == b->st_dev);
}

static int
open_directories(struct state *s, char why[STATE_WHY_SIZE])
{
	struct stat st;
	int fd, *kept;

	for (int d = 0; d < LAYOUT_N; d++) {
		if ((fd = layout_open(s->dir, (enum layout_dir)d)) == -1 || fstat(fd, &st)) {
			say_dir(why, s->path, (enum layout_dir)d);
			return (-1);
		}
		s->places[d] = place_of(&st);
		if ((kept = descriptor(s, (enum layout_dir)d)) != NULL)
			*kept = fd;
		else
			close(fd);
	}
	if ((s->lock_fd = open_lock(s->installations)) == -1) {
		say(why, s->path, "%s: %s", state_lock_file, strerror(errno));
		return (-1);
	}
	return (0);
}

static int
open_all(struct state *s, char why[STATE_WHY_SIZE])
{
	struct stat st;
	int version;

	if ((s->dir = open_top(s->path, why)) == -1 || (version = look(s->dir, s->path, why)) == -1)
		return (-1);
	if (version == 0 && make_directories(s->dir, s->path, NULL, NULL, why))
		return (-1);
	if (open_directories(s, why))
		return (-1);
	if (version == 0) {
		if (mark(s, why))
			return (-1);
		log_line(LOG_LEVEL_INFO, "state directory adopted: it is from before 0.2",
		    "state_dir", s->path, NULL);
	}
	if (check_key(s, why))
		return (-1);
	if (fstat(s->dir, &st))
		goto fail;
	s->top = place_of(&st);
	if (fstatat(s->dir, layout_version_file, &s->version, AT_SYMLINK_NOFOLLOW))
		goto fail;
	return (0);

fail:
	say(why, s->path, "%s", strerror(errno));
	return (-1);
}

struct state *
state_open(const char *path, char why[STATE_WHY_SIZE])
{
	struct state *s = calloc(1, sizeof(*s));

	if (s == NULL || (s->path = strdup(path)) == NULL ||
	    (s->seen = calloc(1, sizeof(*s->seen))) == NULL) {
		say(why, path, "%s", strerror(errno));
		if (s)
			free(s->path);
		free(s);
		return (NULL);
	}
	s->dir = s->lock_fd = -1;
	for (int d = 0; d < LAYOUT_N; d++)
		if (descriptor(s, (enum layout_dir)d))
			*descriptor(s, (enum layout_dir)d) = -1;
	pthread_mutex_init(&s->mutex, NULL);
	pthread_cond_init(&s->freed, NULL);
	pthread_mutex_init(&s->queue_of_events.mutex, NULL);
	pthread_cond_init(&s->queue_of_events.changed, NULL);
	s->queue_of_events.last = &s->queue_of_events.first;
	if (open_all(s, why)) {
		state_close(s);
		return (NULL);
	}
	return (s);
}

void
state_close(struct state *s)
{
	const int *fd;

	if (s == NULL)
		return;
	for (int d = 0; d < LAYOUT_N; d++)
		if ((fd = descriptor(s, (enum layout_dir)d)) != NULL)
			file_close(*fd);
	file_close(s->dir);
	file_close(s->lock_fd);
	pthread_cond_destroy(&s->queue_of_events.changed);
	pthread_mutex_destroy(&s->queue_of_events.mutex);
	pthread_cond_destroy(&s->freed);
	pthread_mutex_destroy(&s->mutex);
	free(s->seen);
	free(s->path);
	free(s);
}

/* Look at each directory of a state directory. Returns 0, or -1 with errno set and *why filled. */
static int
look_inside(int top, const char *path, char why[STATE_WHY_SIZE])
{
	int fd;

	for (int d = 0; d < LAYOUT_N; d++) {
		if ((fd = layout_open(top, (enum layout_dir)d)) == -1) {
			say_dir(why, path, (enum layout_dir)d);
			return (-1);
		}
		close(fd);
	}
	return (0);
}

/* Look from outside, and perhaps inside. Returns 0, or -1 with errno set and *why filled. */
static int
look_at(const char *path, bool inside, char why[STATE_WHY_SIZE])
{
	int top = open_top(path, why), result;

	if (top == -1)
		return (-1);
	/* One from before 0.2 gets what is missing when it is opened. */
	if ((result = look(top, path, why)) == 1 && inside)
		result = look_inside(top, path, why);
	file_close(top);
	return (result == -1 ? -1 : 0);
}

int
state_is_marked(const char *path, char why[STATE_WHY_SIZE])
{
	return (look_at(path, false, why));
}

int
state_is_complete(const char *path, char why[STATE_WHY_SIZE])
{
	return (look_at(path, true, why));
}

/*
 * Make the first files. Indexes of no records are complete. Those of records that are there already are made
 * by reindex().
 */
static int
make_files(int top)
{
	struct state s = { .shops = layout_open(top, LAYOUT_SHOPS),
		.companies = layout_open(top, LAYOUT_COMPANIES),
		.installations = layout_open(top, LAYOUT_INSTALLATIONS),
		.lock_fd = -1 };
	int records = layout_has_records(top), result = -1;

	if (s.shops != -1 && s.companies != -1 && records != -1 &&
	    (s.lock_fd = open_lock(s.installations)) != -1)
		result = records ? 0 : index_mark(&s);
	file_close(s.lock_fd);
	file_close(s.installations);
	file_close(s.shops);
	file_close(s.companies);
	return (result);
}

int
state_init(const char *path, void (*made)(void *user, const char *name), void *user,
    char why[STATE_WHY_SIZE])
{
	char number[LAYOUT_NUMBER_SIZE];
	int top = open_top(path, why), result = -1;
	enum layout_version version;

	if (top == -1)
		return (-1);
	version = layout_version(top, number);
	if (version == LAYOUT_OLD || version == LAYOUT_NONE) {
		if (make_directories(top, path, made, user, why))
			goto out;
		if (make_files(top) || layout_mark(top)) {
			say(why, path, "VERSION cannot be made: %s", strerror(errno));
			goto out;
		}
		if (made)
			made(user, layout_version_file);
		result = 0;
	} else if (look(top, path, why) != -1) {
		result = look_inside(top, path, why);
	}
out:
	file_close(top);
	return (result);
}

int
state_restore(const char *path, void (*made)(void *user, const char *name), void *user,
    char why[STATE_WHY_SIZE])
{
	int top = open_top(path, why), result = -1;

	if (top == -1)
		return (-1);
	if (look(top, path, why) != -1)
		result = make_directories(top, path, made, user, why);
	file_close(top);
	return (result);
}

bool
state_in_place(const struct state *s)
{
	struct stat named;
	int64_t now = glance_now();

	if (glance_is_recent(&s->seen->in_place, now))
		return (true);
	if (stat(s->path, &named) || !same_place(&s->top, &named) ||
	    fstatat(s->dir, layout_version_file, &named, AT_SYMLINK_NOFOLLOW) ||
	    !stat_same(&s->version, &named))
		return (false);
	/* Without its key it is opened anew, which says what is wrong. */
	if (seal_is_on() != (s->seal_id[0] != '\0') || (s->seal_id[0] && !seal_has(s->seal_id)))
		return (false);
	for (int d = 0; d < LAYOUT_N; d++)
		if (fstatat(s->dir, layout_path((enum layout_dir)d), &named, AT_SYMLINK_NOFOLLOW) ||
		    !same_place(&s->places[d], &named))
			return (false);
	glance_note(&s->seen->in_place, now);
	return (true);
}

int
state_has_room(const struct state *s, uint64_t min_free)
{
	struct statvfs fs;
	int64_t now = glance_now();

	if (glance_is_recent(&s->seen->room, now))
		return (0);
	if (fstatvfs(s->journal, &fs))
		return (-1);
	if ((uint64_t)fs.f_bavail * fs.f_frsize < min_free ||
	    (fs.f_files && fs.f_favail < MIN_FREE_INODES)) {
		errno = ENOSPC;
		return (-1);
	}
	glance_note(&s->seen->room, now);
	return (0);
}

int
state_ready(const struct state *s, uint64_t min_free)
{
	const int dirs[] = { s->installations, s->shops, s->companies, s->journal, s->queue,
		s->pending, s->unconfirmed };

	if (state_has_room(s, min_free))
		return (-1);
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++)
		if (faccessat(dirs[i], ".", W_OK | X_OK, AT_EACCESS))
			return (-1);
	return (0);
}
