#include "worker/settle.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/timefmt.h"
#include "fluid/installations.h"
#include "store/lifecycle.h"
#include "store/marker.h"

enum {
	TOKEN_LIFE = 600,		/* seconds, where no expiry was said (fluid-wire, "Exchange") */
	WARN_LEFT = 120,		/* say loudly that a token is about to die */
	CONFIRM_PATIENCE = 86400,	/* seconds after which an unsigned install is given up */
	SAVE_PATIENCE = 300,		/* seconds in which credentials have to find room on the disk */
};

static const char default_endpoint[] = "/api/droplet_installations/exchange";
static const char install_again[] = "have the company uninstall the droplet and install it again";

static bool
same(const char *a, const char *b)
{
	return (a && b && strcmp(a, b) == 0);
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
save(const struct settling *s, struct installation *i)
{
	clock_gettime(CLOCK_REALTIME, &i->updated_at);
	if (lifecycle_save(s->state, i) == 0)
		return (0);
	log_errno(LOG_LEVEL_ERROR, "record cannot be written", "record", i->record, NULL);
	return (-1);
}

/*
 * What it waits for will never come. An installation that works with the credentials it has goes on with
 * them; any other has failed. todo: what the operator can do, or NULL. The caller holds the lock.
 */
static enum settled
fail(const struct settling *s, struct installation *i, const char *reason, const char *why,
    const char *todo)
{
	if (i->status == INSTALLATION_ACTIVE) {
		log_line(LOG_LEVEL_WARN, "exchange token given up, the credentials at hand stay",
		    "installation", i->record, "reason", reason, "why", why, NULL);
		installation_drop_exchange(i);
		return (save(s, i) ? SETTLE_LATER : SETTLED);
	}
	log_line(LOG_LEVEL_ERROR, "installation failed", "installation", i->record, "reason", reason,
	    "why", why, "todo", todo, NULL);
	i->status = INSTALLATION_FAILED;
	installation_drop_credentials(i);
	return (installation_set(&i->reason, reason) || save(s, i) ? SETTLE_LATER : SETTLED);
}

/* Note that this record may become active, and then wants completing. Returns 0, or -1. */
static int
note_active(const struct settling *s, const char *record)
{
	if (marker_set(s->became_active, record) == 0)
		return (0);
	log_errno(LOG_LEVEL_ERROR, "record cannot be noted", "record", record, NULL);
	return (-1);
}

/*
 * What belongs to an active record: its places in the indexes, no marker without need, and no older
 * installation beside it. The caller holds the lock. Returns 0, or -1 after an error was logged.
 */
static int
complete_active(const struct settling *s, struct installation *i)
{
	if (lifecycle_index(s->state, i) || lifecycle_supersede(s->state, i)) {
		log_errno(LOG_LEVEL_ERROR, "active installation not completed", "installation", i->record,
		    NULL);
		return (-1);
	}
	marker_clear(s->state->unconfirmed, i->record);
	if (i->exchange_token == NULL)
		marker_clear(s->state->pending, i->record);
	return (0);
}

/*
 * The credentials are here: they are on disk before anything else happens. A marker says already that it
 * may become active, so that what is not done then is done later. The caller holds the lock.
 */
static enum settled
set_active(const struct settling *s, struct installation *i)
{
	i->status = INSTALLATION_ACTIVE;
	installation_set(&i->reason, NULL);
	clock_gettime(CLOCK_REALTIME, &i->updated_at);
	if (installation_save(s->state->installations, i)) {
		log_errno(LOG_LEVEL_ERROR, "record cannot be written", "record", i->record, NULL);
		return (SETTLE_LATER);
	}
	log_line(LOG_LEVEL_INFO, "installation active", "installation", i->record, NULL);
	complete_active(s, i);
	return (SETTLED);
}

/*
 * Whether what Fluid says about it is about this record. For an install that nobody has vouched for
 * Fluid has to name the droplet.
 */
static bool
agrees(const struct installation *i, const struct fluid_installation *f)
{
	if (i->status == INSTALLATION_UNCONFIRMED && f->droplet_uuid == NULL)
		return (false);
	return (f->active &&
	    same_or_unsaid(i->droplet_installation_uuid, f->droplet_installation_uuid) &&
	    same_or_unsaid(i->droplet_uuid, f->droplet_uuid) &&
	    same_or_unsaid(i->fluid_company_id, f->fluid_company_id));
}

static int
take_credentials(struct installation *i, const struct exchange *x)
{
	const struct fluid_installation *f = &x->installation;

	if (installation_set(&i->authentication_token, x->authentication_token))
		return (-1);
	/* Fluid can leave the key out; the one at hand then goes on. */
	if (x->webhook_verification_token && installation_set(&i->webhook_verification_token,
	    x->webhook_verification_token))
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

/* An exchange, from before the call on. */
struct attempt {
	struct installation *asked;	/* the record as it was then, this try noted */
	bool tried;			/* there was a try before, whose outcome nobody knows */
	enum exchange_outcome outcome;
	struct exchange x;
	struct fluid_error e;
};

/* Fluid refused: this token will never be exchanged (any more). */
static enum settled
on_refused(const struct settling *s, struct installation *i, const struct attempt *a)
{
	if (a->e.status >= 200 && a->e.status < 300)
		return (fail(s, i, "exchange_contradicts", a->e.text, install_again));
	if (a->e.status && a->tried)
		return (fail(s, i, "exchange_outcome_unknown",
		    "exchanged at Fluid, but the answer was lost", install_again));
	return (fail(s, i, "exchange_refused", a->e.text, install_again));
}

/* Nothing came of this try. */
static enum settled
on_no_answer(const struct settling *s, struct installation *i, const struct attempt *a)
{
	int64_t left = expiry_of(i) - time(NULL);
	char seconds[24];

	/* The record says that a try was made; this one has spent nothing. */
	if (a->outcome == EXCHANGE_AGAIN && !a->tried &&
	    (installation_set(&i->exchange_tried_at, NULL) || save(s, i)))
		return (SETTLE_LATER);
	snprintf(seconds, sizeof(seconds), "%lld", (long long)(left > 0 ? left : 0));
	log_line(left < WARN_LEFT ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, left < WARN_LEFT ?
	    "exchange token is about to die unexchanged" : "exchange to be tried again",
	    "installation", i->record, "seconds_left", seconds, "why", a->e.text, NULL);
	return (SETTLE_LATER);
}

/* What came of an exchange, for the record as it is now. The caller holds the lock. */
static enum settled
on_exchanged(const struct settling *s, struct installation *i, const struct attempt *a)
{
	/* An install that came meanwhile has brought other credentials, or another token. */
	bool overtaken = !same(i->exchange_token, a->asked->exchange_token);

	if (overtaken && (a->outcome != EXCHANGE_DONE || !agrees(i, &a->x.installation)))
		return (SETTLED);
	/* An uninstall that came meanwhile has ended the install that was asked for. */
	if (overtaken && a->asked->installed_at <= i->last_uninstalled_at)
		return (SETTLED);
	if (a->outcome == EXCHANGE_REFUSED)
		return (on_refused(s, i, a));
	if (a->outcome != EXCHANGE_DONE)
		return (on_no_answer(s, i, a));
	if (!agrees(i, &a->x.installation))
		return (fail(s, i, "exchange_contradicts", "Fluid's answer is about another company, "
		    "or about another droplet", install_again));
	if (take_credentials(i, &a->x))
		return (SETTLE_LATER);
	i->credentials_installed_at = overtaken ? a->asked->installed_at : 0;
	if (!overtaken)
		installation_drop_exchange(i);
	return (set_active(s, i));
}

/* A token that is dead cannot be exchanged any more. The caller holds the lock. */
static enum settled
on_expired(const struct settling *s, struct installation *i)
{
	if (i->exchange_tried_at)
		return (fail(s, i, "exchange_outcome_unknown", "the answer to an exchange was lost, and "
		    "the token has expired", install_again));
	return (fail(s, i, "exchange_expired", "the exchange token has expired", install_again));
}

/* Note in the record that a try begins, and what may come of it. The caller holds the lock. 0, or -1. */
static int
begin_exchange(const struct settling *s, struct installation *i, bool *tried)
{
	char now[TIMEFMT_SECONDS_SIZE];

	*tried = i->exchange_tried_at != NULL;
	timefmt_seconds(now, time(NULL));
	if (note_active(s, i->record))
		return (-1);
	return (installation_set(&i->exchange_tried_at, now) || save(s, i) ? -1 : 0);
}

static bool
waits_for_exchange(const struct installation *i)
{
	return (i->exchange_token && (i->status == INSTALLATION_PENDING ||
	    i->status == INSTALLATION_ACTIVE || (i->status == INSTALLATION_UNCONFIRMED &&
	    i->authentication_token == NULL)));
}

/*
 * The record as it is now, where it still can take what Fluid said: *i. The caller holds the lock.
 * Returns SETTLED for go on, else what to do.
 */
static enum settled
load_again(const struct settling *s, const char *record, struct installation **i)
{
	if ((*i = installation_load(s->state->installations, record)) == NULL) {
		if (errno == ENOENT)
			return (SETTLE_NOTHING);
		log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", record, NULL);
		return (SETTLE_LATER);
	}
	if ((*i)->status == INSTALLATION_PENDING || (*i)->status == INSTALLATION_UNCONFIRMED ||
	    (*i)->status == INSTALLATION_ACTIVE)
		return (SETTLED);
	log_line(LOG_LEVEL_WARN, "installation ended while Fluid was asked", "installation", record,
	    "status", installation_status_name((*i)->status), NULL);
	return (SETTLE_NOTHING);
}

static enum settled
end_exchange(const struct settling *s, const struct attempt *a)
{
	struct installation *i = NULL;
	enum settled settled;

	if (state_lock(s->state)) {
		log_errno(LOG_LEVEL_ERROR, "records cannot be locked", NULL);
		return (SETTLE_LATER);
	}
	if ((settled = load_again(s, a->asked->record, &i)) == SETTLED)
		settled = on_exchanged(s, i, a);
	state_unlock(s->state);
	installation_free(i);
	return (settled);
}

/* Takes `asked` over. */
static enum settled
exchange(const struct settling *s, struct installation *asked, bool tried)
{
	struct attempt a = { .asked = asked, .tried = tried };
	enum settled settled;

	a.outcome = installations_exchange(s->transport, &(struct exchange_request){
		.endpoint = asked->exchange_endpoint ? asked->exchange_endpoint : default_endpoint,
		.exchange_token = asked->exchange_token,
		.droplet_installation_uuid = asked->droplet_installation_uuid,
		.fluid_company_id = asked->fluid_company_id,
	}, &a.x, &a.e);
	settled = end_exchange(s, &a);
	/* These credentials are nowhere else: a disk that is full just now must not lose them. */
	for (int n = 0; a.outcome == EXCHANGE_DONE && settled == SETTLE_LATER && n < SAVE_PATIENCE &&
	    !atomic_load(s->stop); n++) {
		sleep(1);
		settled = end_exchange(s, &a);
	}
	exchange_free(&a.x);
	installation_free(asked);
	return (settled);
}

/* What Fluid said about an unsigned install, for the record as it is now. The caller holds the lock. */
static enum settled
on_confirmed(const struct settling *s, struct installation *i, int result,
    const struct fluid_installation *f, const struct fluid_error *e)
{
	if (i->status != INSTALLATION_UNCONFIRMED)
		return (SETTLE_NOTHING);
	if (result == 0 && agrees(i, f))
		return (note_active(s, i->record) ? SETTLE_LATER : set_active(s, i));
	if (result == 0)
		return (fail(s, i, "confirmation_contradicts", "Fluid says otherwise", NULL));
	if (e->failure == FLUID_REFUSED && (e->status < 300 || e->status >= 400))
		return (fail(s, i, "confirmation_refused", e->text, NULL));
	if (time(NULL) - i->installed_at > CONFIRM_PATIENCE)
		return (fail(s, i, "confirmation_timeout", e->text, NULL));
	log_line(LOG_LEVEL_WARN, "confirmation to be tried again", "installation", i->record, "why",
	    e->text, NULL);
	return (SETTLE_LATER);
}

/* An unsigned install with permanent credentials: does Fluid know it, by the token it brought? */
static enum settled
confirm(const struct settling *s, struct installation *asked)
{
	struct fluid_installation f = { 0 };
	struct fluid_token token = { 0 };
	enum settled settled = SETTLE_LATER;
	struct installation *i = NULL;
	struct fluid_error e;
	int result;

	fluid_error_clear(&e);
	if (asked->droplet_installation_uuid == NULL)
		result = fluid_error_set(&e, FLUID_REFUSED, "no installation uuid to ask for");
	else if (token_installation(&token, asked->authentication_token, asked->record, &e))
		result = fluid_error_set(&e, FLUID_REFUSED, "no token that can be asked with");
	else
		result = installations_get(s->transport, &token, asked->droplet_installation_uuid, &f, &e);
	if (state_lock(s->state) == 0) {
		if ((settled = load_again(s, asked->record, &i)) == SETTLED)
			settled = on_confirmed(s, i, result, &f, &e);
		state_unlock(s->state);
	}
	token_free(&token);
	fluid_installation_free(&f);
	installation_free(asked);
	installation_free(i);
	return (settled);
}

enum settled
settle_record(const struct settling *s, int markers, const char *record, int64_t *deadline)
{
	enum { CONFIRM, EXCHANGE, NEITHER } todo = NEITHER;
	enum settled settled = SETTLE_NOTHING;
	struct installation *i;
	bool tried = false;

	*deadline = 0;
	/* Under the lock: whoever makes a record sets its marker first. */
	if (state_lock(s->state))
		return (SETTLE_LATER);
	i = installation_load(s->state->installations, record);
	if (i == NULL && errno != ENOENT) {
		log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", record, NULL);
		settled = SETTLE_LATER;
	} else if (i && waits_for_exchange(i)) {
		*deadline = expiry_of(i);
		if (*deadline <= time(NULL))
			settled = on_expired(s, i);
		else if (begin_exchange(s, i, &tried))
			settled = SETTLE_LATER;
		else
			todo = EXCHANGE;
	} else if (i && i->status == INSTALLATION_UNCONFIRMED) {
		todo = CONFIRM;
	} else {
		marker_clear(markers, record);
	}
	state_unlock(s->state);
	if (todo == EXCHANGE)
		return (exchange(s, i, tried));
	if (todo == CONFIRM)
		return (confirm(s, i));
	installation_free(i);
	return (settled);
}

int
settle_active(const struct settling *s, const char *record)
{
	struct installation *i;
	int result = -1;

	if (state_lock(s->state))
		return (-1);
	if ((i = installation_load(s->state->installations, record)) == NULL && errno != ENOENT)
		log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", record, NULL);
	else if (i == NULL || i->status != INSTALLATION_ACTIVE)
		result = 0;
	else if (complete_active(s, i) == 0)
		result = i->status == INSTALLATION_ACTIVE;
	state_unlock(s->state);
	installation_free(i);
	return (result);
}
