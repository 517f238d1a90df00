#include "receiver/handle.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/log.h"
#include "delivery/accept.h"
#include "receiver/answer.h"
#include "receiver/decide.h"
#include "store/glance.h"
#include "store/wait.h"

/* What came of a step: an answer, unless something else has to be done first. */
struct result {
	enum handled handled;
	struct answer answer; /* of HANDLED */
};

static const struct method {
	const char *name;
	bool delivers;
} methods[] = {
	{ "POST", true },
	{ "PUT", true },
	{ "GET", false },
	{ "HEAD", false },
};

static const struct method *
method_of(const struct request *q)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(methods[i].name, q->method) == 0)
			return (&methods[i]);
	return (NULL);
}

/* application/json, text/json, application/anything+json, with parameters or without; or nothing. */
static bool
is_json(const char *type)
{
	size_t len;

	if (type == NULL || *type == '\0')
		return (true);
	type += strspn(type, " \t");
	len = strcspn(type, "; \t");
	if (type[len + strspn(type + len, " \t")] != ';' &&
	    type[len + strspn(type + len, " \t")] != '\0')
		return (false);
	if ((len == 16 && strncasecmp(type, "application/json", 16) == 0) ||
	    (len == 9 && strncasecmp(type, "text/json", 9) == 0))
		return (true);
	return (len > 17 && strncasecmp(type, "application/", 12) == 0 &&
	    strncasecmp(type + len - 5, "+json", 5) == 0);
}

static struct result
answered(struct answer answer)
{
	return ((struct result){ .handled = HANDLED, .answer = answer });
}

static struct result
not_answered(enum handled handled)
{
	return ((struct result){ .handled = handled });
}

/* The state directory does not work as it should, errno says why. It may heal. */
static void
note_trouble(struct handling *h, const char *what)
{
	struct store *store = h->in.store;

	/* Where there is no store, receiver_store() has logged why. */
	if (store == NULL)
		return;
	log_errno(LOG_LEVEL_ERROR, what, "state_dir", receiver_conf(h->receiver)->state_dir, NULL);
	if (errno == ENOENT || errno == ESTALE)
		receiver_store_lost(h->receiver, store);
}

static struct result
not_stored(struct handling *h, const char *what)
{
	note_trouble(h, what);
	return (answered(answer_unavailable("not_stored")));
}

static void
open_store(struct handling *h)
{
	struct intake *in = &h->in;

	in->store = receiver_store(h->receiver);
	in->authority = (struct authority){
		.conf = receiver_conf(h->receiver),
		.secrets = receiver_secrets(h->receiver),
		.records = in->store ? in->store->records : NULL,
		.state = in->store ? in->store->state : NULL,
	};
}

static void
release_store(struct handling *h)
{
	evidence_release(&h->in.authority, &h->in.evidence);
	store_release(h->in.store);
	h->in.store = NULL;
}

/* Whether every droplet's secrets can be read: without one, its deliveries get 503. */
static bool
has_secrets(const struct authority *a)
{
	struct secret_list *l;
	bool all = true;

	for (size_t i = 0; i < a->conf->n_droplets; i++) {
		const char *path = a->conf->droplets[i].secrets;

		if (path == NULL)
			continue;
		if ((l = secrets_get(a->secrets, path)) != NULL) {
			secrets_release(a->secrets, l);
			continue;
		}
		log_line(LOG_LEVEL_ERROR, "not ready: secrets cannot be read", "file", path,
		    "error", secrets_problem(path, errno), NULL);
		all = false;
	}
	return (all);
}

/* Ready only where a delivery could be judged and stored now. */
static struct result
handle_health(struct handling *h)
{
	struct store *s;

	open_store(h);
	s = h->in.store;
	if (s == NULL || state_ready(s->state, h->in.authority.conf->min_free) ||
	    journal_ready(s->journal, &h->in.now)) {
		note_trouble(h, "not ready");
		return (answered(answer_status(503, "unavailable")));
	}
	if (!has_secrets(&h->in.authority))
		return (answered(answer_status(503, "unavailable")));
	return (answered(answer_status(200, "ok")));
}

/*
 * Read the body. Returns whether it is there. *refusal does not depend on what the body says, so it needs no
 * authentication.
 */
static bool
read_delivery(struct handling *h, struct answer *refusal)
{
	static const struct {
		int status;
		const char *error, *reason;
	} refusals[] = {
		[BODY_TRUNCATED] = { 503, "unavailable", "truncated" },
		[BODY_LATE] = { 503, "unavailable", "late" },
		[BODY_EXCESS] = { 400, "malformed", "excess" },
		[BODY_TOO_LARGE] = { 413, "too_large", "too_large" },
		[BODY_UNAVAILABLE] = { 503, "unavailable", "no_memory" },
	};
	enum body_result result = body_read(&h->in.body, h->request,
	    receiver_conf(h->receiver)->max_body);

	clock_wall(&h->in.now);
	if (result == BODY_WHOLE) {
		h->in.content = delivery_content(h->in.body.delivery);
		return (true);
	}
	*refusal = answer_error(refusals[result].status, refusals[result].error,
	    refusals[result].reason);
	return (false);
}

/*
 * Find the verdict. Nothing is refused because of what a file was like a moment ago: it is judged again then.
 * Returns false if that has to wait for the disk and this thread may not.
 */
static bool
judge(struct handling *h)
{
	struct intake *in = &h->in;
	const struct buf *bytes = &in->body.bytes;
	bool recent = h->request->one_of_many, again;

	if (h->judged)
		return (true);

	do {
		glance_permit(recent);
		open_store(h);
		in->verdict = authenticate(&in->authority, in->headers, in->body.delivery,
		    bytes->data ? bytes->data : "", bytes->len, in->now.tv_sec, &in->evidence,
		    &in->reason);
		again = glance_relied() && (in->verdict != VERDICT_GENUINE || in->evidence.foreign);
		h->judged = !wait_was_needed();
		if (again || !h->judged)
			release_store(h);
		recent = false;
	} while (again && h->judged);
	return (h->judged);
}

/* Answer to what came of accepting it. */
static struct result
answer_to(struct handling *h, enum accepted accepted)
{
	switch (accepted) {
	case ACCEPTED:
	case ACCEPTED_PENDING:
		return (answered(answer_accepted(accepted == ACCEPTED_PENDING)));
	case ACCEPTED_REFUSED:
		return (answered(answer_error(401, "unauthorized", "no_signature")));
	case ACCEPTED_FOREIGN:
		return (answered(answer_error(403, "unknown_droplet", "unknown_droplet")));
	case ACCEPTED_BUSY:
		return (answered(answer_unavailable("too_many_unconfirmed")));
	case ACCEPTED_IN_BATCH:
		return (not_answered(HANDLED_IN_BATCH));
	case ACCEPTED_SLOW:
		return (not_answered(HANDLED_SLOW));
	case ACCEPTED_NOT_STORED:
		break;
	}
	return (not_stored(h, "delivery not stored"));
}

/* Store it, and apply it to its record. */
static struct result
accept_delivery(struct handling *h, enum accepted (*so)(struct intake *in))
{
	const struct intake *in = &h->in;

	if (in->store == NULL || state_has_room(in->store->state, in->authority.conf->min_free))
		return (not_stored(h,
		    errno == ENOSPC ? "less free space than min_free" : "free space not known"));
	return (answer_to(h, so(&h->in)));
}

/* The worker accepts it once the key has come. That it could not be kept does not change the answer. */
static struct result
keep_for_later(struct handling *h, const struct answer *answer)
{
	const struct intake *in = &h->in;
	const struct conf *conf = in->authority.conf;
	const struct refusal r = {
		.method = h->request->method,
		.status = answer->status,
		.reason = answer->reason,
		.headers = in->headers,
		.body = in->body.bytes.data ? in->body.bytes.data : "",
		.body_len = in->body.bytes.len,
		.received_at = in->now,
	};

	if (!in->may_wait)
		return (not_answered(HANDLED_SLOW));
	if (in->store == NULL || state_has_room(in->store->state, conf->min_free) ||
	    accept_later(in->store->refused, conf->keep_refused, &r))
		log_errno(LOG_LEVEL_WARN, "refused request not kept", "state_dir", conf->state_dir,
		    NULL);
	return (answered(*answer));
}

static struct result
act(struct handling *h, const struct decision *d)
{
	switch (d->action) {
	case ACTION_ACCEPT:
		return (accept_delivery(h, intake_verified));
	case ACTION_ACCEPT_APPLIED:
		return (answer_to(h, intake_applied(&h->in)));
	case ACTION_ACCEPT_UNSIGNED:
		return (accept_delivery(h, intake_unsigned));
	case ACTION_KEEP:
		return (keep_for_later(h, &d->answer));
	case ACTION_ANSWER:
		break;
	}
	return (answered(d->answer));
}

/* A delivery that was read: authenticate it, decide, and do what was decided. */
static struct result
handle_delivery(struct handling *h)
{
	struct result result = { .handled = HANDLED_SLOW };
	struct decision decision;

	wait_permit(h->in.may_wait);
	if (judge(h)) {
		decision = decide(&h->in);
		result = act(h, &decision);
	}
	wait_permit(true);
	glance_permit(false);
	return (result);
}

/* A body that is compressed is not what was signed, and nothing here could read it. */
static bool
is_encoded(const struct request *q)
{
	return (q->content_encoding && *q->content_encoding);
}

static struct result
handle_request(struct handling *h)
{
	const struct request *q = h->request;
	const struct method *method = method_of(q);
	struct answer refusal;

	clock_wall(&h->in.now);
	if (method == NULL)
		return (answered(answer_error(405, "method_not_allowed", "method")));
	if (!method->delivers)
		return (handle_health(h));
	if (!is_json(q->content_type))
		return (answered(answer_error(415, "unsupported_media_type", "content_type")));
	if (is_encoded(q))
		return (answered(answer_error(415, "unsupported_media_type", "content_encoding")));
	if (!read_delivery(h, &refusal))
		return (answered(refusal));
	return (handle_delivery(h));
}

/* Write the answer and its log line, if there is one. */
static enum handled
end(struct handling *h, struct result result)
{
	struct intake *in = &h->in;
	struct answer_subject about = {
		.event = in->content ? in->content->event : NULL,
		.installation = *in->installation ? in->installation : NULL,
		.delivery = *in->delivery ? in->delivery : NULL,
	};

	if (result.handled != HANDLED)
		return (result.handled);
	release_store(h);
	answer_format(&result.answer, &about, strcmp(h->request->method, "HEAD") == 0, h->out);
	answer_log(&result.answer, &about, h->request->request_id,
	    (clock_monotonic_ns() - h->begun_ns) / 1000);
	body_free(&in->body);
	buf_wipe(&in->text);
	return (HANDLED);
}

enum handled
handle_begin(struct handling *h, bool may_wait)
{
	h->in.may_wait = may_wait;
	h->in.headers = &h->request->headers;
	h->in.params = h->request->params;
	h->begun_ns = clock_monotonic_ns();
	return (end(h, handle_request(h)));
}

static void
on_line(struct journal_line *line)
{
	struct handling *h = (struct handling *)(void *)((char *)line -
	    offsetof(struct handling, in.line));

	h->committed(h);
}

void
handle_submit(struct handling *h)
{
	h->in.line.done = on_line;
	journal_add(h->in.store->journal, &h->in.line, &h->in.now);
}

enum handled
handle_committed(struct handling *h)
{
	enum accepted accepted = ACCEPTED_NOT_STORED;

	h->in_journal = true;
	wait_permit(h->in.may_wait);
	if ((errno = h->in.line.error) == 0)
		accepted = intake_committed(&h->in);
	wait_permit(true);
	return (end(h, answer_to(h, accepted)));
}

void
handle_slow(struct handling *h)
{
	h->in.may_wait = true;
	if (h->in_journal)
		handle_committed(h);
	else
		end(h, handle_delivery(h));
}

void
handle(struct receiver *r, struct request *q, struct buf *out)
{
	struct handling h = { .receiver = r, .request = q, .out = out };

	handle_begin(&h, true);
}
