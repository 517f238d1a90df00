#include "worker/subscribe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "fluid/webhooks.h"
#include "store/installation.h"
#include "store/lifecycle.h"

enum { WORD_SIZE = 128 };

void
subscribe_want(const struct conf *conf, int markers, const char *record)
{
	int fd;

	if (conf->public_url == NULL || conf->n_subscribe == 0)
		return;
	fd = openat(markers, record, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1 || fsync(markers))
		log_errno(LOG_LEVEL_ERROR, "subscriptions not noted", "record", record, NULL);
	if (fd != -1)
		close(fd);
}

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

/* Whether an id is one of those in a record. */
static bool
is_noted(const struct installation *i, const char *id)
{
	size_t len = id ? strlen(id) : 0;
	const char *at = i->webhook_ids;

	for (; at && len && (at = strstr(at, id)) != NULL; at += len)
		if ((at == i->webhook_ids || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0'))
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
		    is_noted(i, w->id)))
			return (w);
	return (NULL);
}

static void
note_id(struct buf *ids, const char *id)
{
	if (id)
		buf_addf(ids, "%s%s", ids->len ? " " : "", id);
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
	if (ids.len && !is_same(ids.data, i->webhook_ids) && save_ids(s->state, i->record, ids.data))
		result = fluid_error_errno(e, "record");
	webhook_list_free(&there);
	buf_free(&ids);
	return (result);
}

int
subscribe_record(const struct conf *conf, struct transport *t, struct state *s, const char *record)
{
	struct installation *i = installation_load(s->installations, record);
	struct fluid_token token = { 0 };
	struct fluid_error e;
	int result = 0;

	fluid_error_clear(&e);
	if (i == NULL)
		return (errno == ENOENT ? 0 : -1);
	/* One that has ended meanwhile needs none. */
	if (i->status != INSTALLATION_ACTIVE || i->authentication_token == NULL)
		goto out;
	result = token_installation(&token, i->authentication_token, record, &e);
	if (result == 0)
		result = subscribe_all(&(struct subscribing){ conf, t, s, i, &token }, &e);
	if (result) {
		log_line(LOG_LEVEL_ERROR, "subscriptions not made", "installation", record, "why",
		    e.text, NULL);
		if (e.failure == FLUID_REFUSED)
			result = 1;
	} else {
		log_line(LOG_LEVEL_INFO, "subscribed", "installation", record, NULL);
	}
out:
	token_free(&token);
	installation_free(i);
	return (result);
}
