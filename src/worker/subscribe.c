#include "worker/subscribe.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "fluid/webhooks.h"
#include "store/durable.h"
#include "store/installation.h"
#include "store/lifecycle.h"

enum { WORD_SIZE = 128 };

/* One installation's subscribing. */
struct subscribing {
	const struct conf *conf;
	struct transport *transport;
	struct state *state;
	const struct installation *installation;
	const struct fluid_token *token;
};

static bool
is_same(const char *a, const char *b)
{
	return (a && b && strcmp(a, b) == 0);
}

/* Whether an id is one of those in a list with blanks between them, which may be NULL. */
static bool
has_id(const char *ids, const char *id)
{
	size_t len = id ? strlen(id) : 0;
	const char *at = ids;

	for (; at && len && (at = strstr(at, id)) != NULL; at += len)
		if ((at == ids || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
			return (true);
	return (false);
}

/*
 * The webhook of this installation that has this event and our address already, or NULL. The list is
 * the whole company's: the same webhook of an older installation is not ours.
 */
static const struct webhook *
find(const struct webhook_list *l, const struct installation *i, const char *resource,
    const char *event, const char *url)
{
	const struct webhook *w;

	for (w = l->items; w < l->items + l->n; w++)
		if (is_same(w->resource, resource) && is_same(w->event, event) && is_same(w->url, url) &&
		    (is_same(w->droplet_installation_uuid, i->droplet_installation_uuid) ||
		    has_id(i->webhook_ids, w->id)))
			return (w);
	return (NULL);
}

static void
note_id(struct buf *ids, const char *id)
{
	if (id)
		buf_addf(ids, "%s%s", ids->len ? " " : "", id);
}

/* Also the ids noted before, of webhooks that this time was not got as far as. */
static void
note_others(struct buf *ids, const char *before)
{
	char id[WORD_SIZE];
	size_t len;

	for (const char *at = before; at && *at; at += len + (at[len] == ' ')) {
		len = strcspn(at, " ");
		if (len < sizeof(id) && snprintf(id, sizeof(id), "%.*s", (int)len, at) > 0 &&
		    !has_id(ids->data, id))
			note_id(ids, id);
	}
}

/* Have one subscription. `name` is "order.created". Returns 0, or -1 with the error set. */
static int
subscribe_event(const struct subscribing *s, const struct webhook_list *there, const char *name,
    struct buf *ids, struct fluid_error *e)
{
	const char *dot = strchr(name, '.');
	const struct webhook *found;
	struct webhook made = { 0 };
	char resource[WORD_SIZE];
	int result;

	if (dot == NULL || (size_t)(dot - name) >= sizeof(resource))
		return (fluid_error_set(e, FLUID_LOCAL, "subscribe: \"%s\" is no event", name));
	snprintf(resource, sizeof(resource), "%.*s", (int)(dot - name), name);
	if ((found = find(there, s->installation, resource, dot + 1, s->conf->public_url)) != NULL) {
		note_id(ids, found->id);
		return (0);
	}
	result = webhooks_create(s->transport, s->token, &(struct webhook_values){
		.resource = resource, .event = dot + 1, .url = s->conf->public_url }, &made, e);
	if (result == 0)
		note_id(ids, made.id);
	webhook_free(&made);
	return (result);
}

/* Keep the ids in the record, which may have changed meanwhile. */
static int
save_ids(struct state *s, const char *record, const char *ids)
{
	struct installation *i;
	int result = -1;

	if (state_lock(s))
		return (-1);
	if ((i = installation_load(s->installations, record)) != NULL &&
	    installation_set(&i->webhook_ids, ids) == 0) {
		clock_gettime(CLOCK_REALTIME, &i->updated_at);
		result = lifecycle_save(s, i);
	}
	installation_free(i);
	state_unlock(s);
	return (result);
}

/* Have all of them. Returns 0, or -1 with the error set. */
static int
subscribe_all(const struct subscribing *s, struct fluid_error *e)
{
	const struct installation *i = s->installation;
	struct webhook_list there = { 0 };
	struct buf ids = { 0 };
	int result = webhooks_list(s->transport, s->token, &there, e);

	for (size_t k = 0; result == 0 && k < s->conf->n_subscribe; k++)
		result = subscribe_event(s, &there, s->conf->subscribe[k], &ids, e);
	if (result)
		note_others(&ids, i->webhook_ids);
	if (ids.failed)
		result = fluid_error_set(e, FLUID_LOCAL, "out of memory");
	else if (ids.len && !is_same(ids.data, i->webhook_ids) &&
	    save_ids(s->state, i->record, ids.data))
		result = fluid_error_errno(e, "record");
	webhook_list_free(&there);
	buf_free(&ids);
	return (result);
}

/* With the turn taken. Returns 0, or -1 with the error set. */
static int
subscribe_in_turn(const struct conf *conf, struct transport *t, struct state *s, const char *record,
    struct fluid_error *e)
{
	struct installation *i = installation_load(s->installations, record);
	struct fluid_token token = { 0 };
	int result = 0;

	if (i == NULL)
		return (errno == ENOENT ? 0 : fluid_error_errno(e, record));
	/* One that has ended meanwhile needs none. */
	if (i->status == INSTALLATION_ACTIVE && i->authentication_token) {
		result = token_installation(&token, i->authentication_token, record, e);
		if (result == 0)
			result = subscribe_all(&(struct subscribing){ conf, t, s, i, &token }, e);
	}
	token_free(&token);
	installation_free(i);
	return (result);
}

int
subscribe_record(const struct conf *conf, struct transport *t, struct state *s, const char *record,
    bool wait, struct fluid_error *e)
{
	int turn = durable_folder(s->queue, "subscribe"), result;

	fluid_error_clear(e);
	if (turn == -1)
		return (fluid_error_errno(e, "queue/subscribe"));
	if (flock(turn, wait ? LOCK_EX : LOCK_EX | LOCK_NB))
		result = errno == EWOULDBLOCK ? fluid_error_set(e, FLUID_LOCAL,
		    "another process is subscribing now") : fluid_error_errno(e, "queue/subscribe");
	else
		result = subscribe_in_turn(conf, t, s, record, e);
	/* A hook that is being started may have this descriptor, too: closing it is not enough. */
	flock(turn, LOCK_UN);
	close(turn);
	return (result);
}
