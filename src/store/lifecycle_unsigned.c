#include <errno.h>
#include <stdio.h>

#include "store/index.h"
#include "store/lifecycle.h"
#include "store/marker.h"

struct counting {
	struct state *state;
	unsigned waiting;
};

static int
count_waiting(void *user, const char *record)
{
	struct counting *c = user;
	struct installation *i = installation_load(c->state->installations, record);

	/* A record that cannot be read may well wait. */
	if (i ? i->status == INSTALLATION_UNCONFIRMED : errno != ENOENT)
		c->waiting++;
	else
		marker_clear(c->state->unconfirmed, record);
	installation_free(i);
	return (c->waiting >= UNCONFIRMED_MAX);
}

int
lifecycle_unsigned(struct state *s, const struct lifecycle_event *e, enum unsigned_verdict *verdict,
    char delivery[UUID_SIZE])
{
	struct counting c = { .state = s };
	struct installation *i = installation_load(s->installations, e->record);

	if (i == NULL && errno != ENOENT)
		return (-1);
	if (i && lifecycle_is_verified(i)) {
		*verdict = UNSIGNED_KNOWN;
	} else if (i && i->status == INSTALLATION_UNCONFIRMED) {
		*verdict = installation_knows_install(i, e->body_sha256) ? UNSIGNED_AGAIN :
									   UNSIGNED_BUSY;
		snprintf(delivery, UUID_SIZE, "%s", i->delivery ? i->delivery : "");
	} else {
		if (index_each(s->queue, layout_name(LAYOUT_UNCONFIRMED), 0, count_waiting, &c)) {
			installation_free(i);
			return (-1);
		}
		*verdict = c.waiting >= UNCONFIRMED_MAX ? UNSIGNED_BUSY : UNSIGNED_NEW;
	}
	installation_free(i);
	return (0);
}
