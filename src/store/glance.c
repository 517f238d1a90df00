#include "store/glance.h"

#include "base/clock.h"

static _Thread_local bool permitted, relied;

/* The last change of this process's own, in nanoseconds as the looks. */
static atomic_int_fast64_t changed_at;

int64_t
glance_now(void)
{
	return (clock_monotonic_ns());
}

void
glance_permit(bool recent)
{
	permitted = recent;
	relied = false;
}

bool
glance_relied(void)
{
	return (relied);
}

bool
glance_is_recent(const struct glance *g, int64_t now)
{
	int64_t at = atomic_load(&g->at);

	if (!permitted || at == 0 || at <= atomic_load(&changed_at) ||
	    now - at >= GLANCE_MS * INT64_C(1000000))
		return (false);
	relied = true;
	return (true);
}

void
glance_note(struct glance *g, int64_t now)
{
	atomic_store(&g->at, now);
}

void
glance_forget(void)
{
	atomic_store(&changed_at, glance_now());
}
