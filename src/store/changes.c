#include "store/changes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "store/durable.h"
#include "store/glance.h"
#include "store/index.h"
#include "store/marker.h"

/* One record. */
struct change {
	struct installation *i;
	struct lifecycle_places was;
	enum changes_turn turn;
	bool keeps_text; /* the file has the right text already */
	/* While it is committed: the key directories that need a sync, and the file with the new text. */
	int shop, company, fd;
	bool written; /* that file is there, and has not yet its final name */
};

void
changes_begin(struct changes *c, struct state *s)
{
	*c = (struct changes){ .state = s };
}

static struct change *
find(const struct changes *c, const char *record)
{
	for (unsigned n = 0; n < c->n; n++)
		if (strcmp(c->list[n].i->record, record) == 0)
			return (&c->list[n]);
	return (NULL);
}

bool
changes_has(const struct changes *c, const char *record)
{
	return (find(c, record) != NULL);
}

const struct installation *
changes_nth(const struct changes *c, unsigned n)
{
	return (n < c->n ? c->list[n].i : NULL);
}

static int
add(struct changes *c, const struct change *new)
{
	struct change *known = find(c, new->i->record), *list;

	if (known) {
		/* It has not been written: where it belonged, and its turn if that is later, remain. */
		installation_free(known->i);
		known->i = new->i;
		known->keeps_text = known->keeps_text && new->keeps_text;
		if (new->turn == CHANGES_LAST)
			known->turn = CHANGES_LAST;
		return (0);
	}
	if (c->n == c->size) {
		if ((list = reallocarray(c->list, 2 * c->size + 4, sizeof(*list))) == NULL) {
			installation_free(new->i);
			return (-1);
		}
		c->list = list;
		c->size = 2 * c->size + 4;
	}
	c->list[c->n++] = *new;
	return (0);
}

int
changes_put(struct changes *c, struct installation *i, const struct lifecycle_places *was,
    enum changes_turn turn)
{
	struct change new = { .i = i, .turn = turn, .shop = -1, .company = -1, .fd = -1 };

	if (was)
		new.was = *was;
	return (add(c, &new));
}

int
changes_confirm(struct changes *c, struct installation *i)
{
	struct change new = { .i = i, .keeps_text = true, .shop = -1, .company = -1, .fd = -1 };

	lifecycle_places(i, &new.was);
	return (add(c, &new));
}

void
changes_end(struct changes *c)
{
	for (unsigned n = 0; n < c->n; n++)
		installation_free(c->list[n].i);
	free(c->list);
	changes_begin(c, c->state);
}

/* What has to be synced beside the key directories and the files. */
struct dirty {
	enum dirty_index { CLEAN, DOUBTFUL, ENTERED } shops, companies;
	bool pending, unconfirmed;
};

/*
 * Make the index entry of a record. A record says only what the indexes had before it: where the entry is
 * there and the record said so, it is on stable storage. *fd: the directory of the key, if it needs a sync.
 * Returns 0, or -1 with errno set.
 */
static int
enter(int index, const char *key, const char *was, const char *record, bool complete, int *fd,
    enum dirty_index *parent)
{
	enum index_made made;

	if (*key == '\0')
		return (0);
	if ((*fd = index_enter(index, key, record, &made)) == -1)
		return (-1);
	if (made == INDEX_WAS_THERE && complete && strcmp(key, was) == 0) {
		file_close(*fd);
		*fd = -1;
		return (0);
	}
	/* If the directory of the key was there: whoever made it may have died before its entry was synced. */
	if (made == INDEX_KEY_MADE)
		*parent = ENTERED;
	else if (*parent == CLEAN)
		*parent = DOUBTFUL;
	return (0);
}

static int
make_entries(struct changes *c, struct change *n, bool complete, struct dirty *d)
{
	const struct state *s = c->state;
	struct lifecycle_places is;

	lifecycle_places(n->i, &is);
	return (
	    enter(s->shops, is.shop, n->was.shop, n->i->record, complete, &n->shop, &d->shops) ||
		    enter(s->companies, is.company, n->was.company, n->i->record, complete,
			&n->company, &d->companies) ?
		-1 :
		0);
}

static int
make_markers(const struct state *s, const struct change *n, struct dirty *d)
{
	const struct installation *i = n->i;

	if (i->status == INSTALLATION_UNCONFIRMED) {
		d->unconfirmed = true;
		return (marker_make(s->unconfirmed, i->record));
	}
	if (i->exchange_token == NULL)
		return (0);
	d->pending = true;
	return (marker_make(s->pending, i->record));
}

static void
name_new(char out[NAME_SIZE + 16], const struct change *n)
{
	snprintf(out, NAME_SIZE + 16, ".%s.json.new", n->i->record);
}

/* Write the new text to a file of its own. Returns 0, or -1 with errno set. */
static int
write_new(const struct changes *c, struct change *n)
{
	int dir = c->state->installations, result = -1;
	struct buf text = { 0 };
	char name[NAME_SIZE + 16];

	name_new(name, n);
	if (installation_json(n->i, &text) == 0)
		n->fd = durable_create(dir, name, 0600);
	if (n->fd != -1) {
		n->written = true;
		result = file_write_all(n->fd, text.data, text.len);
		/* Several of them: the first one that is synced then waits for all. */
		if (result == 0 && c->n > 1)
			sync_file_range(n->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	}
	buf_wipe(&text);
	return (result);
}

static int
sync_and_close(const struct state *s, int *fd, int (*sync)(int fd))
{
	int result;

	if (*fd == -1)
		return (0);
	/* On a slow disk, all of them take longer than others wait for one who does nothing. */
	state_lock_renew(s);
	result = sync(*fd);
	file_close(*fd);
	*fd = -1;
	return (result);
}

static int
sync_places(const struct state *s, struct change *n)
{
	return (sync_and_close(s, &n->shop, sync_directory) ||
		    sync_and_close(s, &n->company, sync_directory) ?
		-1 :
		0);
}

/*
 * Sync an index. If no key was entered now, that is needed only if the directory has changed since this
 * process last synced it. *synced: how it looked then.
 */
static int
sync_index(int index, enum dirty_index dirty, struct stat *synced)
{
	struct stat st;

	if (dirty == CLEAN)
		return (0);
	if (fstat(index, &st))
		return (-1);
	if (dirty == DOUBTFUL && stat_same(&st, synced))
		return (0);
	if (sync_directory(index))
		return (-1);
	/* What changed just now could change again and look the same. */
	*synced = stat_settled(&st) ? st : (struct stat){ 0 };
	return (0);
}

static int
sync_all(struct changes *c, const struct dirty *d)
{
	const struct state *s = c->state;

	for (unsigned n = 0; n < c->n; n++)
		if (sync_and_close(s, &c->list[n].fd, fsync))
			return (-1);
	for (unsigned n = 0; n < c->n; n++)
		if (sync_places(s, &c->list[n]))
			return (-1);
	state_lock_renew(s);
	return (sync_index(s->shops, d->shops, &s->seen->shops_synced) ||
		    sync_index(s->companies, d->companies, &s->seen->companies_synced) ||
		    (d->pending && sync_directory(s->pending)) ||
		    (d->unconfirmed && sync_directory(s->unconfirmed)) ?
		-1 :
		0);
}

/* Everything that has to be on stable storage before any record says it. */
static int
prepare(struct changes *c)
{
	bool complete = index_is_complete(c->state);
	struct dirty d = { 0 };

	for (unsigned n = 0; n < c->n; n++) {
		struct change *one = &c->list[n];

		if (make_markers(c->state, one, &d) || make_entries(c, one, complete, &d) ||
		    (!one->keeps_text && write_new(c, one)))
			return (-1);
		/* However many one installation supersedes, no more files are open at once. */
		if (n >= CHANGES_MAX &&
		    (sync_and_close(c->state, &one->fd, fsync) || sync_places(c->state, one)))
			return (-1);
	}
	return (sync_all(c, &d));
}

/* Give the records of this turn their new text. Returns 0, or -1 with errno set. */
static int
replace(struct changes *c, enum changes_turn turn)
{
	int dir = c->state->installations, result = 0;
	char name[NAME_SIZE + 16], file[NAME_SIZE + 8];
	bool any = false;

	for (unsigned n = 0; n < c->n && result == 0; n++) {
		struct change *one = &c->list[n];

		if (one->turn != turn)
			continue;
		any = true;
		if (!one->written)
			continue;
		name_new(name, one);
		snprintf(file, sizeof(file), "%s.json", one->i->record);
		if ((result = renameat(dir, name, dir, file)) == 0)
			one->written = false;
	}
	state_lock_renew(c->state);
	if (result == 0 && any)
		result = sync_directory(dir);
	/* Also after a failure: a new record may be there, and only its directory's sync have failed. */
	if (any)
		glance_forget();
	return (result);
}

/* Where nothing came of it. */
static void
clean_up(struct changes *c)
{
	char name[NAME_SIZE + 16];
	int saved = errno;

	for (unsigned n = 0; n < c->n; n++) {
		struct change *one = &c->list[n];

		file_close(one->shop);
		file_close(one->company);
		file_close(one->fd);
		one->shop = one->company = one->fd = -1;
		name_new(name, one);
		if (one->written)
			unlinkat(c->state->installations, name, 0);
		one->written = false;
	}
	errno = saved;
}

/* Remove the record's entries at these places where it does not belong. */
static int
leave(struct state *s, const struct installation *i, const struct lifecycle_places *was)
{
	struct lifecycle_places is;

	lifecycle_places(i, &is);
	if (*was->shop && strcmp(was->shop, is.shop) != 0 &&
	    index_remove(s->shops, was->shop, i->record))
		return (-1);
	if (*was->company && strcmp(was->company, is.company) != 0 &&
	    index_remove(s->companies, was->company, i->record))
		return (-1);
	return (0);
}

int
changes_leave_former(struct state *s, const struct installation *i)
{
	struct lifecycle_places ended, moved;

	lifecycle_places_of(&ended, i->fluid_shop, i->fluid_company_id);
	lifecycle_places_of(&moved, i->former_fluid_shop, i->former_fluid_company_id);
	return (leave(s, i, &ended) || leave(s, i, &moved) ? -1 : 0);
}

static int
finish(struct changes *c)
{
	struct state *s = c->state;

	for (unsigned n = 0; n < c->n; n++) {
		const struct installation *i = c->list[n].i;

		if (c->list[n].keeps_text)
			continue;
		if (changes_leave_former(s, i))
			return (-1);
		if (i->status != INSTALLATION_UNCONFIRMED)
			marker_clear(s->unconfirmed, i->record);
		if (i->exchange_token == NULL)
			marker_clear(s->pending, i->record);
	}
	return (0);
}

int
changes_commit(struct changes *c)
{
	if (c->n == 0)
		return (0);
	if (prepare(c) || replace(c, CHANGES_FIRST) || replace(c, CHANGES_LAST)) {
		clean_up(c);
		return (-1);
	}
	return (finish(c));
}
