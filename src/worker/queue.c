#include "worker/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/dir.h"
#include "base/log.h"
#include "store/durable.h"
#include "store/layout.h"
#include "store/lock.h"
#include "worker/queue_memory.h"

/* How long "fluidhook retry" waits for another one, which holds the lock while it takes back one delivery. */
enum { REQUEUE_WAIT_MS = 10000 };

struct queue {
	int dir, waiting, dead, lock_fd;
	struct queue_memory memory;
	size_t unsaved; /* items that are in memory alone */
	bool hindered;  /* the directory could not be read when it was last looked at */
};

/* A lock of this process alone, which no hook inherits. */
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

static int load(struct queue *q);

struct queue *
queue_open(int dir, bool exclusive)
{
	struct queue *q = calloc(1, sizeof(*q));
	int error;

	if (q == NULL)
		return (NULL);
	*q = (struct queue){ .dir = dir, .waiting = -1, .dead = -1, .lock_fd = -1 };
	if ((q->waiting = open_directory(dir, layout_name(LAYOUT_WAITING))) == -1 ||
	    (q->dead = open_directory(dir, layout_name(LAYOUT_DEAD))) == -1 ||
	    (exclusive && (lock(q) || load(q)))) {
		error = errno;
		queue_close(q);
		errno = error;
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
	fds = (const int[]){ q->waiting, q->dead, q->lock_fd };
	for (size_t i = 0; i < 3; i++)
		if (fds[i] != -1)
			close(fds[i]);
	queue_memory_free(&q->memory);
	free(q);
}

int
queue_directory(const struct queue *q)
{
	return (q->dir);
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

/* What becomes of the names of items that cannot be read. */
struct damage {
	void (*each)(void *user, const char *name, int error);
	void *user;
	unsigned n;
};

static int
by_delivery(const void *a, const void *b)
{
	const struct queue_item *x = a, *y = b;
	int order = strcmp(x->delivery, y->delivery);

	return (order ? order : strcmp(x->target, y->target));
}

static bool
is_item(const char *name)
{
	return (name_is_safe(name, strlen(name)));
}

/* All items of a directory, ordered. NULL with *n == 1 and errno set if they cannot all be listed. */
static struct queue_item *
all_items(struct queue *q, bool dead, unsigned *n, struct damage *damage)
{
	struct queue_item *items = NULL, *more;
	unsigned cap = 0;
	const char *name;
	struct dir d;
	int next, error;

	*n = 0;
	next = dir_open(&d, dead ? q->dead : q->waiting, ".");
	while (next == 0 && (next = dir_next(&d, &name)) == 1) {
		next = 0;
		if (!is_item(name))
			continue;
		if (*n == cap) {
			cap = cap ? 2 * cap : 64;
			if ((more = reallocarray(items, cap, sizeof(*items))) == NULL) {
				next = -1;
				break;
			}
			items = more;
		}
		if ((dead ? queue_item_read(q->dead, name, &items[*n]) :
			    queue_item_read_waiting(q->waiting, name, &items[*n])) == 0) {
			(*n)++;
		} else if (errno != ENOENT) {
			damage->each(damage->user, name, errno);
			damage->n++;
		}
	}
	error = errno;
	dir_close(&d);
	/* A list that was cut short would look like one of less that waits. */
	if (next == -1) {
		free(items);
		*n = 1;
		errno = error;
		return (NULL);
	}
	if (*n)
		qsort(items, *n, sizeof(*items), by_delivery);
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

/* In memory */

static int
remember_dead(struct queue *q, const struct queue_item *item)
{
	if (digest_set_add(&q->memory.dead, item->delivery, item->target, RUNS_GIVEN_UP))
		return (-1);
	return (*item->key ?
		digest_set_add(&q->memory.dead, item->key, item->target, RUNS_GIVEN_UP) :
		0);
}

/* An install that waits for its credentials had the name of another item in versions without targets. */
static void
rename_old(struct queue *q, const struct queue_item *item)
{
	char name[QUEUE_FILE_SIZE], old[QUEUE_FILE_SIZE];

	queue_item_file(name, item->delivery, item->target);
	snprintf(old, sizeof(old), "%s.json", item->delivery);
	if (item->is_old && *item->target == '\0' && renameat(q->waiting, old, q->waiting, name) &&
	    errno != ENOENT)
		log_errno(LOG_LEVEL_ERROR, "queue item cannot be renamed", "file", old, NULL);
}

static int
load_waiting(struct queue *q)
{
	unsigned n, damaged;
	struct queue_item *items = queue_items(q, false, &n, &damaged);
	int result = 0;

	if (items == NULL && n)
		return (-1);
	for (unsigned i = 0; i < n && result == 0; i++) {
		rename_old(q, &items[i]);
		result = queue_memory_put(&q->memory, &items[i]) ? 0 : -1;
	}
	free(items);
	return (result);
}

static int
load_dead(struct queue *q)
{
	unsigned n, damaged;
	struct queue_item *items = queue_items(q, true, &n, &damaged);
	char name[QUEUE_FILE_SIZE];
	int result = 0;

	if (items == NULL && n)
		return (-1);
	for (unsigned i = 0; i < n && result == 0; i++) {
		if (queue_get(q, items[i].delivery, items[i].target) == NULL) {
			result = remember_dead(q, &items[i]);
			continue;
		}
		/* A crash on the way from one to the other has left both: it is tried again. */
		queue_item_file(name, items[i].delivery, items[i].target);
		if (queue_item_remove(q->dead, name))
			log_errno(LOG_LEVEL_ERROR, "dead letter not removed", "delivery",
			    items[i].delivery, NULL);
	}
	free(items);
	return (result);
}

static int
load(struct queue *q)
{
	return (load_waiting(q) || load_dead(q) ? -1 : 0);
}

int
queue_put(struct queue *q, const struct queue_item *item)
{
	int result = queue_item_write(q->waiting, item, queue_unix(item->next)), error = errno;
	struct queue_entry *e = queue_memory_get(&q->memory, item->delivery, item->target);

	if (e && e->item.unsaved)
		q->unsaved--;
	if ((e = queue_memory_put(&q->memory, item)) == NULL) {
		/* Where it is on disk, queue_refresh() finds it when there is memory again. */
		log_errno(LOG_LEVEL_ERROR, "retry postponed", "delivery", item->delivery, NULL);
		errno = error;
		return (result);
	}
	e->item.unsaved = result != 0;
	q->unsaved += e->item.unsaved;
	errno = error;
	return (result);
}

static void
forget(struct queue *q, const char *delivery, const char *target)
{
	struct queue_entry *e = queue_memory_get(&q->memory, delivery, target);

	if (e == NULL)
		return;
	q->unsaved -= e->item.unsaved;
	queue_memory_remove(&q->memory, e);
}

int
queue_remove(struct queue *q, const char *delivery, const char *target)
{
	char name[QUEUE_FILE_SIZE];

	if (queue_get(q, delivery, target) == NULL)
		return (0);
	queue_item_file(name, delivery, target);
	forget(q, delivery, target);
	return (queue_item_remove(q->waiting, name));
}

/* Never in both: a "fluidhook retry" may take it back as soon as it is dead. */
int
queue_dead_letter(struct queue *q, const struct queue_item *item)
{
	char name[QUEUE_FILE_SIZE];

	queue_item_file(name, item->delivery, item->target);
	if (queue_item_write(q->waiting, item, time(NULL)) ||
	    renameat(q->waiting, name, q->dead, name) || sync_directory(q->dead) ||
	    sync_directory(q->waiting))
		return (-1);
	if (remember_dead(q, item))
		log_errno(LOG_LEVEL_ERROR, "dead letter not remembered", "delivery", item->delivery,
		    NULL);
	forget(q, item->delivery, item->target);
	return (0);
}

static bool
was_given_up(const struct queue *q, const char *what, const char *target)
{
	unsigned char digest[DIGEST_LEN];

	digest_of(digest, what, target);
	return (*what && digest_set_find(&q->memory.dead, digest) == RUNS_GIVEN_UP);
}

/* It is tried again. */
static void
forget_dead(struct queue *q, const char *what, const char *target)
{
	if (was_given_up(q, what, target))
		digest_set_add(&q->memory.dead, what, target, RUNS_FAILED);
}

bool
queue_has(const struct queue *q, const char *delivery, const char *key, const char *target)
{
	return (queue_memory_get(&q->memory, delivery, target) != NULL ||
	    queue_memory_has_key(&q->memory, key, target) || was_given_up(q, delivery, target) ||
	    was_given_up(q, key, target));
}

const struct queue_item *
queue_get(const struct queue *q, const char *delivery, const char *target)
{
	const struct queue_entry *e = queue_memory_get(&q->memory, delivery, target);

	return (e ? &e->item : NULL);
}

const struct queue_item *
queue_due(struct queue *q, int64_t now)
{
	struct queue_entry *e = queue_memory_first(&q->memory);

	if (e == NULL || e->item.next > now)
		return (NULL);
	queue_memory_take(&q->memory, e);
	return (&e->item);
}

void
queue_postpone(struct queue *q, const struct queue_item *item, int64_t next)
{
	struct queue_entry *e = queue_memory_get(&q->memory, item->delivery, item->target);

	if (e)
		queue_memory_schedule(&q->memory, e, next);
}

int64_t
queue_next(const struct queue *q)
{
	const struct queue_entry *e = queue_memory_first(&q->memory);

	return (e == NULL ? 0 : e->item.next > 0 ? e->item.next : 1);
}

static void
make_due(void *user, struct queue_entry *e)
{
	void **pair = user;

	if (e->item.for_credentials && e->at != SIZE_MAX)
		queue_memory_schedule(pair[0], e, *(const int64_t *)pair[1]);
}

void
queue_wake_credentials(struct queue *q, int64_t now)
{
	queue_memory_each(&q->memory, make_due, (void *[]){ &q->memory, &now });
}

/* Take in a file that is not known. */
static void
refresh_item(struct queue *q, const char *name)
{
	struct queue_item item;

	if (queue_memory_get_file(&q->memory, name) ||
	    queue_item_read_waiting(q->waiting, name, &item) ||
	    queue_get(q, item.delivery, item.target))
		return;
	queue_memory_put(&q->memory, &item);
	forget_dead(q, item.delivery, item.target);
	forget_dead(q, item.key, item.target);
}

void
queue_refresh(struct queue *q)
{
	const char *name;
	struct dir d;
	int next = dir_open(&d, q->waiting, ".");

	while (next == 0 && (next = dir_next(&d, &name)) == 1) {
		next = 0;
		if (is_item(name))
			refresh_item(q, name);
	}
	/* Once, and not each time for as long as it lasts. */
	if (next == -1 && !q->hindered)
		log_errno(LOG_LEVEL_ERROR, "queue cannot be read", "directory",
		    layout_path(LAYOUT_WAITING), NULL);
	q->hindered = next == -1;
	dir_close(&d);
}

/* One go at writing what is in memory alone. */
struct saving {
	struct queue *q;
	void (*lost)(const struct queue_item *item);
	int error;
};

static void
save_one(void *user, struct queue_entry *e)
{
	struct saving *s = user;

	if (!e->item.unsaved)
		return;
	if (queue_item_write(s->q->waiting, &e->item, queue_unix(e->item.next)) == 0) {
		e->item.unsaved = false;
		s->q->unsaved--;
		return;
	}
	s->error = errno;
	if (s->lost)
		s->lost(&e->item);
}

int
queue_save_again(struct queue *q, void (*lost)(const struct queue_item *item))
{
	struct saving s = { .q = q, .lost = lost };

	if (q->unsaved)
		queue_memory_each(&q->memory, save_one, &s);
	errno = s.error;
	return (s.error ? -1 : 0);
}

/* Dead letters */

/* Move it from the dead to those that wait. The directory of the dead is locked. */
static int
requeue(struct queue *q, const char *name)
{
	struct queue_item item;

	/* As it is now: another process may have taken it back since it was listed. */
	if (queue_item_read(q->dead, name, &item))
		return (-1);
	item.attempts = 0;
	/* Never in both: a worker that runs can have given it up again by the time the old one goes. */
	if (queue_item_write(q->dead, &item, time(NULL)) ||
	    renameat(q->dead, name, q->waiting, name) || sync_directory(q->waiting) ||
	    sync_directory(q->dead))
		return (-1);
	return (0);
}

int
queue_requeue(struct queue *q, const struct queue_item *item)
{
	char name[QUEUE_FILE_SIZE];
	int result, error;

	queue_item_file(name, item->delivery, item->target);
	if (lock_file(q->dead, REQUEUE_WAIT_MS))
		return (-1);
	result = requeue(q, name);
	error = errno;
	flock(q->dead, LOCK_UN);
	errno = error;
	return (result);
}
