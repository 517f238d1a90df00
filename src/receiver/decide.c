#include "receiver/decide.h"

#include <string.h>

/* An unsigned install has no larger body (contract section 3). */
enum { UNSIGNED_BODY_MAX = 64 * 1024 };

static struct decision
answer(struct answer a)
{
	return ((struct decision){ .action = ACTION_ANSWER, .answer = a });
}

static struct decision
action(enum action a)
{
	return ((struct decision){ .action = a });
}

/* An unsigned install that the worker may confirm with Fluid, if the configuration wants that. */
static bool
may_be_confirmed(const struct intake *in)
{
	const struct delivery_content *c = in->content;
	const struct conf *conf = in->authority.conf;

	return (conf->unsigned_installs == UNSIGNED_CONFIRM &&
	    in->body.bytes.len <= UNSIGNED_BODY_MAX && c->well_formed &&
	    c->kind == DELIVERY_INSTALLED && c->incomplete == NULL &&
	    conf_droplet_by_uuid(conf, c->droplet));
}

/* A delivery whose sender is known: is it one that can be stored? */
static struct decision
decide_verified(const struct intake *in)
{
	const struct delivery_content *c = in->content;

	if (!c->well_formed)
		return (answer(answer_error(400, "malformed", "malformed")));
	if (c->kind == DELIVERY_UNNAMED)
		return (answer(answer_error(400, "no_event", "no_event")));
	if (c->kind == DELIVERY_RESERVED)
		return (answer(answer_error(400, "reserved", "reserved")));
	if (in->evidence.foreign)
		return (answer(answer_error(403, "unknown_droplet", "unknown_droplet")));
	if (c->incomplete)
		return (answer(answer_incomplete(c->incomplete)));
	if (c->kind == DELIVERY_PROBE)
		return (answer(answer_probe(in->params)));
	return (action(in->evidence.applied ? ACTION_ACCEPT_APPLIED : ACTION_ACCEPT));
}

struct decision
decide(const struct intake *in)
{
	const struct answer unauthorized = answer_error(401, "unauthorized", in->reason);

	switch (in->verdict) {
	case VERDICT_GENUINE:
		return (decide_verified(in));
	case VERDICT_NO_EVIDENCE:
		return (
		    may_be_confirmed(in) ? action(ACTION_ACCEPT_UNSIGNED) : answer(unauthorized));
	case VERDICT_NOT_GENUINE:
		/* No key verifies it, and one that could is still to come. */
		if (evidence_may_come(in->authority.conf, in->headers, &in->evidence,
			in->now.tv_sec))
			return ((struct decision){ ACTION_KEEP, answer_unavailable("no_key_yet") });
		return (answer(unauthorized));
	case VERDICT_UNAVAILABLE:
	case VERDICT_STALE:
		break;
	}
	return (answer(answer_unavailable(in->reason)));
}
