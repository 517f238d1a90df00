#include "store/reindex.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/dir.h"
#include "base/log.h"
#include "base/file.h"
#include "store/durable.h"
#include "store/index.h"
#include "store/installations.h"
#include "store/lifecycle.h"
#include "store/marker.h"

enum { STOPPED = 1, FAILED = -1 };

/* What is compared: an index or a directory of markers. */
struct comparing {
	struct state *state;
	struct reindex *r;
	const char *key; /* while a key of an index is looked through */
	bool sync;       /* entries may be there that are not on stable storage */
	int directory;
	const char *directory_name;
};

static bool
stopped(const struct comparing *c)
{
	return (c->r->stop && c->r->stop(c->r->user));
}

static void
note_change(struct comparing *c, bool added, const char *directory, const char *key,
    const char *record)
{
	char path[2 * NAME_SIZE + 64];

	if (added)
		c->r->added++;
	else
		c->r->removed++;
	if (c->r->changed == NULL)
		return;
	snprintf(path, sizeof(path), "%s/%s%s%s", directory, key, *key ? "/" : "", record);
	c->r->changed(c->r->user, added, path);
}

/* Whether an index has the link of a record. Returns 1, 0, or -1 with errno set. */
static int
has_entry(int directory, const char *key, const char *record)
{
	char path[2 * NAME_SIZE + 8], target[NAME_SIZE + 32], there[NAME_SIZE + 32];
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", key, record);
	snprintf(target, sizeof(target), "../../installations/%s.json", record);
	if ((n = readlinkat(directory, path, there, sizeof(there))) == -1)
		return (errno == ENOENT || errno == EINVAL ? 0 : -1);
	return ((size_t)n == strlen(target) && memcmp(there, target, (size_t)n) == 0);
}

/* Whether there is a marker. Returns 1, 0, or -1 with errno set. */
static int
has_marker(int directory, const char *record)
{
	struct stat st;

	if (fstatat(directory, record, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return (1);
	return (errno == ENOENT ? 0 : -1);
}

/* What a record has in directories that are derived from it. */
struct derived {
	struct lifecycle_places places;
	bool pending, unconfirmed;
};

static void
derive(struct derived *d, const struct installation *i)
{
	lifecycle_places(i, &d->places);
	d->unconfirmed = i->status == INSTALLATION_UNCONFIRMED;
	d->pending = i->exchange_token && !d->unconfirmed;
}

static int
add_entry(struct comparing *c, int directory, const char *name, const char *key, const char *record)
{
	int has = *key ? has_entry(directory, key, record) : 1;

	if (has)
		return (has == 1 ? 0 : FAILED);
	/* Until it is there, a look-up that finds nothing does not mean that there is nothing. */
	if (index_unmark(c->state) || index_link(directory, key, record))
		return (FAILED);
	note_change(c, true, name, key, record);
	return (0);
}

static int
add_marker(struct comparing *c, int directory, const char *name, const char *record, bool wanted)
{
	int has = wanted ? has_marker(directory, record) : 1;

	if (has)
		return (has == 1 ? 0 : FAILED);
	if (marker_set(directory, record))
		return (FAILED);
	note_change(c, true, name, "", record);
	return (0);
}

/* Add what a record lacks. The caller holds the lock. Returns 0, or FAILED with errno set. */
static int
complete_record(struct comparing *c, const char *record)
{
	struct state *s = c->state;
	struct installation *i = installation_load(s->installations, record);
	struct derived d;

	if (i == NULL)
		return (errno == ENOENT ? 0 : FAILED);
	derive(&d, i);
	installation_free(i);
	if (add_entry(c, s->shops, layout_path(LAYOUT_SHOPS), d.places.shop, record) ||
	    add_entry(c, s->companies, layout_path(LAYOUT_COMPANIES), d.places.company, record) ||
	    add_marker(c, s->pending, layout_path(LAYOUT_PENDING), record, d.pending) ||
	    add_marker(c, s->unconfirmed, layout_path(LAYOUT_UNCONFIRMED), record, d.unconfirmed))
		return (FAILED);
	return (0);
}

static bool
lacks(const struct state *s, const struct derived *d, const char *record)
{
	return ((*d->places.shop && has_entry(s->shops, d->places.shop, record) != 1) ||
	    (*d->places.company && has_entry(s->companies, d->places.company, record) != 1) ||
	    (d->pending && has_marker(s->pending, record) != 1) ||
	    (d->unconfirmed && has_marker(s->unconfirmed, record) != 1));
}

static int
locked(struct comparing *c, int (*act)(struct comparing *, const char *), const char *record)
{
	int result, saved;

	if (state_lock(c->state))
		return (FAILED);
	result = act(c, record);
	saved = errno;
	state_unlock(c->state);
	errno = saved;
	return (result);
}

static int
look_at_record(void *user, const char *file, struct installation *i)
{
	struct comparing *c = user;
	char record[NAME_SIZE];
	struct derived d;
	bool missing;

	if (i == NULL) {
		c->r->unreadable++;
		if (c->r->damaged)
			c->r->damaged(c->r->user, file);
		return (0);
	}
	c->r->records++;
	snprintf(record, sizeof(record), "%s", i->record);
	derive(&d, i);
	installation_free(i);
	missing = lacks(c->state, &d, record);
	if (c->r->dry) {
		c->r->added += missing;
		return (stopped(c) ? STOPPED : 0);
	}
	/* It may have changed, or be changing: what counts is what it says under the lock. */
	if (missing && locked(c, complete_record, record))
		return (FAILED);
	return (stopped(c) ? STOPPED : 0);
}

/* An entry of an index, and its record. */
enum entry { RIGHT, STALE, ORPHAN, UNKNOWN };

static enum entry
judge(const struct comparing *c, const char *record)
{
	struct installation *i = installation_load(c->state->installations, record);
	struct lifecycle_places p;

	if (i == NULL)
		return (errno == ENOENT ? ORPHAN : UNKNOWN);
	lifecycle_places(i, &p);
	installation_free(i);
	return (strcmp(c->directory == c->state->shops ? p.shop : p.company, c->key) == 0 ? RIGHT :
											    STALE);
}

/* Whether an entry is to be removed. One without a record may be all that is left of an installation. */
static bool
is_removable(const struct comparing *c, enum entry entry)
{
	return (entry == STALE || (entry == ORPHAN && c->r->remove_orphans));
}

/* Whether the entry is still there. Returns 1, 0, or FAILED with errno set. */
static int
is_there(const struct comparing *c, const char *record)
{
	char path[2 * NAME_SIZE];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", c->key, record);
	if (fstatat(c->directory, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return (1);
	return (errno == ENOENT ? 0 : FAILED);
}

/* Judge the entry again, now that nobody changes its record, and remove or count it. The caller holds the lock. */
static int
correct_entry(struct comparing *c, const char *record)
{
	int there = is_there(c, record);
	enum entry entry;

	if (there != 1)
		return (there);
	entry = judge(c, record);
	if (entry == ORPHAN && !c->r->remove_orphans)
		c->r->orphans++;
	if (!is_removable(c, entry))
		return (0);
	if (index_remove(c->directory, c->key, record))
		return (FAILED);
	note_change(c, false, c->directory_name, c->key, record);
	return (0);
}

static int
look_at_entry(void *user, const char *record)
{
	struct comparing *c = user;
	enum entry entry = judge(c, record);

	/* What looks wrong may be an install or uninstall that is being applied. */
	if (!c->r->dry && (entry == ORPHAN || entry == STALE)) {
		if (locked(c, correct_entry, record))
			return (FAILED);
	} else {
		c->r->orphans += entry == ORPHAN && !c->r->remove_orphans;
		c->r->removed += is_removable(c, entry);
	}
	return (stopped(c) ? STOPPED : 0);
}

/* Sync the directory of a key. One that is no directory is none of ours. */
static int
sync_key(int directory, const char *key)
{
	int fd = openat(directory, key, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int result = 0;

	if (fd == -1)
		return (errno == ENOENT || errno == ENOTDIR || errno == ELOOP ? 0 : FAILED);
	if (sync_directory(fd))
		result = FAILED;
	file_close(fd);
	return (result);
}

/* Remove stale entries of all keys of an index. Returns 0, STOPPED, or FAILED with errno set. */
static int
clear_index(struct comparing *c, int directory, const char *name)
{
	int result = 0, more;
	struct dir d;

	if (dir_open(&d, directory, "."))
		return (FAILED);
	c->directory = directory;
	c->directory_name = name;
	while (result == 0 && (more = dir_next(&d, &c->key)) != 0) {
		if (more == -1) {
			result = FAILED;
			break;
		}
		if (!name_is_safe(c->key, strlen(c->key)))
			continue;
		result = index_each_until(directory, c->key, look_at_entry, c);
		/* Something else than a directory of ours. */
		if (result == FAILED && (errno == ENOTDIR || errno == ELOOP))
			result = 0;
		if (result == 0 && c->sync)
			result = sync_key(directory, c->key);
	}
	dir_close(&d);
	return (result);
}

int
reindex(struct state *s, struct reindex *r)
{
	struct comparing c = { .state = s, .r = r };
	int result;

	r->records = r->added = r->removed = r->orphans = r->unreadable = 0;
	r->complete = index_is_complete(s);
	if ((result = installations_each(s->installations, look_at_record, &c)) != 0)
		goto out;
	/* Entries are made without a sync each, perhaps by a process that stopped before it had made all. */
	c.sync = !r->dry && (r->added || !r->complete);
	if ((result = clear_index(&c, s->shops, layout_path(LAYOUT_SHOPS))) != 0 ||
	    (result = clear_index(&c, s->companies, layout_path(LAYOUT_COMPANIES))) != 0)
		goto out;
	if (r->dry)
		goto out;
	if (c.sync && (sync_directory(s->shops) || sync_directory(s->companies)))
		result = FAILED;
	else if (r->unreadable == 0 && !index_is_complete(s))
		result = index_mark(s);
out:
	r->complete = index_is_complete(s);
	return (result);
}

static void
log_damaged(void *user, const char *file)
{
	(void)user;
	log_errno(LOG_LEVEL_ERROR, "record cannot be read: its index entries are not known", "file",
	    file, NULL);
}

int
reindex_logged(struct state *s, bool (*stop)(void *user), void *user)
{
	struct reindex r = { .stop = stop, .damaged = log_damaged, .user = user };
	char added[24], removed[24], orphans[24], unreadable[24];
	int result = reindex(s, &r);

	snprintf(added, sizeof(added), "%lu", r.added);
	snprintf(removed, sizeof(removed), "%lu", r.removed);
	snprintf(orphans, sizeof(orphans), "%lu", r.orphans);
	snprintf(unreadable, sizeof(unreadable), "%lu", r.unreadable);
	if (r.added || r.removed)
		log_line(LOG_LEVEL_WARN, "indexes did not agree with the records", "state_dir",
		    s->path, "added", added, "removed", removed, NULL);
	if (r.orphans)
		log_line(LOG_LEVEL_ERROR,
		    "records are missing that an index names; run \"fluidhook repair\"",
		    "state_dir", s->path, "entries", orphans, NULL);
	if (result == FAILED)
		log_errno(LOG_LEVEL_ERROR, "indexes cannot be compared with the records",
		    "state_dir", s->path, NULL);
	else if (result == 0 && !r.complete)
		log_line(LOG_LEVEL_ERROR,
		    "indexes are not complete: deliveries of an unknown shop get 503", "state_dir",
		    s->path, "unreadable_records", unreadable, NULL);
	return (result);
}
