#include "worker/queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/name.h"
#include "store/durable.h"
#include "store/lock.h"

enum { FILE_MAX = 1 << 20 };

/* No wait is longer, whatever a file says: the clock may have been wrong when it was written. */
enum { WAIT_MAX = 3600 };
/* How long "fluidhook retry" waits for another one, which holds the lock while it takes back one delivery. */
enum { REQUEUE_WAIT_MS = 10000 };

struct queue {
	int dir, waiting, dead, runs_dir, lock_fd;
	struct runs *ran;
};

/* What an item's file says, in the order it is written. */
static const struct member {
	const char *key;
	size_t offset, size; /* of a text */
	bool number;
} members[] = {
#define TEXT(key, field) \
	{ \
		key, offsetof(struct queue_item, field), sizeof(((struct queue_item *)0)->field), \
		    false \
	}
	TEXT("delivery", delivery),
	TEXT("event", event),
	TEXT("file", place.name),
	TEXT("key", key),
	TEXT("why", why),
#undef TEXT
	{ "offset", offsetof(struct queue_item, place.offset), 0, true },
	{ "attempts", offsetof(struct queue_item, attempts), 0, true },
	{ "next", offsetof(struct queue_item, next), 0, true },
	{ "for_credentials", offsetof(struct queue_item, for_credentials), 0, true },
};

enum { N_MEMBERS = sizeof(members) / sizeof(members[0]), OFFSET = 5, ATTEMPTS, NEXT, CREDENTIALS };

/*
 * A lock of this process alone. flock() is shared with a hook between its fork and its exec: there it
 * would outlive a worker that is killed then.
 */
static int
lock(struct queue *q)
{
	struct flock all = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if ((q->lock_fd = openat(q->dir, "worker.lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC,
		 0600)) == -1)
		return (-1);
	if (fcntl(q->lock_fd, F_SETLK, &all) == 0)
		return (0);
	if (errno == EACCES || errno == EAGAIN)
		errno = EWOULDBLOCK;
	return (-1);
}

/* None is made here: one that is missing held what has to be delivered (store/layout.h). */
static int
open_directory(int dir, const char *name)
{
	return (openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

struct queue *
queue_open(int dir, bool exclusive)
{
	struct queue *q = calloc(1, sizeof(*q));
	int saved;

	if (q == NULL)
		return (NULL);
	*q = (struct queue){ .dir = dir, .waiting = -1, .dead = -1, .runs_dir = -1, .lock_fd = -1 };
	if ((q->waiting = open_directory(dir, "waiting")) == -1 ||
	    (q->dead = open_directory(dir, "dead")) == -1 ||
	    (q->runs_dir = open_directory(dir, "ran")) == -1 ||
	    (exclusive && (lock(q) || (q->ran = runs_open(q->runs_dir)) == NULL))) {
		saved = errno;
		queue_close(q);
		errno = saved;
		return (NULL);
	}
	return (q);
}

void
queue_close(struct queue *q)
{
	const int *fds;

	if (q == NULL)
		return;
	fds = (const int[]){ q->waiting, q->dead, q->runs_dir, q->lock_fd };
	for (size_t i = 0; i < 4; i++)
		if (fds[i] != -1)
			close(fds[i]);
	runs_close(q->ran);
	free(q);
}

int64_t
queue_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return ((int64_t)t.tv_sec);
}

int64_t
queue_unix(int64_t next)
{
	return (time(NULL) + next - queue_clock());
}

/* What a file says, for the clock of this start of the machine. */
static void
set_clock(struct queue_item *item)
{
	int64_t wait = item->next - time(NULL);

	item->seen = queue_clock();
	item->next = item->seen + (wait < WAIT_MAX ? wait : WAIT_MAX);
}

int
queue_directory(const struct queue *q)
{
	return (q->dir);
}

struct runs *
queue_runs(struct queue *q)
{
	return (q->ran);
}

/* The text of a number in JSON, which is not terminated. */
static long long
parse_number(const char *text, size_t len)
{
	char copy[24] = "";

	memcpy(copy, text, len < sizeof(copy) ? len : sizeof(copy) - 1);
	return (strtoll(copy, NULL, 10));
}

static long long
number_of(const struct queue_item *item, size_t m)
{
	switch (m) {
	case OFFSET:
		return ((long long)item->place.offset);
	case ATTEMPTS:
		return (item->attempts);
	case NEXT:
		return (item->next);
	default:
		return (item->for_credentials);
	}
}

static void
set_number(struct queue_item *item, size_t m, long long n)
{
	switch (m) {
	case OFFSET:
		item->place.offset = (uint64_t)n;
		return;
	case ATTEMPTS:
		item->attempts = (unsigned)n;
		return;
	case NEXT:
		item->next = n;
		return;
	default:
		item->for_credentials = n != 0;
		return;
	}
}

static int
item_write(int dir, const struct queue_item *item, int64_t when)
{
	struct queue_item written = *item;
	char name[UUID_SIZE + 8];
	struct buf text = { 0 };
	struct json_writer *w = json_writer_new(&text, false);
	int result = -1;

	if (w == NULL)
		return (-1);
	written.next = when;
	json_object(w);
	for (size_t m = 0; m < N_MEMBERS; m++) {
		json_key(w, members[m].key);
		if (members[m].number)
			json_int(w, number_of(&written, m));
		else
			json_string(w, (const char *)item + members[m].offset);
	}
	json_object_end(w);
	snprintf(name, sizeof(name), "%s.json", item->delivery);
	if (json_writer_end(w) == 0)
		result = durable_replace(dir, name, text.data, text.len, 0600);
	buf_free(&text);
	return (result);
}

static void
on_member(void *user, const char *key, size_t key_len, enum json_kind kind, const char *text,
    size_t len)
{
	struct queue_item *item = user;

	for (size_t m = 0; m < N_MEMBERS; m++) {
		if (strlen(members[m].key) != key_len || memcmp(members[m].key, key, key_len) != 0)
			continue;
		if (members[m].number && kind == JSON_NUMBER) {
			set_number(item, m, parse_number(text, len));
		} else if (!members[m].number && kind == JSON_STRING && len < members[m].size) {
			memcpy((char *)item + members[m].offset, text, len);
			((char *)item)[members[m].offset + len] = '\0';
		}
	}
}

/* Read an item's file. One that says nothing, or is called after another delivery, is damaged. */
static int
item_read(int dir, const char *name, struct queue_item *item)
{
	struct buf text = { 0 };
	int result = file_read_at(dir, name, FILE_MAX, &text);
	size_t len;

	*item = (struct queue_item){ .attempts = 0 };
	if (result == 0) {
		result = json_read_members(text.data, text.len, on_member, item);
		len = strlen(item->delivery);
		if (result || len == 0 || strncmp(name, item->delivery, len) != 0 ||
		    strcmp(name + len, ".json") != 0 || journal_file_number(item->place.name) < 0) {
			errno = EBADMSG;
			result = -1;
		}
	}
	buf_free(&text);
	return (result);
}

static int
item_remove(int dir, const struct queue_item *item)
{
	char name[UUID_SIZE + 8];

	snprintf(name, sizeof(name), "%s.json", item->delivery);
	if (unlinkat(dir, name, 0) && errno != ENOENT)
		return (-1);
	return (sync_directory(dir));
}

int
queue_wait(struct queue *q, const struct queue_item *item)
{
	return (item_write(q->waiting, item, queue_unix(item->next)));
}

int
queue_remove(struct queue *q, const struct queue_item *item)
{
	return (item_remove(q->waiting, item));
}

/* Never in both: a "fluidhook retry" may take it back as soon as it is dead. */
int
queue_dead_letter(struct queue *q, const struct queue_item *item)
{
	char name[UUID_SIZE + 8];

	snprintf(name, sizeof(name), "%s.json", item->delivery);
	if (item_write(q->waiting, item, time(NULL)) || renameat(q->waiting, name, q->dead, name) ||
	    sync_directory(q->dead) || sync_directory(q->waiting))
		return (-1);
	return (0);
}

int
queue_drop_dead_letter(struct queue *q, const struct queue_item *item)
{
	return (item_remove(q->dead, item));
}

/* Move it from the dead to those that wait. The directory of the dead is locked. */
static int
requeue(struct queue *q, const char *name)
{
	struct queue_item item;

	/* As it is now: another process may have taken it back since it was listed. */
	if (item_read(q->dead, name, &item))
		return (-1);
	item.attempts = 0;
	/* Never in both: a worker that runs can have given it up again by the time the old one goes. */
	if (item_write(q->dead, &item, time(NULL)) || renameat(q->dead, name, q->waiting, name) ||
	    sync_directory(q->waiting) || sync_directory(q->dead))
		return (-1);
	return (0);
}

int
queue_requeue(struct queue *q, const struct queue_item *item)
{
	char name[UUID_SIZE + 8];
	int result, saved;

	snprintf(name, sizeof(name), "%s.json", item->delivery);
	if (lock_file(q->dead, REQUEUE_WAIT_MS))
		return (-1);
	result = requeue(q, name);
	saved = errno;
	flock(q->dead, LOCK_UN);
	errno = saved;
	return (result);
}

static int
by_delivery(const void *a, const void *b)
{
	return (strcmp(((const struct queue_item *)a)->delivery,
	    ((const struct queue_item *)b)->delivery));
}

/* What becomes of the names of items that cannot be read. */
struct damage {
	void (*each)(void *user, const char *name, int error);
	void *user;
	unsigned n;
};

/* NULL with *n == 1 and errno set if they cannot all be listed. */
static struct queue_item *
read_items(int dir, DIR *directory, unsigned *n, struct damage *damage)
{
	struct queue_item *items = NULL, *more;
	struct dirent *entry;
	unsigned cap = 0;

	*n = 0;
	while ((errno = 0, entry = readdir(directory)) != NULL) {
		if (!name_is_safe(entry->d_name, strlen(entry->d_name)))
			continue;
		if (*n == cap) {
			cap = cap ? 2 * cap : 64;
			if ((more = reallocarray(items, cap, sizeof(*items))) == NULL)
				break;
			items = more;
		}
		if (item_read(dir, entry->d_name, &items[*n]) == 0) {
			(*n)++;
		} else if (errno != ENOENT) {
			damage->each(damage->user, entry->d_name, errno);
			damage->n++;
		}
	}
	/* A list that was cut short would look like one of less that waits. */
	if (errno) {
		free(items);
		*n = 1;
		return (NULL);
	}
	if (*n)
		qsort(items, *n, sizeof(*items), by_delivery);
	return (items);
}

static struct queue_item *
all_items(struct queue *q, bool dead, unsigned *n, struct damage *damage)
{
	int dir = dead ? q->dead : q->waiting;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd == -1 ? NULL : fdopendir(fd);
	struct queue_item *items;
	int saved;

	*n = 1;
	if (directory == NULL) {
		if (fd != -1)
			close(fd);
		return (NULL);
	}
	items = read_items(dir, directory, n, damage);
	for (unsigned i = 0; !dead && i < *n && items; i++)
		set_clock(&items[i]);
	saved = errno;
	closedir(directory);
	errno = saved;
	return (items);
}

static void
log_damage(void *user, const char *name, int error)
{
	(void)user;
	errno = error;
	log_errno(LOG_LEVEL_ERROR, "queue item cannot be read", "file", name, NULL);
}

struct queue_item *
queue_items(struct queue *q, bool dead, unsigned *n, unsigned *damaged)
{
	struct damage damage = { .each = log_damage };
	struct queue_item *items = all_items(q, dead, n, &damage);

	*damaged = damage.n;
	return (items);
}

struct queue_item *
queue_items_and(struct queue *q, bool dead, unsigned *n,
    void (*on_damaged)(void *user, const char *name, int error), void *user)
{
	struct damage damage = { .each = on_damaged, .user = user };

	return (all_items(q, dead, n, &damage));
}

bool
queue_has_worker(const struct queue *q)
{
	int fd = openat(q->dir, "worker.lock", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct flock held = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	bool runs = fd != -1 && fcntl(fd, F_GETLK, &held) == 0 && held.l_type != F_UNLCK;

	if (fd != -1)
		close(fd);
	return (runs);
}

int
queue_each_waiting(struct queue *q, void (*each)(void *user, const char *delivery), void *user)
{
	int fd = openat(q->waiting, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd == -1 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char delivery[UUID_SIZE];
	size_t len;
	int saved;

	if (directory == NULL) {
		if (fd != -1)
			close(fd);
		return (-1);
	}
	while ((errno = 0, entry = readdir(directory)) != NULL) {
		len = strlen(entry->d_name);
		if (!name_is_safe(entry->d_name, len) || len < 6 || len - 5 >= UUID_SIZE)
			continue;
		memcpy(delivery, entry->d_name, len - 5);
		delivery[len - 5] = '\0';
		each(user, delivery);
	}
	saved = errno;
	closedir(directory);
	errno = saved;
	return (saved ? -1 : 0);
}

int
queue_read(struct queue *q, const char *delivery, struct queue_item *item)
{
	char name[UUID_SIZE + 8];

	snprintf(name, sizeof(name), "%s.json", delivery);
	if (item_read(q->waiting, name, item))
		return (-1);
	set_clock(item);
	return (0);
}
