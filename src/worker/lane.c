#include "worker/lane.h"

#include <errno.h>
#include <stddef.h>

void
lane_init(struct lane *l)
{
	l->first = NULL;
	l->last = &l->first;
	l->queued = l->running = 0;
	for (size_t i = 0; i < LANE_MAX; i++)
		l->callers[i] = (struct lane_caller){ .lane = l, .state = CALLER_NONE };
}

void
lane_add(struct lane *l, struct lane_item *item)
{
	item->next = NULL;
	*l->last = item;
	l->last = &item->next;
	l->queued++;
}

/* The next item, or NULL. The mutex is held. */
static struct lane_item *
next_item(struct lane *l)
{
	struct lane_item *item = atomic_load(l->stop) ? NULL : l->first;

	if (item == NULL)
		return (NULL);
	if ((l->first = item->next) == NULL)
		l->last = &l->first;
	l->queued--;
	return (item);
}

static void *
run_caller(void *arg)
{
	struct lane_caller *me = arg;
	struct lane *l = me->lane;
	struct fluid_api *t = fluid_api_another(l->api);
	struct lane_item *item;

	pthread_mutex_lock(l->mutex);
	/* Without memory for another API handle, the items wait for another thread. */
	while (t && (item = next_item(l)) != NULL) {
		pthread_mutex_unlock(l->mutex);
		l->work(l->user, t, item);
		pthread_mutex_lock(l->mutex);
	}
	pthread_mutex_unlock(l->mutex);
	fluid_api_free(t);
	pthread_mutex_lock(l->mutex);
	me->state = CALLER_ENDED;
	l->running--;
	l->ended(l->user);
	pthread_mutex_unlock(l->mutex);
	return (NULL);
}

/* A place for one more thread, or NULL. The mutex is held. */
static struct lane_caller *
free_caller(struct lane *l)
{
	for (size_t i = 0; i < l->max; i++) {
		struct lane_caller *caller = &l->callers[i];

		if (caller->state == CALLER_ENDED) {
			/* Its last step was to let go of the mutex, so this takes no time. */
			pthread_join(caller->thread, NULL);
			caller->state = CALLER_NONE;
		}
		if (caller->state == CALLER_NONE)
			return (caller);
	}
	return (NULL);
}

int
lane_start(struct lane *l)
{
	struct lane_caller *caller;
	int error = 0, result;

	pthread_mutex_lock(l->mutex);
	/* A thread that runs may take more than one item; what it leaves, another takes. */
	for (unsigned wanted = l->queued; wanted && !atomic_load(l->stop); wanted--) {
		if ((caller = free_caller(l)) == NULL)
			break;
		if ((error = pthread_create(&caller->thread, NULL, run_caller, caller)) != 0)
			break;
		caller->state = CALLER_RUNS;
		l->running++;
	}
	result = error && l->running == 0 ? -1 : 0;
	pthread_mutex_unlock(l->mutex);
	errno = error;
	return (result);
}

void
lane_join(struct lane *l)
{
	for (size_t i = 0; i < LANE_MAX; i++) {
		bool is_thread;

		pthread_mutex_lock(l->mutex);
		is_thread = l->callers[i].state != CALLER_NONE;
		pthread_mutex_unlock(l->mutex);
		if (!is_thread)
			continue;
		pthread_join(l->callers[i].thread, NULL);
		l->callers[i].state = CALLER_NONE;
	}
}
