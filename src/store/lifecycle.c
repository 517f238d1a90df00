#include "store/lifecycle.h"

#include <errno.h>
#include <string.h>

#include "store/changes.h"
#include "store/index.h"
#include "store/supersede.h"

int
lifecycle_index(struct state *s, const struct installation *i)
{
	struct lifecycle_places p;

	lifecycle_places(i, &p);
	if (*p.shop && index_add(s->shops, p.shop, i->record))
		return (-1);
	return (*p.company ? index_add(s->companies, p.company, i->record) : 0);
}

/* Where a record belongs as it is in its file: nowhere if that is not known. */
static void
places_now(const struct state *s, const char *record, struct lifecycle_places *p)
{
	struct installation *i = installation_load(s->installations, record);

	*p = (struct lifecycle_places){ "", "" };
	if (i)
		lifecycle_places(i, p);
	installation_free(i);
}

int
lifecycle_save(struct state *s, const struct installation *i)
{
	struct lifecycle_places was;
	struct changes c;
	struct installation *copy;
	int result = -1;

	if ((copy = installation_copy(i)) == NULL)
		return (-1);
	places_now(s, i->record, &was);
	changes_begin(&c, s);
	if (changes_put(&c, copy, &was, CHANGES_FIRST) == 0)
		result = changes_commit(&c);
	changes_end(&c);
	return (result);
}

bool
lifecycle_is_settled(struct records *records, const struct lifecycle_event *e,
    enum installation_status *status)
{
	const struct record *r = records_get(records, e->record);
	bool settled;

	if (r == NULL)
		return (false);
	settled = records_is_settled(records, r) && lifecycle_changes_nothing(r->installation, e);
	*status = r->installation->status;
	records_release(records, r);
	return (settled);
}

int
lifecycle_supersede(struct state *s, struct installation *i)
{
	struct installation *copy = installation_copy(i);
	struct lifecycle_places was;
	const struct installation *now;
	struct changes c;
	int result = -1;

	if (copy == NULL)
		return (-1);
	lifecycle_places(i, &was);
	changes_begin(&c, s);
	if (supersede_put(&c, copy, &was, false) == 0 && changes_commit(&c) == 0) {
		now = changes_nth(&c, 0);
		i->status = now->status;
		if (now->status != INSTALLATION_ACTIVE)
			installation_drop_credentials(i);
		result = 0;
	}
	changes_end(&c);
	return (result);
}

int
lifecycle_is_foreign(struct state *s, const struct lifecycle_event *e)
{
	struct installation *i = installation_load(s->installations, e->record);
	bool beyond;

	if (i == NULL)
		return (errno == ENOENT ? 0 : -1);
	beyond = lifecycle_is_beyond(i, e);
	installation_free(i);
	return (beyond ? LIFECYCLE_FOREIGN : 0);
}

/*
 * The record to which the event is to be applied, as it is in its file, or a new one. was: where it belongs.
 * Returns 0, LIFECYCLE_FOREIGN, or -1 with errno set.
 */
static int
load(struct state *s, const struct lifecycle_event *e, struct installation **out, bool *is_new,
    struct lifecycle_places *was)
{
	struct installation *i = installation_load(s->installations, e->record);

	*was = (struct lifecycle_places){ "", "" };
	if (i == NULL && errno != ENOENT)
		return (-1);
	if (i && lifecycle_is_beyond(i, e)) {
		installation_free(i);
		return (LIFECYCLE_FOREIGN);
	}
	/* An unverified record gives way to what Fluid says, as if it had not been there. */
	if (i && !lifecycle_is_verified(i) &&
	    (e->trust == TRUST_DROPLET || i->status == INSTALLATION_FAILED)) {
		installation_free(i);
		i = NULL;
	}
	*is_new = i == NULL;
	if (*is_new) {
		if ((i = installation_new(e->record)) == NULL)
			return (-1);
		i->status = INSTALLATION_PENDING;
	} else {
		lifecycle_places(i, was);
		/* First, so that where it was before the last move need not be remembered any longer. */
		if (changes_leave_former(s, i)) {
			installation_free(i);
			return (-1);
		}
	}
	*out = i;
	return (0);
}

/* Put what the event changes among the changes. Returns 0, LIFECYCLE_FOREIGN, or -1 with errno set. */
static int
plan(struct changes *c, const struct lifecycle_event *e, enum installation_status *status)
{
	struct lifecycle_places was;
	enum lifecycle_change change;
	struct installation *i;
	bool is_new;
	int result;

	if ((result = load(c->state, e, &i, &is_new, &was)) != 0)
		return (result);
	change = lifecycle_change(i, e, is_new);
	if (change == LIFECYCLE_ERROR) {
		installation_free(i);
		return (-1);
	}
	/* Nothing is known, and the event is no reason to make a record. */
	if (change == LIFECYCLE_NONE && is_new) {
		*status = i->status;
		installation_free(i);
		return (0);
	}
	/* Also when nothing changed: a crash may have come before all of this was done. */
	if (supersede_put(c, i, &was, change != LIFECYCLE_NONE))
		return (-1);
	*status = i->status;
	return (0);
}

int
lifecycle_apply(struct state *s, struct records *records, const struct lifecycle_event *e,
    enum installation_status *status)
{
	struct changes c;
	int result;

	changes_begin(&c, s);
	if ((result = plan(&c, e, status)) == 0)
		result = changes_commit(&c);
	changes_end(&c);
	if (result == 0 && records)
		records_settle(records, e->record);
	return (result);
}

static bool
is_equal(const char *a, const char *b)
{
	return (a && b && strcmp(a, b) == 0);
}

/* Whether the install brings nothing that the record does not have. */
static bool
has_all_of(const struct installation *i, const struct lifecycle_event *e)
{
	return (i->status == INSTALLATION_ACTIVE &&
	    is_equal(i->authentication_token, e->authentication_token) &&
	    (e->webhook_verification_token == NULL ||
		is_equal(i->webhook_verification_token, e->webhook_verification_token)));
}

/* Change the record by what is imported. Returns 0, or -1: ENOMEM. */
static int
change_by_import(struct installation *i, const struct lifecycle_event *install,
    const struct lifecycle_event *ended, bool is_new, enum lifecycle_imported *done, bool *changed)
{
	enum lifecycle_change first = LIFECYCLE_NONE, second = LIFECYCLE_NONE;

	if (is_new || ended || !has_all_of(i, install))
		first = lifecycle_change(i, install, is_new);
	if (ended && first != LIFECYCLE_ERROR)
		second = lifecycle_change(i, ended, false);
	if (first == LIFECYCLE_ERROR || second == LIFECYCLE_ERROR)
		return (-1);
	*changed = first != LIFECYCLE_NONE || second != LIFECYCLE_NONE;
	if (is_new)
		*done = LIFECYCLE_ADDED;
	else if (first == LIFECYCLE_NEWS || second == LIFECYCLE_NEWS)
		*done = LIFECYCLE_UPDATED;
	else
		*done = LIFECYCLE_UNCHANGED;
	return (0);
}

int
lifecycle_import(struct state *s, const struct lifecycle_event *install,
    const struct lifecycle_event *ended, enum lifecycle_imported *done)
{
	struct lifecycle_places was;
	struct installation *i;
	struct changes c;
	bool is_new, changed;
	int result;

	if ((result = load(s, install, &i, &is_new, &was)) != 0)
		return (result);
	if (change_by_import(i, install, ended, is_new, done, &changed)) {
		installation_free(i);
		return (-1);
	}
	changes_begin(&c, s);
	/* Also when nothing changed: a crash may have come before all of this was done. */
	if ((result = supersede_put(&c, i, &was, changed)) == 0)
		result = changes_commit(&c);
	changes_end(&c);
	return (result);
}

/* One event of lifecycle_apply_shared(). */
struct lifecycle_waiting {
	struct records *records;
	const struct lifecycle_event *event;
	enum installation_status status;
	int result, error;
	bool done;
	struct lifecycle_waiting *next;
};

/* Commit what the events from `first` to before `end` change. */
static void
commit(struct changes *c, struct lifecycle_waiting *first, const struct lifecycle_waiting *end)
{
	int result = changes_commit(c), error = errno;
	unsigned n = 0;

	changes_end(c);
	for (const struct lifecycle_waiting *w = first; w != end; w = w->next)
		n += w->result == 0;
	for (struct lifecycle_waiting *w = first; w != end; w = w->next) {
		if (w->result)
			continue;
		if (result == 0) {
			if (w->records)
				records_settle(w->records, w->event->record);
		} else if (n == 1) {
			w->result = -1;
			w->error = error;
		} else {
			/* What is wrong with one of them is no reason to refuse the others. */
			w->result = lifecycle_apply(c->state, w->records, w->event, &w->status);
			w->error = errno;
		}
	}
}

/* Apply the events one after the other. The caller holds state_lock(). */
static void
apply_all(struct state *s, struct lifecycle_waiting *first)
{
	struct changes c;

	changes_begin(&c, s);
	for (struct lifecycle_waiting *w = first; w; w = w->next) {
		if (c.n >= CHANGES_MAX || changes_has(&c, w->event->record)) {
			commit(&c, first, w);
			first = w;
		}
		w->result = plan(&c, w->event, &w->status);
		w->error = errno;
	}
	commit(&c, first, NULL);
}

static struct lifecycle_waiting *
take_all(struct state_queue *q)
{
	struct lifecycle_waiting *first;

	pthread_mutex_lock(&q->mutex);
	first = q->first;
	q->first = NULL;
	q->last = &q->first;
	q->n = 0;
	pthread_mutex_unlock(&q->mutex);
	return (first);
}

/* Apply what waits, and what comes while this waits for the lock. The caller holds q->mutex. */
static void
lead(struct state *s)
{
	struct state_queue *q = &s->queue_of_events;
	struct lifecycle_waiting *first, *next;
	int error = 0;

	q->led = true;
	pthread_mutex_unlock(&q->mutex);
	if (state_lock(s))
		error = errno;
	first = take_all(q);
	if (error == 0) {
		apply_all(s, first);
		state_unlock(s);
	}
	pthread_mutex_lock(&q->mutex);
	for (; first; first = next) {
		/* It is gone as soon as its thread has the mutex. */
		next = first->next;
		if (error) {
			first->result = -1;
			first->error = error;
		}
		first->done = true;
	}
	q->led = false;
	pthread_cond_broadcast(&q->changed);
}

int
lifecycle_apply_shared(struct state *s, struct records *records, const struct lifecycle_event *e,
    enum installation_status *status)
{
	struct state_queue *q = &s->queue_of_events;
	struct lifecycle_waiting w = { .records = records, .event = e };

	pthread_mutex_lock(&q->mutex);
	*q->last = &w;
	q->last = &w.next;
	q->n++;
	while (!w.done)
		if (q->led)
			pthread_cond_wait(&q->changed, &q->mutex);
		else
			lead(s);
	pthread_mutex_unlock(&q->mutex);
	*status = w.status;
	errno = w.error;
	return (w.result);
}
