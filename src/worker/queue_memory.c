#include "worker/queue_memory.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS_MIN = 256 };

/* FNV-1a of a text and a target. */
static size_t
hash_of(const char *a, const char *b)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *a; a++)
		hash = (hash ^ (unsigned char)*a) * 0x100000001b3;
	hash *= 0x100000001b3;
	/* All most specific hooks are one: the name can change while a delivery waits. */
	for (; *b && !target_is_most_specific(b); b++)
		hash = (hash ^ (unsigned char)*b) * 0x100000001b3;
	return ((size_t)(hash ^ hash >> 32));
}

static bool
is_same_target(const char *a, const char *b)
{
	return (strcmp(a, b) == 0 || (target_is_most_specific(a) && target_is_most_specific(b)));
}

static struct queue_entry **
name_bucket(const struct queue_memory *m, const char *file)
{
	return (&m->by_name[hash_of(file, "") & (m->n_buckets - 1)]);
}

static struct queue_entry **
key_bucket(const struct queue_memory *m, const char *key, const char *target)
{
	return (&m->by_key[hash_of(key, target) & (m->n_buckets - 1)]);
}

static void
link_entry(struct queue_memory *m, struct queue_entry *e)
{
	struct queue_entry **name = name_bucket(m, e->file);
	struct queue_entry **key = key_bucket(m, e->item.key, e->item.target);

	e->next_name = *name;
	*name = e;
	e->next_key = *key;
	*key = e;
}

static void
unlink_entry(struct queue_memory *m, struct queue_entry *e)
{
	struct queue_entry **at;

	for (at = name_bucket(m, e->file); *at != e; at = &(*at)->next_name)
		;
	*at = e->next_name;
	for (at = key_bucket(m, e->item.key, e->item.target); *at != e; at = &(*at)->next_key)
		;
	*at = e->next_key;
}

/* Have more buckets than items. Returns 0, or -1 with errno ENOMEM. */
static int
grow(struct queue_memory *m)
{
	struct queue_memory larger = *m;

	larger.n_buckets = m->n_buckets ? 2 * m->n_buckets : BUCKETS_MIN;
	larger.by_name = calloc(larger.n_buckets, sizeof(*larger.by_name));
	larger.by_key = calloc(larger.n_buckets, sizeof(*larger.by_key));
	if (larger.by_name == NULL || larger.by_key == NULL) {
		free(larger.by_name);
		free(larger.by_key);
		return (-1);
	}
	for (size_t i = 0; i < m->n_buckets; i++)
		for (struct queue_entry *e = m->by_name[i], *next; e; e = next) {
			next = e->next_name;
			link_entry(&larger, e);
		}
	free(m->by_name);
	free(m->by_key);
	*m = larger;
	return (0);
}

/* The heap */

static bool
is_before(const struct queue_entry *a, const struct queue_entry *b)
{
	if (a->item.next != b->item.next)
		return (a->item.next < b->item.next);
	return (strcmp(a->item.delivery, b->item.delivery) < 0);
}

static void
place(struct queue_memory *m, size_t at, struct queue_entry *e)
{
	m->heap[at] = e;
	e->at = at;
}

static void
sift_up(struct queue_memory *m, size_t at)
{
	struct queue_entry *e = m->heap[at];

	for (; at && is_before(e, m->heap[(at - 1) / 2]); at = (at - 1) / 2)
		place(m, at, m->heap[(at - 1) / 2]);
	place(m, at, e);
}

static void
sift_down(struct queue_memory *m, size_t at)
{
	struct queue_entry *e = m->heap[at];
	size_t child;

	while ((child = 2 * at + 1) < m->n_heap) {
		if (child + 1 < m->n_heap && is_before(m->heap[child + 1], m->heap[child]))
			child++;
		if (!is_before(m->heap[child], e))
			break;
		place(m, at, m->heap[child]);
		at = child;
	}
	place(m, at, e);
}

void
queue_memory_take(struct queue_memory *m, struct queue_entry *e)
{
	size_t at = e->at;

	if (at == SIZE_MAX)
		return;
	e->at = SIZE_MAX;
	if (at == --m->n_heap)
		return;
	e = m->heap[m->n_heap];
	place(m, at, e);
	sift_up(m, at);
	sift_down(m, e->at);
}

/* There is room in the heap for every item: queue_memory_put() sees to that. */
void
queue_memory_schedule(struct queue_memory *m, struct queue_entry *e, int64_t next)
{
	queue_memory_take(m, e);
	e->item.next = next;
	place(m, m->n_heap++, e);
	sift_up(m, e->at);
}

struct queue_entry *
queue_memory_first(const struct queue_memory *m)
{
	return (m->n_heap ? m->heap[0] : NULL);
}

/* All */

static int
make_room(struct queue_memory *m)
{
	size_t cap = m->cap_heap ? 2 * m->cap_heap : 64;
	void *more;

	if (m->n + 1 > m->cap_heap) {
		if ((more = reallocarray(m->heap, cap, sizeof(*m->heap))) == NULL)
			return (-1);
		m->heap = more;
		m->cap_heap = cap;
	}
	return (m->n + 1 > m->n_buckets ? grow(m) : 0);
}

struct queue_entry *
queue_memory_put(struct queue_memory *m, const struct queue_item *item)
{
	struct queue_entry *e = queue_memory_get(m, item->delivery, item->target);

	if (e) {
		unlink_entry(m, e);
	} else {
		if (make_room(m) || (e = malloc(sizeof(*e))) == NULL)
			return (NULL);
		e->at = SIZE_MAX;
		m->n++;
	}
	e->item = *item;
	queue_item_file(e->file, item->delivery, item->target);
	link_entry(m, e);
	queue_memory_schedule(m, e, item->next);
	return (e);
}

struct queue_entry *
queue_memory_get_file(const struct queue_memory *m, const char *file)
{
	struct queue_entry *e;

	if (m->n == 0)
		return (NULL);
	for (e = *name_bucket(m, file); e && strcmp(e->file, file) != 0; e = e->next_name)
		;
	return (e);
}

struct queue_entry *
queue_memory_get(const struct queue_memory *m, const char *delivery, const char *target)
{
	char file[QUEUE_FILE_SIZE];

	queue_item_file(file, delivery, target);
	return (queue_memory_get_file(m, file));
}

bool
queue_memory_has_key(const struct queue_memory *m, const char *key, const char *target)
{
	if (m->n == 0 || *key == '\0')
		return (false);
	for (const struct queue_entry *e = *key_bucket(m, key, target); e; e = e->next_key)
		if (strcmp(e->item.key, key) == 0 && is_same_target(e->item.target, target))
			return (true);
	return (false);
}

void
queue_memory_remove(struct queue_memory *m, struct queue_entry *e)
{
	queue_memory_take(m, e);
	unlink_entry(m, e);
	m->n--;
	free(e);
}

void
queue_memory_each(struct queue_memory *m, void (*each)(void *user, struct queue_entry *e),
    void *user)
{
	for (size_t i = 0; i < m->n_buckets; i++)
		for (struct queue_entry *e = m->by_name[i]; e; e = e->next_name)
			each(user, e);
}

void
queue_memory_free(struct queue_memory *m)
{
	for (size_t i = 0; i < m->n_buckets; i++)
		for (struct queue_entry *e = m->by_name[i], *next; e; e = next) {
			next = e->next_name;
			free(e);
		}
	free(m->by_name);
	free(m->by_key);
	free(m->heap);
	digest_set_free(&m->dead);
	*m = (struct queue_memory){ .n = 0 };
}
