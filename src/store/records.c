#include "store/records.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/durable.h"
#include "store/glance.h"

/* Bounds the memory: a record is some 600 bytes. */
enum { SLOTS = 1024 };

struct entry {
	struct record record; /* first: what callers hold */
	struct installation *owned;
	struct stat st;
	unsigned users; /* callers, and one for the slot */
	bool settled;
	struct glance seen; /* that the file still is what was read */
};

struct records {
	int dir;
	pthread_mutex_t mutex;
	struct entry *slots[SLOTS];
};

struct records *
records_new(int dir)
{
	struct records *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return (NULL);
	r->dir = dir;
	pthread_mutex_init(&r->mutex, NULL);
	return (r);
}

static void
entry_release(struct entry *e)
{
	if (e == NULL || --e->users)
		return;
	installation_free(e->owned);
	free(e);
}

void
records_free(struct records *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		entry_release(r->slots[i]);
	pthread_mutex_destroy(&r->mutex);
	free(r);
}

/* FNV-1a. */
static size_t
slot_of(const char *name)
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return (h % SLOTS);
}

/*
 * The entry of this name in its slot, or NULL. With st == NULL, the last look at the file has to be a recent
 * one; else the file looks like this at the time `now`.
 */
static struct entry *
find(struct records *r, const char *name, const struct stat *st, int64_t now)
{
	struct entry *e;

	pthread_mutex_lock(&r->mutex);
	e = r->slots[slot_of(name)];
	if (e &&
	    (strcmp(e->owned->record, name) != 0 ||
		(st ? !stat_same(&e->st, st) : !glance_is_recent(&e->seen, now))))
		e = NULL;
	if (e) {
		e->users++;
		if (st)
			glance_note(&e->seen, now);
	}
	pthread_mutex_unlock(&r->mutex);
	return (e);
}

const struct record *
records_get(struct records *r, const char *name)
{
	size_t slot = slot_of(name);
	char file[NAME_SIZE + 8];
	struct entry *e;
	struct stat st;
	int64_t now = glance_now();

	if ((e = find(r, name, NULL, now)) != NULL)
		return (&e->record);
	snprintf(file, sizeof(file), "%s.json", name);
	if (fstatat(r->dir, file, &st, AT_SYMLINK_NOFOLLOW))
		return (NULL);
	if ((e = find(r, name, &st, now)) != NULL)
		return (&e->record);

	if ((e = calloc(1, sizeof(*e))) == NULL)
		return (NULL);
	if ((e->owned = installation_load(r->dir, name)) == NULL) {
		free(e);
		return (NULL);
	}
	e->record.installation = e->owned;
	e->st = st;
	e->users = 1;
	glance_note(&e->seen, now);
	if (stat_settled(&st)) {
		pthread_mutex_lock(&r->mutex);
		entry_release(r->slots[slot]);
		r->slots[slot] = e;
		e->users++;
		pthread_mutex_unlock(&r->mutex);
	}
	return (&e->record);
}

void
records_release(struct records *r, const struct record *record)
{
	if (record == NULL)
		return;
	pthread_mutex_lock(&r->mutex);
	entry_release((struct entry *)(uintptr_t)record);
	pthread_mutex_unlock(&r->mutex);
}

bool
records_is_settled(struct records *r, const struct record *record)
{
	bool settled;

	pthread_mutex_lock(&r->mutex);
	settled = ((const struct entry *)record)->settled;
	pthread_mutex_unlock(&r->mutex);
	return (settled);
}

void
records_settle(struct records *r, const char *name)
{
	const struct record *record = records_get(r, name);

	if (record == NULL)
		return;
	pthread_mutex_lock(&r->mutex);
	((struct entry *)(uintptr_t)record)->settled = true;
	pthread_mutex_unlock(&r->mutex);
	records_release(r, record);
}
