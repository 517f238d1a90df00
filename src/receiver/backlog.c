#include "receiver/backlog.h"

void
backlog_init(struct backlog *b)
{
	pthread_mutex_init(&b->mutex, NULL);
	pthread_cond_init(&b->changed, NULL);
	STAILQ_INIT(&b->connections);
	b->ended = false;
}

void
backlog_add(struct backlog *b, struct connection *c)
{
	pthread_mutex_lock(&b->mutex);
	STAILQ_INSERT_TAIL(&b->connections, c, slow);
	pthread_cond_signal(&b->changed);
	pthread_mutex_unlock(&b->mutex);
}

struct connection *
backlog_next(struct backlog *b, bool wait)
{
	struct connection *c;

	pthread_mutex_lock(&b->mutex);
	while ((c = STAILQ_FIRST(&b->connections)) == NULL && wait && !b->ended)
		pthread_cond_wait(&b->changed, &b->mutex);
	if (c)
		STAILQ_REMOVE_HEAD(&b->connections, slow);
	pthread_mutex_unlock(&b->mutex);
	return (c);
}

void
backlog_end(struct backlog *b)
{
	pthread_mutex_lock(&b->mutex);
	b->ended = true;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->mutex);
}
