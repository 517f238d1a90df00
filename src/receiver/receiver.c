#include "receiver/receiver.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "base/owner.h"
#include "store/index.h"
#include "store/reindex.h"

/* Indexes that could not be completed are looked at again after this time. */
enum { COMPARE_AGAIN_MS = 10000 };

struct receiver {
	struct conf *conf;
	struct secrets *secrets;
	pthread_mutex_t mutex;
	struct store *store;
	atomic_uint users;
};

struct receiver *
receiver_new(struct conf *conf)
{
	struct receiver *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return (NULL);
	if ((r->secrets = secrets_new()) == NULL) {
		free(r);
		return (NULL);
	}
	pthread_mutex_init(&r->mutex, NULL);
	r->conf = conf;
	r->users = 1;
	return (r);
}

struct receiver *
receiver_hold(struct receiver *r)
{
	atomic_fetch_add(&r->users, 1);
	return (r);
}

void
receiver_release(struct receiver *r)
{
	if (atomic_fetch_sub(&r->users, 1) != 1)
		return;
	store_release(r->store);
	secrets_free(r->secrets);
	conf_free(r->conf);
	pthread_mutex_destroy(&r->mutex);
	free(r);
}

const struct conf *
receiver_conf(const struct receiver *r)
{
	return (r->conf);
}

struct secrets *
receiver_secrets(struct receiver *r)
{
	return (r->secrets);
}

struct store *
receiver_store(struct receiver *r)
{
	struct store *s;

	pthread_mutex_lock(&r->mutex);
	if (r->store && !state_in_place(r->store->state)) {
		log_line(LOG_LEVEL_WARN,
		    "state directory, or something in it, was moved or replaced", "state_dir",
		    r->conf->state_dir, NULL);
		store_release(r->store);
		r->store = NULL;
	}
	if (r->store == NULL)
		r->store = store_open(r->conf->state_dir);
	if ((s = r->store) != NULL)
		store_hold(s);
	pthread_mutex_unlock(&r->mutex);
	return (s);
}

void
receiver_store_lost(struct receiver *r, struct store *s)
{
	pthread_mutex_lock(&r->mutex);
	if (r->store == s) {
		r->store = NULL;
		store_release(s);
	}
	pthread_mutex_unlock(&r->mutex);
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

void
receiver_tend(struct receiver *r, int listener, bool (*stop)(void *user), void *user)
{
	struct store *s;

	pthread_mutex_lock(&r->mutex);
	if ((s = r->store) != NULL)
		store_hold(s);
	pthread_mutex_unlock(&r->mutex);
	if (s == NULL)
		return;
	/* `check` wants it; deliveries do not. */
	if (s->note.fd == -1 && receivers_enter(&s->note, s->state->dir, listener))
		log_errno(LOG_LEVEL_ERROR, "receiver cannot be noted", "directory",
		    layout_path(LAYOUT_RECEIVERS), NULL);
	if (now_ms() >= s->compare_at && (s->compare_at == 0 || !index_is_complete(s->state)) &&
	    state_in_place(s->state) && reindex_logged(s->state, stop, user) != 1)
		s->compare_at = now_ms() + COMPARE_AGAIN_MS;
	store_release(s);
}

void
receiver_tend_once(struct receiver *r)
{
	struct store *s = receiver_store(r);

	if (s && !index_is_complete(s->state))
		reindex_logged(s->state, NULL, NULL);
	store_release(s);
}
