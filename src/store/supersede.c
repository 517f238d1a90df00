#include "store/supersede.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "store/index.h"

/* The other installations of the same droplet for the same company that `mine` ends, being active. */
struct rivals {
	struct changes *changes;
	const struct installation *mine;
	struct installation **older;
	size_t n;
	bool outdone; /* a newer one is active */
	bool waits;   /* that one's record is still to be changed */
	bool failed;  /* with errno set */
};

/* Takes `other` over. Returns 0, or -1: ENOMEM. */
static int
add_older(struct rivals *r, struct installation *other)
{
	struct installation **more = reallocarray(r->older, r->n + 1, sizeof(*more));

	if (more == NULL) {
		installation_free(other);
		return (-1);
	}
	r->older = more;
	r->older[r->n++] = other;
	return (0);
}

/* Look at one that may be of the same company and droplet; takes `other` over. Non-zero: enough was seen. */
static int
compare(struct rivals *r, struct installation *other)
{
	if (lifecycle_same_droplet(other, r->mine)) {
		if (!lifecycle_is_later(other, r->mine)) {
			r->failed = add_older(r, other) != 0;
			return (r->failed);
		}
		if (other->status == INSTALLATION_ACTIVE)
			r->outdone = true;
	}
	installation_free(other);
	return (r->outdone);
}

static bool
is_of_company(const struct installation *i, const char *company)
{
	struct lifecycle_places p;

	lifecycle_places(i, &p);
	return (strcmp(p.company, company) == 0);
}

/* One that the index names. */
static int
look_at_indexed(void *user, const char *record)
{
	struct rivals *r = user;
	const char *company = r->mine->fluid_company_id;
	struct state *s = r->changes->state;
	struct installation *other;

	if (strcmp(record, r->mine->record) == 0 || changes_has(r->changes, record))
		return (0);
	if ((other = installation_load(s->installations, record)) == NULL && errno != ENOENT) {
		log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", record, NULL);
		r->failed = true;
		return (1);
	}
	if (other && is_of_company(other, company))
		return (compare(r, other));
	installation_free(other);
	/* What a crash left: no record belongs here. */
	r->failed = index_remove(s->companies, company, record) != 0;
	return (r->failed);
}

/* Those that are about to be changed. Their files, and their index entries, are older than they are. */
static int
look_at_changed(struct rivals *r)
{
	struct installation *other;
	const struct installation *i;

	for (unsigned n = 0; (i = changes_nth(r->changes, n)) != NULL && !r->outdone; n++) {
		if (strcmp(i->record, r->mine->record) == 0 ||
		    !is_of_company(i, r->mine->fluid_company_id))
			continue;
		if ((other = installation_copy(i)) == NULL || (compare(r, other) && r->failed))
			return (-1);
		r->waits = r->outdone;
	}
	return (0);
}

/* Read them all, before anything is changed. Returns 0, or -1 with errno set. */
static int
find_rivals(struct rivals *r)
{
	const struct installation *i = r->mine;
	struct state *s = r->changes->state;

	if (i->status != INSTALLATION_ACTIVE || i->fluid_company_id == NULL ||
	    !name_is_safe(i->fluid_company_id, strlen(i->fluid_company_id)))
		return (0);
	/* Rivals may be missing in an index that was lost in part. It is built again soon. */
	if (!index_is_complete(s)) {
		errno = EAGAIN;
		return (-1);
	}
	if (index_each(s->companies, i->fluid_company_id, 0, look_at_indexed, r) || r->failed)
		return (-1);
	return (look_at_changed(r));
}

static void
free_rivals(struct rivals *r)
{
	int saved = errno;

	for (size_t n = 0; n < r->n; n++)
		installation_free(r->older[n]);
	free(r->older);
	errno = saved;
}

/* Put those that `mine` ends among the changes. Returns 0, or -1: ENOMEM. */
static int
end_rivals(struct rivals *r)
{
	struct installation *i;

	while (r->n && !r->outdone) {
		i = r->older[r->n - 1];
		if (lifecycle_end_superseded(i, r->mine))
			return (-1);
		r->n--;
		if (changes_put(r->changes, i, NULL, CHANGES_LAST))
			return (-1);
	}
	return (0);
}

int
supersede_put(struct changes *c, struct installation *i, const struct lifecycle_places *was,
    bool changed)
{
	struct rivals r = { .changes = c, .mine = i };
	int result = -1;

	if (find_rivals(&r)) {
		installation_free(i);
		goto out;
	}
	if (r.outdone) {
		i->status = INSTALLATION_SUPERSEDED;
		installation_drop_credentials(i);
		changed = true;
	}
	/* The newer one first, as the credentials of this one go. */
	if ((changed ? changes_put(c, i, was, r.waits ? CHANGES_LAST : CHANGES_FIRST) :
		       changes_confirm(c, i)) == 0)
		result = end_rivals(&r);
out:
	free_rivals(&r);
	return (result);
}
