#include "worker/resolve.h"

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
#include "worker/answer.h"
#include "worker/confirm.h"
#include "worker/outcome.h"

enum {
	WARN_LEFT = 120,         /* say loudly that a token is about to die */
	SAVE_PATIENCE = 300,     /* seconds in which credentials have to find room on the disk */
	ANSWER_ROOM = 32 * 1024, /* by how many bytes an answer can make a record larger */
};

static const char default_endpoint[] = "/api/droplet_installations/exchange";
static const char install_again[] = "have the company uninstall the droplet and install it again";

static bool
same(const char *a, const char *b)
{
	return (a && b && strcmp(a, b) == 0);
}

/* An exchange, from before the call on. */
struct attempt {
	struct installation *asked; /* the record as it was then, this try noted */
	bool tried;                 /* there was a try before, whose outcome is unknown */
	bool last;                  /* the token has expired by our clock: no further try */
	bool adopted;               /* the answer came to a worker that was killed */
	enum exchange_outcome outcome;
	struct exchange x;
	struct fluid_error e;
};

/* The token is dead, and this was the last try. */
static enum resolved
on_expired(const struct resolving *s, struct installation *i, const struct attempt *a)
{
	if (i->status == INSTALLATION_UNCONFIRMED)
		return (outcome_remove(s, i,
		    "unsigned install not confirmed while its token lived, its "
		    "record is removed",
		    a->e.text));
	if (a->tried || a->outcome == EXCHANGE_UNKNOWN)
		return (outcome_fail(s, i, "exchange_outcome_unknown",
		    "the answer to an exchange was lost, "
		    "and the token has expired",
		    install_again));
	return (outcome_fail(s, i, "exchange_expired", a->e.text, install_again));
}

/* Fluid refused: this token will never be exchanged (any more). */
static enum resolved
on_refused(const struct resolving *s, struct installation *i, const struct attempt *a)
{
	if (i->status == INSTALLATION_UNCONFIRMED)
		return (outcome_remove(s, i,
		    "unsigned install denied by Fluid, its record is removed", a->e.text));
	if (a->e.status >= 200 && a->e.status < 300)
		return (outcome_fail(s, i, "exchange_contradicts", a->e.text, install_again));
	if (a->e.status && a->tried)
		return (outcome_fail(s, i, "exchange_outcome_unknown",
		    "exchanged at Fluid, but the answer was lost", install_again));
	if (a->e.status == 410 && a->last)
		return (outcome_fail(s, i, "exchange_expired", a->e.text, install_again));
	return (outcome_fail(s, i, "exchange_refused", a->e.text, install_again));
}

/* Nothing came of this try. */
static enum resolved
on_no_answer(const struct resolving *s, struct installation *i, const struct attempt *a)
{
	int64_t left = lifecycle_exchange_expires(i) - time(NULL);
	char seconds[24];

	if (a->last)
		return (on_expired(s, i, a));
	/* The record says that a try was made; this one has spent nothing. */
	if (a->outcome == EXCHANGE_AGAIN && !a->tried &&
	    (installation_set(&i->exchange_tried_at, NULL) || outcome_save(s, i)))
		return (RESOLVE_LATER);
	snprintf(seconds, sizeof(seconds), "%lld", (long long)(left > 0 ? left : 0));
	log_line(left < WARN_LEFT ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN,
	    left < WARN_LEFT ? "exchange token is about to die unexchanged" :
			       "exchange to be tried again",
	    "installation", i->record, "seconds_left", seconds, "why", a->e.text, NULL);
	return (RESOLVE_LATER);
}

/*
 * An unsigned install was exchanged. The token is spent, so the credentials are saved even where Fluid has
 * not said all of it yet: the record then waits for the answer about their owner.
 */
static enum resolved
on_exchanged_unsigned(const struct resolving *s, struct installation *i, const struct attempt *a)
{
	enum lifecycle_confirmation confirmation = confirm_compare(i, &a->x.installation);

	if (confirmation == LIFECYCLE_DENIED)
		return (
		    outcome_remove(s, i, "unsigned install denied by Fluid, its record is removed",
			"Fluid's answer is about another company, shop, droplet or installation"));
	if (lifecycle_set_credentials(i, a->x.authentication_token,
		a->x.webhook_verification_token) ||
	    confirm_complete(i, &a->x.installation))
		return (RESOLVE_LATER);
	installation_drop_exchange(i);
	if (confirmation == LIFECYCLE_CONFIRMED)
		return (outcome_active(s, i));
	return (outcome_save(s, i) ? RESOLVE_LATER : RESOLVE_ON);
}

/* What came of an exchange, for the record as it is now. The caller holds the lock. */
static enum resolved
on_exchanged(const struct resolving *s, struct installation *i, const struct attempt *a)
{
	/* An install that came meanwhile has brought other credentials, or another token. */
	bool overtaken = !same(i->exchange_token, a->asked->exchange_token);

	/* That worker was killed between the record and the end of the file with the answer. */
	if (a->adopted && same(i->authentication_token, a->x.authentication_token))
		return (RESOLVED);
	if (overtaken &&
	    (i->status == INSTALLATION_UNCONFIRMED || a->outcome != EXCHANGE_DONE ||
		!confirm_agrees(i, &a->x.installation)))
		return (RESOLVED);
	/* An uninstall that came meanwhile has ended the install that was asked for. */
	if (overtaken && a->asked->installed_at <= i->last_uninstalled_at)
		return (RESOLVED);
	if (overtaken && lifecycle_has_newer_credentials(i, a->asked)) {
		log_line(LOG_LEVEL_INFO, "credentials of an older install are not taken",
		    "installation", i->record, NULL);
		return (RESOLVED);
	}
	if (a->outcome == EXCHANGE_REFUSED)
		return (on_refused(s, i, a));
	if (a->outcome != EXCHANGE_DONE)
		return (on_no_answer(s, i, a));
	if (i->status == INSTALLATION_UNCONFIRMED)
		return (on_exchanged_unsigned(s, i, a));
	if (!confirm_agrees(i, &a->x.installation))
		return (outcome_fail(s, i, "exchange_contradicts",
		    "Fluid's answer is about another company, "
		    "or about another droplet",
		    install_again));
	if (lifecycle_set_credentials(i, a->x.authentication_token,
		a->x.webhook_verification_token) ||
	    confirm_complete(i, &a->x.installation))
		return (RESOLVE_LATER);
	i->credentials_installed_at = overtaken ? a->asked->installed_at : 0;
	if (!overtaken)
		installation_drop_exchange(i);
	return (outcome_active(s, i));
}

/*
 * Before the call: set space aside for what comes of it, and note in the record that a try begins. The
 * caller holds the lock. Returns 0, or -1: Fluid is not to be called.
 */
static int
begin_exchange(const struct resolving *s, struct installation *i, struct attempt *a)
{
	char now[TIMEFMT_SECONDS_SIZE];
	struct buf text = { 0 };
	int result = installation_json(i, &text);

	if (result == 0)
		result = reserve_make(s->reserve, s->reserves, i->record, text.len + ANSWER_ROOM) ||
			reserve_make(s->answer, s->answers, i->record, ANSWER_SIZE) ?
		    -1 :
		    0;
	buf_wipe(&text);
	if (result) {
		log_errno(LOG_LEVEL_ERROR, "no room for credentials: not exchanged yet",
		    "installation", i->record, NULL);
		return (-1);
	}
	a->tried = i->exchange_tried_at != NULL;
	timefmt_seconds(now, time(NULL));
	if (outcome_note_active(s, i->record) || installation_set(&i->exchange_tried_at, now) == -1)
		return (-1);
	clock_gettime(CLOCK_REALTIME, &i->updated_at);
	if (lifecycle_save(s->state, i) == 0)
		return (0);
	log_errno(LOG_LEVEL_ERROR, "record cannot be written", "record", i->record, NULL);
	return (-1);
}

static enum resolved
end_exchange(const struct resolving *s, const struct attempt *a)
{
	struct installation *i = NULL;
	enum resolved resolved;

	if (state_lock(s->state)) {
		log_errno(LOG_LEVEL_ERROR, "records cannot be locked", NULL);
		return (RESOLVE_LATER);
	}
	if ((resolved = outcome_load(s, a->asked->record, &i)) == RESOLVED)
		resolved = on_exchanged(s, i, a);
	state_unlock(s->state);
	installation_free(i);
	return (resolved);
}

/* Where an unverified body says it, the endpoint counts as little as the rest of it. */
static const char *
endpoint_of(const struct installation *i)
{
	return (i->exchange_endpoint && i->status != INSTALLATION_UNCONFIRMED ?
		i->exchange_endpoint :
		default_endpoint);
}

static enum resolved
exchange(const struct resolving *s, struct attempt *a)
{
	const struct installation *asked = a->asked;
	enum resolved resolved;

	a->outcome = installations_exchange(s->api,
	    &(struct exchange_request){
		.endpoint = endpoint_of(asked),
		.exchange_token = asked->exchange_token,
		.droplet_installation_uuid = asked->droplet_installation_uuid,
		.fluid_company_id = asked->fluid_company_id,
	    },
	    &a->x, &a->e);
	/* First of all, as these credentials are nowhere else: a kill from here on does not lose them. */
	if (a->outcome == EXCHANGE_DONE && answer_write(s->answer, asked, &a->x))
		log_errno(LOG_LEVEL_ERROR, "credentials are in memory alone for now",
		    "installation", asked->record, NULL);
	resolved = end_exchange(s, a);
	/* They have room, but the record may be unreadable just now. */
	for (int n = 0; a->outcome == EXCHANGE_DONE && resolved == RESOLVE_LATER &&
	     n < SAVE_PATIENCE && s->reserve->fd != -1 && !atomic_load(s->stop);
	     n++) {
		sleep(1);
		resolved = end_exchange(s, a);
	}
	if (a->outcome == EXCHANGE_DONE && resolved == RESOLVE_LATER)
		reserve_leave(s->answer);
	exchange_free(&a->x);
	installation_free(a->asked);
	return (resolved);
}

enum resolved
resolve_adopt(const struct resolving *s, const char *record)
{
	struct attempt a = { .outcome = EXCHANGE_DONE, .adopted = true };
	enum resolved resolved = RESOLVE_LATER;

	if (answer_read(s->answers, record, &a.asked, &a.x)) {
		if (errno != ENOENT && errno != EBADMSG) {
			log_errno(LOG_LEVEL_ERROR, "credentials cannot be read: not exchanged",
			    "file", record, NULL);
			return (RESOLVE_LATER);
		}
		/* Room for an answer that did not arrive. */
		if (errno == EBADMSG)
			unlinkat(s->answers, record, 0);
		return (RESOLVE_NOTHING);
	}
	log_line(LOG_LEVEL_INFO, "credentials that Fluid gave before are taken over",
	    "installation", record, NULL);
	if (outcome_note_active(s, record) == 0)
		resolved = end_exchange(s, &a);
	if (resolved != RESOLVE_LATER && answer_remove(s->answers, record))
		log_errno(LOG_LEVEL_ERROR, "credentials in the queue cannot be removed",
		    "installation", record, NULL);
	exchange_free(&a.x);
	installation_free(a.asked);
	return (resolved == RESOLVE_NOTHING ? RESOLVED : resolved);
}

enum resolved
resolve_record(const struct resolving *s, int markers, const char *record, int64_t *deadline)
{
	enum { CONFIRM, EXCHANGE, NEITHER } todo = NEITHER;
	enum resolved resolved;
	struct attempt a = { .tried = false };
	struct installation *i;

	*deadline = 0;
	if ((resolved = resolve_adopt(s, record)) != RESOLVE_NOTHING)
		return (resolved);
	/* Under the lock: whoever makes a record sets its marker first. */
	if (state_lock(s->state))
		return (RESOLVE_LATER);
	i = installation_load(s->state->installations, record);
	if (i == NULL && errno != ENOENT) {
		log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", record, NULL);
		resolved = RESOLVE_LATER;
	} else if (i && lifecycle_waits_for_exchange(i)) {
		*deadline = lifecycle_exchange_expires(i);
		/* Our clock can be wrong: only a try shows whether the token is dead. */
		a.last = *deadline <= time(NULL);
		if (begin_exchange(s, i, &a))
			resolved = RESOLVE_LATER;
		else
			todo = EXCHANGE;
	} else if (i && i->status == INSTALLATION_UNCONFIRMED) {
		todo = CONFIRM;
	} else {
		marker_clear(markers, record);
	}
	state_unlock(s->state);
	if (todo == EXCHANGE) {
		a.asked = i;
		resolved = exchange(s, &a);
	} else if (todo == CONFIRM) {
		resolved = confirm_record(s, i);
	} else {
		installation_free(i);
	}
	reserve_drop(s->reserve);
	reserve_drop(s->answer);
	return (resolved);
}

int
resolve_active(const struct resolving *s, const char *record)
{
	struct installation *i;
	int result = -1;

	if (state_lock(s->state))
		return (-1);
	if ((i = installation_load(s->state->installations, record)) == NULL && errno != ENOENT)
		log_errno(LOG_LEVEL_ERROR, "record cannot be read", "record", record, NULL);
	else if (i == NULL || i->status != INSTALLATION_ACTIVE)
		result = 0;
	else if (outcome_complete(s, i) == 0)
		result = i->status == INSTALLATION_ACTIVE;
	state_unlock(s->state);
	installation_free(i);
	return (result);
}
