#include "worker/subscribe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "fluid/webhooks.h"
#include "store/durable.h"
#include "store/installation.h"
#include "store/lifecycle.h"
#include "store/lock.h"

enum {
	WORD_SIZE = 128,
	KEY_BYTES = 32,
	ERRORS_MAX = 4096, /* then no further one is kept in the record */
	TURN_WAIT_MS =
	    60000, /* for a process that subscribes an installation: some calls of Fluid */
	ALERT_SECONDS = 3600, /* one cause is told at most this often (contract section 6) */
};

static const char key_prefix[] = "fhk_";

/* One installation's subscribing. */
struct subscribing {
	const struct conf *conf;
	struct fluid_api *api;
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
		if (is_same(w->resource, resource) && is_same(w->event, event) &&
		    is_same(w->url, url) &&
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

/* Whether deliveries of this webhook reach us, signed with the installation's own key. */
static bool
is_complete(const struct webhook *w, const char *key)
{
	return (is_same(w->auth_token, key) &&
	    !(w->http_method && strcasecmp(w->http_method, "get") == 0));
}

/*
 * See to a webhook that is there already: it may be from before its key, or from before an uninstall, or its
 * deliveries by GET would be lost. Returns 0, or -1 with the error set.
 */
static int
mend(const struct subscribing *s, const struct webhook *listed, struct fluid_error *e)
{
	const char *key = s->installation->subscription_auth_token;
	struct webhook now = { 0 }, after = { 0 };
	int result = webhooks_show(s->api, s->token, listed->id, &now, e);

	if (result == 0 && !is_complete(&now, key))
		result = webhooks_update(s->api, s->token, listed->id,
		    &(struct webhook_values){ .resource = now.resource,
			.event = now.event,
			.url = now.url,
			.auth_token = key,
			.http_method = "post",
			.active = &now.active },
		    &after, e);
	webhook_free(&now);
	webhook_free(&after);
	return (result);
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
	if ((found = find(there, s->installation, resource, dot + 1, s->conf->public_url)) !=
	    NULL) {
		note_id(ids, found->id);
		return (mend(s, found, e));
	}
	result = webhooks_create(s->api, s->token,
	    &(struct webhook_values){ .resource = resource,
		.event = dot + 1,
		.url = s->conf->public_url,
		.auth_token = s->installation->subscription_auth_token },
	    &made, e);
	if (result == 0)
		note_id(ids, made.id);
	webhook_free(&made);
	return (result);
}

/*
 * The record as it is now, to be changed: *i, with the lock held. NULL where it is not active any more: then
 * nothing is to be saved. Returns 0, or -1 with errno set and no lock held.
 */
static int
load_to_change(struct state *s, const char *record, struct installation **i)
{
	int saved;

	*i = NULL;
	if (state_lock(s))
		return (-1);
	if ((*i = installation_load(s->installations, record)) == NULL && errno != ENOENT) {
		saved = errno;
		state_unlock(s);
		errno = saved;
		return (-1);
	}
	if (*i && (*i)->status != INSTALLATION_ACTIVE) {
		installation_free(*i);
		*i = NULL;
	}
	return (0);
}

static int
save(struct state *s, struct installation *i)
{
	clock_gettime(CLOCK_REALTIME, &i->updated_at);
	return (lifecycle_save(s, i));
}

/*
 * The installation's own key for its subscriptions, made before Fluid hears of it, as the tenant can read it
 * back from Fluid. Returns 0, or -1 with errno set.
 */
static int
have_key(struct state *s, struct installation *mine)
{
	unsigned char random[KEY_BYTES];
	struct installation *i;
	struct buf key = { 0 };
	int result = -1, saved;

	if (mine->subscription_auth_token)
		return (0);
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random) ||
	    load_to_change(s, mine->record, &i))
		return (-1);
	buf_reserve(&key, sizeof(key_prefix) + 2 * sizeof(random));
	buf_adds(&key, key_prefix);
	buf_add_hex(&key, random, sizeof(random));
	errno = ENOENT;
	if (i && !key.failed &&
	    (i->subscription_auth_token ||
		(installation_set(&i->subscription_auth_token, key.data) == 0 && save(s, i) == 0)))
		result = installation_set(&mine->subscription_auth_token,
		    i->subscription_auth_token);
	saved = errno;
	state_unlock(s);
	installation_free(i);
	explicit_bzero(random, sizeof(random));
	buf_wipe(&key);
	errno = saved;
	return (result);
}

/* Whether the hooks are to be told: once an hour at most, also by a clock that was wrong for a while. */
static bool
is_to_be_told(const struct installation *i, time_t now)
{
	return (i->subscription_alerted_at == 0 || i->subscription_alerted_at > now ||
	    now - i->subscription_alerted_at >= ALERT_SECONDS);
}

/* Keep ids and errors in the record, which may have changed meanwhile. Returns 0, or -1 with errno set. */
static int
save_result(struct state *s, const char *record, const char *ids, struct subscribe_failure *f)
{
	struct installation *i;
	time_t now = time(NULL);
	int result = 0;

	if (load_to_change(s, record, &i))
		return (-1);
	if (i) {
		f->is_news = f->errors && !is_same(f->errors, i->subscription_errors);
		f->to_be_told = f->is_news && is_to_be_told(i, now);
		if (f->to_be_told) {
			i->subscription_alerted_at = now;
			f->shop = i->fluid_shop ? strdup(i->fluid_shop) : NULL;
		}
		if ((ids && !is_same(ids, i->webhook_ids)) || f->is_news ||
		    (f->errors == NULL && i->subscription_errors))
			result = (ids && installation_set(&i->webhook_ids, ids)) ||
				installation_set(&i->subscription_errors, f->errors) || save(s, i) ?
			    -1 :
			    0;
	}
	state_unlock(s);
	installation_free(i);
	return (result);
}

/* Note one that failed. The first error is the one that is returned. */
static void
note_error(struct buf *errors, const char *name, const struct fluid_error *e,
    struct subscribe_failure *f)
{
	static const char prefix[] = "fluid: ";
	const char *text = e->text;

	if (errors->len == 0)
		f->e = *e;
	if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
		text += sizeof(prefix) - 1;
	if (errors->len < ERRORS_MAX)
		buf_addf(errors, "%s%s: %s", errors->len ? "; " : "", name, text);
}

/* Have all of them. Returns 0, or -1 with *f filled in. */
static int
subscribe_all(const struct subscribing *s, struct subscribe_failure *f)
{
	const struct installation *i = s->installation;
	struct webhook_list there = { 0 };
	struct buf ids = { 0 }, errors = { 0 };
	struct fluid_error e;
	bool listed;

	/* Without the list nothing is known of what is there, and making one could make it twice. */
	listed = webhooks_list(s->api, s->token, &there, &e) == 0;
	if (!listed)
		note_error(&errors, "webhooks", &e, f);
	for (size_t k = 0; listed && k < s->conf->n_subscribe; k++) {
		fluid_error_clear(&e);
		if (subscribe_event(s, &there, s->conf->subscribe[k], &ids, &e))
			note_error(&errors, s->conf->subscribe[k], &e, f);
	}
	if (errors.len)
		note_others(&ids, i->webhook_ids);
	if (ids.failed || errors.failed) {
		fluid_error_set(&f->e, FLUID_LOCAL, "out of memory");
	} else {
		f->errors = errors.data;
		if (save_result(s->state, i->record, ids.len ? ids.data : NULL, f))
			fluid_error_errno(&f->e, "record");
	}
	if (f->errors == NULL)
		buf_free(&errors);
	webhook_list_free(&there);
	buf_free(&ids);
	return (f->e.failure == FLUID_OK ? 0 : -1);
}

/* With the turn taken. Returns 0, or -1 with *f filled in. */
static int
subscribe_in_turn(const struct conf *conf, struct fluid_api *t, struct state *s, const char *record,
    struct subscribe_failure *f)
{
	struct installation *i = installation_load(s->installations, record);
	struct fluid_token token = { 0 };
	int result = 0;

	if (i == NULL)
		return (errno == ENOENT ? 0 : fluid_error_errno(&f->e, record));
	/* One that has ended meanwhile needs none. */
	if (i->status == INSTALLATION_ACTIVE && i->authentication_token) {
		result = token_installation(&token, i->authentication_token, record, &f->e);
		if (result == 0 && have_key(s, i))
			result = fluid_error_errno(&f->e, "record");
		if (result == 0)
			result = subscribe_all(&(struct subscribing){ conf, t, s, i, &token }, f);
	}
	token_free(&token);
	installation_free(i);
	return (result);
}

int
subscribe_record(const struct conf *conf, struct fluid_api *t, struct state *s, const char *record,
    bool wait, struct subscribe_failure *f)
{
	int turn = durable_directory(s->queue, layout_name(LAYOUT_SUBSCRIBE)), result;

	*f = (struct subscribe_failure){ .errors = NULL };
	if (turn == -1)
		return (fluid_error_errno(&f->e, layout_path(LAYOUT_SUBSCRIBE)));
	if (wait ? lock_file(turn, TURN_WAIT_MS) : lock_try(turn))
		result = errno == EWOULDBLOCK || errno == ETIMEDOUT ?
		    fluid_error_set(&f->e, FLUID_LOCAL,
			"another process is subscribing now, or holds a lock on queue/subscribe") :
		    fluid_error_errno(&f->e, layout_path(LAYOUT_SUBSCRIBE));
	else
		result = subscribe_in_turn(conf, t, s, record, f);
	/* A hook that is being started may have this descriptor, too: closing it is not enough. */
	flock(turn, LOCK_UN);
	close(turn);
	return (result);
}
