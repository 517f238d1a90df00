#include "worker/waiting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct dead {
	char delivery[UUID_SIZE];
	char key[RUNS_KEY_SIZE];
};

struct waiting {
	struct queue *queue;
	struct queue_item *items; /* by delivery, which is by time */
	size_t n, cap;
	struct dead *dead;
	size_t n_dead, cap_dead;
	bool hindered; /* the directory could not be read when it was last looked at */
};

/* Where the first item is that is not before this delivery. */
static size_t
find(const struct waiting *w, const char *delivery)
{
	size_t low = 0, high = w->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(w->items[middle].delivery, delivery) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return (low);
}

static struct queue_item *
get(const struct waiting *w, const char *delivery)
{
	size_t at = find(w, delivery);

	return (at < w->n && strcmp(w->items[at].delivery, delivery) == 0 ? &w->items[at] : NULL);
}

static void
add_dead(struct waiting *w, const struct queue_item *item)
{
	size_t cap = w->cap_dead ? 2 * w->cap_dead : 64;
	struct dead *one;
	void *more;

	if (w->n_dead == w->cap_dead) {
		if ((more = reallocarray(w->dead, cap, sizeof(*w->dead))) == NULL)
			return;
		w->dead = more;
		w->cap_dead = cap;
	}
	one = &w->dead[w->n_dead++];
	memcpy(one->delivery, item->delivery, sizeof(one->delivery));
	memcpy(one->key, item->key, sizeof(one->key));
}

static int
read_waiting(struct waiting *w)
{
	unsigned n, damaged;
	struct queue_item *items = queue_items(w->queue, false, &n, &damaged);

	if (items == NULL && n)
		return (-1);
	for (unsigned i = 0; i < n; i++)
		waiting_put(w, &items[i]);
	free(items);
	return (0);
}

static int
read_dead(struct waiting *w)
{
	unsigned n, damaged;
	struct queue_item *items = queue_items(w->queue, true, &n, &damaged);

	if (items == NULL && n)
		return (-1);
	for (unsigned i = 0; i < n; i++)
		/* A crash on the way from one to the other has left both: it is tried again. */
		if (get(w, items[i].delivery) == NULL)
			add_dead(w, &items[i]);
		else if (queue_drop_dead_letter(w->queue, &items[i]))
			log_errno(LOG_LEVEL_ERROR, "dead letter not removed", "delivery",
			    items[i].delivery, NULL);
	free(items);
	return (0);
}

struct waiting *
waiting_new(struct queue *q)
{
	struct waiting *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return (NULL);
	w->queue = q;
	if (read_waiting(w) || read_dead(w)) {
		waiting_free(w);
		return (NULL);
	}
	return (w);
}

void
waiting_free(struct waiting *w)
{
	if (w == NULL)
		return;
	free(w->items);
	free(w->dead);
	free(w);
}

void
waiting_put(struct waiting *w, const struct queue_item *item)
{
	size_t at = find(w, item->delivery), cap = w->cap ? 2 * w->cap : 64;
	void *more;

	for (size_t i = 0; i < w->n_dead; i++)
		if (strcmp(w->dead[i].delivery, item->delivery) == 0)
			w->dead[i--] = w->dead[--w->n_dead];
	if (at < w->n && strcmp(w->items[at].delivery, item->delivery) == 0) {
		w->items[at] = *item;
		return;
	}
	if (w->n == w->cap) {
		if ((more = reallocarray(w->items, cap, sizeof(*w->items))) == NULL) {
			/* It is on disk: waiting_refresh() finds it when there is memory again. */
			log_errno(LOG_LEVEL_ERROR, "retry put off", "delivery", item->delivery,
			    NULL);
			return;
		}
		w->items = more;
		w->cap = cap;
	}
	memmove(w->items + at + 1, w->items + at, (w->n - at) * sizeof(*w->items));
	w->items[at] = *item;
	w->n++;
}

bool
waiting_remove(struct waiting *w, const char *delivery)
{
	struct queue_item *item = get(w, delivery);

	if (item == NULL)
		return (false);
	w->n--;
	memmove(item, item + 1, (size_t)(w->items + w->n - item) * sizeof(*item));
	return (true);
}

void
waiting_dead_letter(struct waiting *w, const struct queue_item *item)
{
	waiting_remove(w, item->delivery);
	add_dead(w, item);
}

static bool
is_same(const struct queue_item *item, const char *delivery, const char *key)
{
	return (strcmp(item->delivery, delivery) == 0 || (*key && strcmp(item->key, key) == 0));
}

bool
waiting_has(const struct waiting *w, const struct queue_item *item)
{
	for (size_t i = 0; i < w->n; i++)
		if (is_same(item, w->items[i].delivery, w->items[i].key))
			return (true);
	for (size_t i = 0; i < w->n_dead; i++)
		if (is_same(item, w->dead[i].delivery, w->dead[i].key))
			return (true);
	return (false);
}

void
waiting_postpone(struct waiting *w, const char *delivery, int64_t next)
{
	struct queue_item *item = get(w, delivery);

	if (item)
		item->next = next;
}

void
waiting_wake_credentials(struct waiting *w, int64_t now)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->items[i].for_credentials)
			w->items[i].next = now;
}

bool
waiting_next(const struct waiting *w, char cursor[UUID_SIZE], struct queue_item *item)
{
	size_t at = find(w, cursor);

	if (at < w->n && strcmp(w->items[at].delivery, cursor) == 0)
		at++;
	if (at == w->n)
		return (false);
	*item = w->items[at];
	memcpy(cursor, item->delivery, UUID_SIZE);
	return (true);
}

static void
add_unknown(void *user, const char *delivery)
{
	struct waiting *w = user;
	struct queue_item item;

	if (get(w, delivery) == NULL && queue_read(w->queue, delivery, &item) == 0)
		waiting_put(w, &item);
}

void
waiting_refresh(struct waiting *w)
{
	bool hindered = queue_each_waiting(w->queue, add_unknown, w) != 0;

	/* Once, and not each time for as long as it lasts. */
	if (hindered && !w->hindered)
		log_errno(LOG_LEVEL_ERROR, "queue cannot be read", "directory", "queue/waiting",
		    NULL);
	w->hindered = hindered;
}
