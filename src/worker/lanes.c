#include "worker/lanes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 };

struct row {
	struct handover *first, **last;
	size_t n;
	bool is_listed;          /* in the list of lanes that have a turn */
	struct owner_lane *next; /* there */
};

struct owner_lane {
	struct owner_lane *next; /* in its bucket */
	struct owner_lane *next_resting;
	char owner[OWNER_SIZE];
	bool is_taken;
	int64_t rests_until; /* 0: it does not rest */
	struct row rows[N_LANE_ROWS];
};

struct list {
	struct owner_lane *first, **last;
};

struct lanes {
	struct owner_lane *buckets[BUCKETS];
	struct list ready[N_LANE_ROWS];
	struct owner_lane *resting;
	size_t n;
};

struct lanes *
lanes_new(void)
{
	struct lanes *l = calloc(1, sizeof(*l));

	for (int row = 0; l && row < N_LANE_ROWS; row++)
		l->ready[row].last = &l->ready[row].first;
	return (l);
}

void
lanes_free(struct lanes *l, void (*drop)(struct handover *h))
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct owner_lane *lane = l->buckets[i], *next; lane; lane = next) {
			next = lane->next;
			for (int row = 0; row < N_LANE_ROWS; row++)
				for (struct handover *h = lane->rows[row].first, *after; h;
				     h = after) {
					after = h->next;
					drop(h);
				}
			free(lane);
		}
	free(l);
}

/* Owners are hashes already. */
static struct owner_lane **
bucket_of(struct lanes *l, const char *owner)
{
	size_t hash = 5381;

	for (; *owner; owner++)
		hash = hash * 33 + (unsigned char)*owner;
	return (&l->buckets[hash % BUCKETS]);
}

static struct owner_lane *
lane_of(struct lanes *l, const char *owner)
{
	struct owner_lane **bucket = bucket_of(l, owner), *lane;

	for (lane = *bucket; lane; lane = lane->next)
		if (strcmp(lane->owner, owner) == 0)
			return (lane);
	if ((lane = calloc(1, sizeof(*lane))) == NULL)
		return (NULL);
	memcpy(lane->owner, owner, strlen(owner) + 1);
	for (int row = 0; row < N_LANE_ROWS; row++)
		lane->rows[row].last = &lane->rows[row].first;
	lane->next = *bucket;
	*bucket = lane;
	return (lane);
}

/* List a lane for each row that has something, unless it is taken or rests. */
static void
list_lane(struct lanes *l, struct owner_lane *lane)
{
	if (lane->is_taken || lane->rests_until)
		return;
	for (int row = 0; row < N_LANE_ROWS; row++) {
		struct row *r = &lane->rows[row];

		if (r->first == NULL || r->is_listed)
			continue;
		r->is_listed = true;
		r->next = NULL;
		*l->ready[row].last = lane;
		l->ready[row].last = &r->next;
	}
}

static void
unlist_first(struct lanes *l, enum lane_row row)
{
	struct owner_lane *lane = l->ready[row].first;

	lane->rows[row].is_listed = false;
	if ((l->ready[row].first = lane->rows[row].next) == NULL)
		l->ready[row].last = &l->ready[row].first;
}

/* Take a lane out of a list in which it stands anywhere. */
static void
unlist(struct lanes *l, struct owner_lane *lane, int row)
{
	struct owner_lane **at = &l->ready[row].first;

	if (!lane->rows[row].is_listed)
		return;
	while (*at != lane)
		at = &(*at)->rows[row].next;
	if ((*at = lane->rows[row].next) == NULL)
		l->ready[row].last = at;
	lane->rows[row].is_listed = false;
}

static void
free_if_empty(struct lanes *l, struct owner_lane *lane)
{
	struct owner_lane **at = bucket_of(l, lane->owner);

	if (lane->is_taken || lane->rests_until || lane->rows[LANE_FRESH].first ||
	    lane->rows[LANE_RETRIES].first)
		return;
	while (*at != lane)
		at = &(*at)->next;
	*at = lane->next;
	free(lane);
}

int
lanes_add(struct lanes *l, const char *owner, enum lane_row row, struct handover *h)
{
	struct owner_lane *lane = lane_of(l, owner);

	if (lane == NULL)
		return (-1);
	h->lane = lane;
	h->next = NULL;
	*lane->rows[row].last = h;
	lane->rows[row].last = &h->next;
	lane->rows[row].n++;
	l->n++;
	list_lane(l, lane);
	return (0);
}

size_t
lanes_count(const struct lanes *l)
{
	return (l->n);
}

size_t
lanes_behind(const struct handover *h, enum lane_row row)
{
	return (h->lane->rows[row].n);
}

bool
lanes_is_ready(const struct lanes *l, enum lane_row row)
{
	return (l->ready[row].first != NULL);
}

struct handover *
lanes_take(struct lanes *l, enum lane_row row)
{
	struct owner_lane *lane = l->ready[row].first;
	struct row *r;
	struct handover *h;

	if (lane == NULL)
		return (NULL);
	r = &lane->rows[row];
	unlist_first(l, row);
	unlist(l, lane, row == LANE_FRESH ? LANE_RETRIES : LANE_FRESH);
	h = r->first;
	if ((r->first = h->next) == NULL)
		r->last = &r->first;
	r->n--;
	l->n--;
	lane->is_taken = true;
	return (h);
}

void
lanes_end(struct lanes *l, struct handover *h)
{
	struct owner_lane *lane = h->lane;

	lane->is_taken = false;
	list_lane(l, lane);
	free_if_empty(l, lane);
}

void
lanes_put_back(struct lanes *l, struct handover *h, enum lane_row row, int64_t until)
{
	struct owner_lane *lane = h->lane;
	struct row *r = &lane->rows[row];

	if ((h->next = r->first) == NULL)
		r->last = &h->next;
	r->first = h;
	r->n++;
	l->n++;
	lane->is_taken = false;
	if (until) {
		lane->rests_until = until;
		lane->next_resting = l->resting;
		l->resting = lane;
	}
	list_lane(l, lane);
}

int64_t
lanes_wake(struct lanes *l, int64_t now)
{
	struct owner_lane **at = &l->resting, *lane;
	int64_t next = 0;

	while ((lane = *at) != NULL) {
		if (lane->rests_until > now) {
			if (next == 0 || lane->rests_until < next)
				next = lane->rests_until;
			at = &lane->next_resting;
			continue;
		}
		*at = lane->next_resting;
		lane->rests_until = 0;
		list_lane(l, lane);
	}
	return (next);
}
