#include "store/cache.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/durable.h"

/*
 * A part has its own lock, so that threads seldom wait for each other. A bucket is a chain: the budget
 * of the receiver makes some two entries in each.
 */
enum { PARTS = 16, BUCKETS = 1024 };

/* What malloc() needs beside the block. */
enum { OVERHEAD = 16 };

TAILQ_HEAD(by_use, cache_entry);

struct part {
	pthread_mutex_t mutex;
	struct by_use by_use; /* the one used last comes last */
	size_t bytes;
	struct cache_entry *buckets[BUCKETS];
};

struct cache {
	size_t budget; /* of each part */
	struct part parts[PARTS];
};

struct cache *
cache_new(size_t budget)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return (NULL);
	c->budget = budget / PARTS;
	for (size_t i = 0; i < PARTS; i++) {
		pthread_mutex_init(&c->parts[i].mutex, NULL);
		TAILQ_INIT(&c->parts[i].by_use);
	}
	return (c);
}

/* FNV-1a. */
static uint32_t
hash_of(const char *key)
{
	uint32_t h = 2166136261u;

	for (; *key; key++)
		h = (h ^ (unsigned char)*key) * 16777619u;
	return (h);
}

static struct part *
part_of(struct cache *c, uint32_t hash)
{
	return (&c->parts[hash % PARTS]);
}

/* Where the entry of this key is, or would be. The part's lock is held. */
static struct cache_entry **
place_of(struct part *p, uint32_t hash, const char *key)
{
	struct cache_entry **at = &p->buckets[hash / PARTS % BUCKETS];

	while (*at && ((*at)->hash != hash || strcmp((*at)->key, key) != 0))
		at = &(*at)->next;
	return (at);
}

static void
unref(struct cache_entry *e)
{
	if (--e->users)
		return;
	/* Keys and tokens. */
	explicit_bzero(e, e->size);
	free(e);
}

/* Take out what is there. The part's lock is held. */
static void
take_out(struct part *p, struct cache_entry **at)
{
	struct cache_entry *e = *at;

	*at = e->next;
	TAILQ_REMOVE(&p->by_use, e, use);
	p->bytes -= e->size + OVERHEAD;
	unref(e);
}

void
cache_free(struct cache *c)
{
	struct cache_entry *e;

	if (c == NULL)
		return;
	for (size_t i = 0; i < PARTS; i++) {
		struct part *p = &c->parts[i];

		while ((e = TAILQ_FIRST(&p->by_use)) != NULL)
			take_out(p, place_of(p, e->hash, e->key));
		pthread_mutex_destroy(&p->mutex);
	}
	free(c);
}

static void
note_look(struct cache_look *look, const struct stat *st)
{
	*look = (struct cache_look){
		.dev = st->st_dev,
		.ino = st->st_ino,
		.size = st->st_size,
		.changed = st->st_ctim,
		.modified = st->st_mtim,
	};
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
	return (a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec);
}

static bool
same_look(const struct cache_look *a, const struct cache_look *b)
{
	return (a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	    same_time(&a->changed, &b->changed) && same_time(&a->modified, &b->modified));
}

struct cache_entry *
cache_entry_new(const char *key, size_t size, const struct stat *st, int64_t now)
{
	size_t key_size = strlen(key) + 1;
	struct cache_entry *e = calloc(1, size + key_size);

	if (e == NULL)
		return (NULL);
	e->key = memcpy((char *)e + size, key, key_size);
	e->hash = hash_of(key);
	e->size = (uint32_t)(size + key_size);
	e->users = 1;
	note_look(&e->look, st);
	e->rested = stat_settled(st);
	glance_note(&e->seen, now);
	return (e);
}

void
cache_add(struct cache *c, struct cache_entry *e)
{
	struct part *p = part_of(c, e->hash);
	struct cache_entry **at, *oldest;

	if (e->size > c->budget)
		return;
	pthread_mutex_lock(&p->mutex);
	if (*(at = place_of(p, e->hash, e->key)) != NULL)
		take_out(p, at);
	while (
	    p->bytes + e->size + OVERHEAD > c->budget && (oldest = TAILQ_FIRST(&p->by_use)) != NULL)
		take_out(p, place_of(p, oldest->hash, oldest->key));
	at = &p->buckets[e->hash / PARTS % BUCKETS];
	e->next = *at;
	*at = e;
	TAILQ_INSERT_TAIL(&p->by_use, e, use);
	p->bytes += e->size + OVERHEAD;
	e->users++;
	pthread_mutex_unlock(&p->mutex);
}

struct cache_entry *
cache_find(struct cache *c, const char *key)
{
	uint32_t hash = hash_of(key);
	struct part *p = part_of(c, hash);
	struct cache_entry *e;

	pthread_mutex_lock(&p->mutex);
	if ((e = *place_of(p, hash, key)) != NULL) {
		TAILQ_REMOVE(&p->by_use, e, use);
		TAILQ_INSERT_TAIL(&p->by_use, e, use);
		e->users++;
	}
	pthread_mutex_unlock(&p->mutex);
	return (e);
}

bool
cache_is_recent(const struct cache_entry *e, int64_t now)
{
	return (glance_is_recent(&e->seen, now));
}

bool
cache_confirm(struct cache_entry *e, const struct stat *st, int64_t now)
{
	struct cache_look look;

	note_look(&look, st);
	if (!e->rested || !same_look(&e->look, &look))
		return (false);
	glance_note(&e->seen, now);
	return (true);
}

void
cache_drop(struct cache *c, const char *key)
{
	uint32_t hash = hash_of(key);
	struct part *p = part_of(c, hash);
	struct cache_entry **at;

	pthread_mutex_lock(&p->mutex);
	if (*(at = place_of(p, hash, key)) != NULL)
		take_out(p, at);
	pthread_mutex_unlock(&p->mutex);
}

void
cache_release(struct cache *c, struct cache_entry *e)
{
	struct part *p;

	if (e == NULL)
		return;
	p = part_of(c, e->hash);
	pthread_mutex_lock(&p->mutex);
	unref(e);
	pthread_mutex_unlock(&p->mutex);
}
