#include "cli/deliveries_wanted.h"

#include <stdio.h>
#include <string.h>

#include "base/name.h"
#include "base/timefmt.h"

/* "order" means all events of orders. */
static bool
is_event(const char *wanted, const char *event)
{
	size_t len = wanted ? strlen(wanted) : 0;

	return (wanted == NULL || strcmp(wanted, event) == 0 ||
	    (strchr(wanted, '.') == NULL && strncmp(wanted, event, len) == 0 && event[len] == '.'));
}

/* By the installation's name, or by the shop. */
static bool
is_installation(const char *wanted, const struct entry *e)
{
	char mine[NAME_SIZE], theirs[NAME_SIZE];

	if (wanted == NULL || (e->installation && strcmp(wanted, e->installation) == 0))
		return (true);
	return (e->fluid_shop && name_of_shop(mine, wanted, strlen(wanted)) == 0 &&
	    name_of_shop(theirs, e->fluid_shop, strlen(e->fluid_shop)) == 0 &&
	    strcmp(mine, theirs) == 0);
}

bool
deliveries_are_wanted(const struct deliveries_wanted *wanted, const struct entry *e)
{
	return (is_event(wanted->event, e->event) && is_installation(wanted->installation, e));
}

struct table *
deliveries_table(void)
{
	return (table_new((
	    const char *const[]){ "RECEIVED", "EVENT", "DELIVERY", "INSTALLATION", "SHOP", NULL }));
}

/* What is needed most comes first: a narrow terminal cuts the rest. */
void
deliveries_row(struct table *t, const struct entry *e, struct buf *row)
{
	char when[TIMEFMT_SECONDS_SIZE];
	struct timespec received;

	if (timefmt_parse(e->received_at, &received) == 0)
		timefmt_seconds(when, received.tv_sec);
	else
		snprintf(when, sizeof(when), "?");
	table_row(t,
	    (const char *const[]){ when, e->event, e->delivery, e->installation, e->fluid_shop,
		NULL },
	    row);
}
