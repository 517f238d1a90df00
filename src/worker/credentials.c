#include "worker/credentials.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/timefmt.h"
#include "fluid/installations.h"
#include "store/index.h"
#include "store/lifecycle.h"
#include "worker/subscribe.h"

enum {
	TOKEN_LIFE = 600,		/* seconds, where no expiry was said (fluid-wire, "Exchange") */
	WARN_LEFT = 120,		/* say loudly that a token is about to die */
	RETRY_FIRST = 1,		/* seconds, doubling */
	RETRY_EXCHANGE_MAX = 30,
	RETRY_OTHER_MAX = 3600,
	CONFIRM_PATIENCE = 86400,	/* seconds after which an unsigned install is given up */
};

static const char default_endpoint[] = "/api/droplet_installations/exchange";

/* A record that is to be tried again later. */
struct backoff {
	char record[NAME_SIZE];
	int64_t next;
	unsigned tries;
	struct backoff *following;
};

struct credentials {
	const struct conf *conf;
	struct state *state;
	int subscriptions;
	struct transport *transport;
	struct backoff *backoffs;
};

/* What came of one record. */
enum outcome { SETTLED, LATER, GONE };

struct credentials *
credentials_new(const struct conf *conf, struct state *state, int subscriptions)
{
	struct credentials *c = calloc(1, sizeof(*c));
	struct fluid_error e;

	if (c == NULL)
		return (NULL);
	*c = (struct credentials){ .conf = conf, .state = state, .subscriptions = subscriptions };
	if ((c->transport = transport_new(conf, &e)) == NULL) {
		log_line(LOG_LEVEL_ERROR, "Fluid's API cannot be called", "why", e.text, NULL);
		free(c);
		return (NULL);
	}
	return (c);
}

void
credentials_free(struct credentials *c)
{
	struct backoff *b;

	if (c == NULL)
		return;
	while ((b = c->backoffs) != NULL) {
		c->backoffs = b->following;
		free(b);
	}
	transport_free(c->transport);
	free(c);
}

static struct backoff *
backoff_of(struct credentials *c, const char *record)
{
	struct backoff *b;

	for (b = c->backoffs; b; b = b->following)
		if (strcmp(b->record, record) == 0)
			return (b);
	if ((b = calloc(1, sizeof(*b))) == NULL)
		return (NULL);
	snprintf(b->record, sizeof(b->record), "%s", record);
	b->following = c->backoffs;
	c->backoffs = b;
	return (b);
}

static void
forget_backoff(struct credentials *c, const char *record)
{
	for (struct backoff **p = &c->backoffs, *b; (b = *p) != NULL; p = &b->following)
		if (strcmp(b->record, record) == 0) {
			*p = b->following;
			free(b);
			return;
		}
}

static bool
same_or_unsaid(const char *a, const char *b)
{
	return (a == NULL || b == NULL || strcmp(a, b) == 0);
}

/* When the exchange token dies, unix seconds. */
static int64_t
expiry_of(const struct installation *i)
{
	struct timespec t;

	if (i->exchange_token_expires_at && timefmt_parse(i->exchange_token_expires_at, &t) == 0)
		return (t.tv_sec);
	return (i->installed_at + TOKEN_LIFE);
}

/* Save a changed record. The caller holds the lock. */
static int
save(struct credentials *c, struct installation *i)
{
	clock_gettime(CLOCK_REALTIME, &i->updated_at);
	if (lifecycle_save(c->state, i) == 0)
		return (0);
	log_errno(LOG_LEVEL_ERROR, "record cannot be written", "record", i->record, NULL);
	return (-1);
}

/* It will never have credentials, and what it has is of no use. */
static enum outcome
set_failed(struct credentials *c, struct installation *i, const char *reason, const char *why)
{
	log_line(LOG_LEVEL_ERROR, "installation failed", "installation", i->record, "reason", reason,
	    "why", why, NULL);
	i->status = INSTALLATION_FAILED;
	installation_drop_credentials(i);
	if (installation_set(&i->reason, reason) || save(c, i))
		return (LATER);
	return (SETTLED);
}

/* The credentials are here: they are on disk before anything else happens. */
static enum outcome
set_active(struct credentials *c, struct installation *i)
{
	i->status = INSTALLATION_ACTIVE;
	installation_drop_exchange(i);
	installation_set(&i->reason, NULL);
	if (save(c, i))
		return (LATER);
	log_line(LOG_LEVEL_INFO, "installation active", "installation", i->record, NULL);
	if (lifecycle_supersede(c->state, i))
		log_errno(LOG_LEVEL_ERROR, "older installation not superseded", "record", i->record,
		    NULL);
	if (i->status == INSTALLATION_ACTIVE)
		subscribe_want(c->conf, c->subscriptions, i->record);
	return (SETTLED);
}

/* Whether what Fluid says about it is about this record. */
static bool
agrees(const struct installation *i, const struct fluid_installation *f)
{
	return (f->active && same_or_unsaid(i->droplet_installation_uuid, f->droplet_installation_uuid) &&
	    same_or_unsaid(i->droplet_uuid, f->droplet_uuid) &&
	    same_or_unsaid(i->fluid_company_id, f->fluid_company_id));
}

static int
take_credentials(struct installation *i, const struct exchange *x)
{
	const struct fluid_installation *f = &x->installation;

	if (installation_set(&i->authentication_token, x->authentication_token) ||
	    installation_set(&i->webhook_verification_token, x->webhook_verification_token))
		return (-1);
	/* What the install left unsaid. */
	if ((i->droplet_uuid == NULL && installation_set(&i->droplet_uuid, f->droplet_uuid)) ||
	    (i->fluid_shop == NULL && installation_set(&i->fluid_shop, f->fluid_shop)))
		return (-1);
	if (i->fluid_company_id == NULL) {
		if (installation_set(&i->fluid_company_id, f->fluid_company_id))
			return (-1);
		i->fluid_company_id_number = f->fluid_company_id_number;
	}
	return (0);
}

/*
 * What came of an exchange. tried: there was a try before this one whose outcome nobody knows, so that
 * a refusal can mean that it succeeded, and its answer was lost. The caller holds the lock.
 */
static enum outcome
on_exchanged(struct credentials *c, struct installation *i, enum exchange_outcome outcome, bool tried,
    const struct exchange *x, const struct fluid_error *e)
{
	int64_t left = expiry_of(i) - time(NULL);
	char seconds[24];

	switch (outcome) {
	case EXCHANGE_DONE:
		if (!agrees(i, &x->installation))
			return (set_failed(c, i, "exchange_contradicts", "Fluid answered about another"));
		return (take_credentials(i, x) ? LATER : set_active(c, i));
	case EXCHANGE_REFUSED:
		if (i->status == INSTALLATION_ACTIVE) {
			/* It works with the credentials it has. */
			installation_drop_exchange(i);
			return (save(c, i) ? LATER : SETTLED);
		}
		if (!tried)
			return (set_failed(c, i, "exchange_refused", e->text));
		return (set_failed(c, i, "exchange_outcome_unknown", "exchanged at Fluid, but the answer "
		    "was lost: have the droplet installed again"));
	case EXCHANGE_AGAIN:
		/* Nothing was spent by this one. */
		if (!tried)
			installation_set(&i->exchange_tried_at, NULL);
		break;
	case EXCHANGE_UNKNOWN:
		tried = true;
		break;
	}
	if (left <= 0)
		return (set_failed(c, i, tried ? "exchange_outcome_unknown" : "exchange_expired",
		    e->text));
	snprintf(seconds, sizeof(seconds), "%lld", (long long)left);
	log_line(left < WARN_LEFT ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, left < WARN_LEFT ?
	    "exchange token is about to die unexchanged" : "exchange to be tried again",
	    "installation", i->record, "seconds_left", seconds, "why", e->text, NULL);
	save(c, i);
	return (LATER);
}

/* Note in the record that a try begins. Returns the record, or NULL where there is nothing to do. */
static struct installation *
begin_exchange(struct credentials *c, const char *record, bool *tried)
{
	struct installation *i = NULL;
	char now[TIMEFMT_SECONDS_SIZE];

	if (state_lock(c->state))
		return (NULL);
	if ((i = installation_load(c->state->installations, record)) != NULL && i->exchange_token) {
		*tried = i->exchange_tried_at != NULL;
		timefmt_seconds(now, time(NULL));
		if (installation_set(&i->exchange_tried_at, now) || save(c, i)) {
			installation_free(i);
			i = NULL;
		}
	}
	state_unlock(c->state);
	return (i);
}

/* The record as it is now, if it still waits for what was asked on its behalf. */
static struct installation *
load_again(struct credentials *c, const struct installation *asked)
{
	struct installation *i = installation_load(c->state->installations, asked->record);

	if (i && i->status != INSTALLATION_PENDING && i->status != INSTALLATION_UNCONFIRMED &&
	    i->status != INSTALLATION_ACTIVE) {
		log_line(LOG_LEVEL_WARN, "installation ended while Fluid was asked", "installation",
		    i->record, "status", installation_status_name(i->status), NULL);
		installation_free(i);
		return (NULL);
	}
	return (i);
}

static enum outcome
exchange_record(struct credentials *c, const char *record)
{
	bool tried = false;
	struct installation *asked = begin_exchange(c, record, &tried), *i;
	enum exchange_outcome result;
	enum outcome outcome = LATER;
	struct exchange x = { 0 };
	struct fluid_error e;

	if (asked == NULL)
		return (LATER);
	result = installations_exchange(c->transport, &(struct exchange_request){
		.endpoint = asked->exchange_endpoint ? asked->exchange_endpoint : default_endpoint,
		.exchange_token = asked->exchange_token,
		.droplet_installation_uuid = asked->droplet_installation_uuid,
		.fluid_company_id = asked->fluid_company_id,
	}, &x, &e);
	/* Credentials that were received must not be lost because a lock is hard to get. */
	while (state_lock(c->state))
		sleep(1);
	if ((i = load_again(c, asked)) != NULL)
		outcome = on_exchanged(c, i, result, tried, &x, &e);
	else
		outcome = GONE;
	state_unlock(c->state);
	exchange_free(&x);
	installation_free(asked);
	installation_free(i);
	return (outcome);
}

/* An unsigned install with permanent credentials: does Fluid know it, by the token it brought? */
static enum outcome
confirm_record(struct credentials *c, const struct installation *asked)
{
	struct fluid_installation f = { 0 };
	struct fluid_token token = { 0 };
	enum outcome outcome = LATER;
	struct installation *i;
	struct fluid_error e;
	int result;

	fluid_error_clear(&e);
	if (asked->droplet_installation_uuid == NULL)
		result = fluid_error_set(&e, FLUID_REFUSED, "no installation uuid to ask for");
	else if (token_installation(&token, asked->authentication_token, asked->record, &e))
		result = fluid_error_set(&e, FLUID_REFUSED, "no token that can be asked with");
	else
		result = installations_get(c->transport, &token, asked->droplet_installation_uuid, &f, &e);
	if (state_lock(c->state))
		goto out;
	if ((i = load_again(c, asked)) == NULL)
		outcome = GONE;
	else if (i->status != INSTALLATION_UNCONFIRMED)
		outcome = SETTLED;
	else if (result == 0 && agrees(i, &f))
		outcome = set_active(c, i);
	else if (result == 0)
		outcome = set_failed(c, i, "confirmation_contradicts", "Fluid says otherwise");
	else if (e.failure == FLUID_REFUSED && (e.status < 300 || e.status >= 400))
		outcome = set_failed(c, i, "confirmation_refused", e.text);
	else if (time(NULL) - i->installed_at > CONFIRM_PATIENCE)
		outcome = set_failed(c, i, "confirmation_timeout", e.text);
	else
		log_line(LOG_LEVEL_WARN, "confirmation to be tried again", "installation", i->record,
		    "why", e.text, NULL);
	installation_free(i);
	state_unlock(c->state);
out:
	token_free(&token);
	fluid_installation_free(&f);
	return (outcome);
}

/* Do what this record waits for, if it still does. */
static enum outcome
settle_record(struct credentials *c, const char *record)
{
	struct installation *i = installation_load(c->state->installations, record);
	enum outcome outcome = GONE;

	if (i == NULL && errno != ENOENT) {
		log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", record, NULL);
		return (LATER);
	}
	if (i && i->exchange_token && (i->status == INSTALLATION_PENDING ||
	    i->status == INSTALLATION_ACTIVE || (i->status == INSTALLATION_UNCONFIRMED &&
	    i->authentication_token == NULL)))
		outcome = exchange_record(c, record);
	else if (i && i->status == INSTALLATION_UNCONFIRMED)
		outcome = confirm_record(c, i);
	installation_free(i);
	return (outcome);
}

/* One pass over a folder of markers. */
struct pass {
	struct credentials *c;
	int markers;
	bool subscriptions;
	const atomic_bool *stop;
	unsigned settled;
	int64_t next;
};

static void
try_later(struct pass *p, const char *record)
{
	int64_t most = p->subscriptions || p->markers == p->c->state->unconfirmed ? RETRY_OTHER_MAX :
	    RETRY_EXCHANGE_MAX;
	struct backoff *b = backoff_of(p->c, record);
	int64_t wait;

	if (b == NULL)
		return;
	wait = (int64_t)RETRY_FIRST << (b->tries < 12 ? b->tries : 12);
	b->tries++;
	b->next = time(NULL) + (wait < most ? wait : most);
	if (p->next == 0 || b->next < p->next)
		p->next = b->next;
}

static int
try_marker(void *user, const char *record)
{
	struct pass *p = user;
	struct backoff *b;
	enum outcome outcome;

	if (atomic_load(p->stop))
		return (1);
	for (b = p->c->backoffs; b && strcmp(b->record, record) != 0; b = b->following)
		;
	if (b && b->next > time(NULL)) {
		if (p->next == 0 || b->next < p->next)
			p->next = b->next;
		return (0);
	}
	if (p->subscriptions)
		outcome = subscribe_record(p->c->conf, p->c->transport, p->c->state, record) == -1 ?
		    LATER : SETTLED;
	else
		outcome = settle_record(p->c, record);
	if (outcome == LATER) {
		try_later(p, record);
		return (0);
	}
	forget_backoff(p->c, record);
	/* Saving the record has removed its marker; this one is of a record that is gone, or past it. */
	if ((outcome == GONE || p->subscriptions) && unlinkat(p->markers, record, 0) && errno != ENOENT)
		log_errno(LOG_LEVEL_WARN, "marker not removed", "record", record, NULL);
	p->settled += outcome == SETTLED;
	return (0);
}

unsigned
credentials_run(struct credentials *c, int64_t *next, const atomic_bool *stop)
{
	struct pass p = { .c = c, .stop = stop };

	p.markers = c->state->pending;
	index_each(c->state->queue, "pending", 0, try_marker, &p);
	p.markers = c->state->unconfirmed;
	index_each(c->state->queue, "unconfirmed", 0, try_marker, &p);
	p.markers = c->subscriptions;
	p.subscriptions = true;
	if (c->conf->public_url && c->conf->n_subscribe)
		index_each(c->state->queue, "subscribe", 0, try_marker, &p);
	*next = p.next;
	return (p.settled);
}
