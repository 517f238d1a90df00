#include "receiver/handle.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/log.h"
#include "delivery/accept.h"
#include "receiver/take.h"
#include "store/glance.h"
#include "store/wait.h"

/* An unsigned install has no larger body (contract section 3). */
enum { UNSIGNED_BODY_MAX = 64 * 1024 };

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

static void
refuse(struct handling *h, int status, const char *error, const char *reason)
{
	h->answer.reason = reason;
	answer_error(&h->answer, status, error);
}

/* The state directory does not work as it should, errno says why. It may heal. */
static void
note_trouble(struct handling *h, const char *what)
{
	/* Where there is no store, receiver_store() has logged why. */
	if (h->store == NULL)
		return;
	log_errno(LOG_LEVEL_ERROR, what, "state_dir", receiver_conf(h->receiver)->state_dir, NULL);
	if (errno == ENOENT || errno == ESTALE)
		receiver_store_lost(h->receiver, h->store);
}

static void
fail(struct handling *h, const char *what)
{
	note_trouble(h, what);
	refuse(h, 503, "unavailable", "not_stored");
}

/* Whether every droplet's secrets can be read: without one, its deliveries get 503. */
static bool
has_secrets(const struct handling *h)
{
	const struct conf *conf = receiver_conf(h->receiver);
	struct secrets *secrets = receiver_secrets(h->receiver);
	struct secret_list *l;
	bool all = true;

	for (size_t i = 0; i < conf->n_droplets; i++) {
		const char *path = conf->droplets[i].secrets;

		if (path == NULL)
			continue;
		if ((l = secrets_get(secrets, path)) != NULL) {
			secrets_release(secrets, l);
			continue;
		}
		log_line(LOG_LEVEL_ERROR, "not ready: secrets cannot be read", "file", path,
		    "error", secrets_problem(path, errno), NULL);
		all = false;
	}
	return (all);
}

/* Ready only where a delivery could be judged and stored now. */
static void
health(struct handling *h)
{
	const struct conf *conf = receiver_conf(h->receiver);

	h->store = receiver_store(h->receiver);
	if (h->store == NULL || state_ready(h->store->state, conf->min_free) ||
	    journal_ready(h->store->journal, &h->now)) {
		note_trouble(h, "not ready");
		answer_status(&h->answer, 503, "unavailable");
	} else if (!has_secrets(h)) {
		answer_status(&h->answer, 503, "unavailable");
	} else {
		answer_status(&h->answer, 200, "ok");
	}
}

static struct taking
taking_of(struct handling *h)
{
	return ((struct taking){
	    .conf = receiver_conf(h->receiver),
	    .store = h->store,
	    .headers = &h->request->headers,
	    .body = &h->body,
	    .evidence = &h->evidence,
	    .now = h->now,
	    .line = h->may_wait ? NULL : &h->line,
	    .text = &h->text,
	});
}

static enum handled
answer_to_taken(struct handling *h, enum taken taken)
{
	switch (taken) {
	case TAKEN:
	case TAKEN_PENDING:
		answer_taken(&h->answer, taken == TAKEN_PENDING);
		break;
	case TAKEN_NOT:
		fail(h, "delivery not stored");
		break;
	case TAKEN_REFUSED:
		refuse(h, 401, "unauthorized", "no_signature");
		break;
	case TAKEN_FOREIGN:
		refuse(h, 403, "unknown_droplet", "unknown_droplet");
		break;
	case TAKEN_BUSY:
		refuse(h, 503, "unavailable", "too_many_unconfirmed");
		break;
	case TAKEN_IN_BATCH:
		return (HANDLED_IN_BATCH);
	case TAKEN_SLOW:
		return (HANDLED_SLOW);
	}
	return (HANDLED);
}

/* An unsigned install that the worker may confirm with Fluid, if the configuration wants that. */
static bool
may_be_confirmed(const struct handling *h)
{
	const struct conf *conf = receiver_conf(h->receiver);
	const struct delivery *d = h->body.delivery;
	const char *event = delivery_event(d);

	return (conf->unsigned_installs == UNSIGNED_CONFIRM &&
	    h->body.bytes.len <= UNSIGNED_BODY_MAX && delivery_is_well_formed(d) && event &&
	    strcmp(event, "droplet.installed") == 0 && delivery_incomplete(d) == NULL &&
	    conf_droplet_by_uuid(conf, delivery_text(d, COMPANY_DROPLET_UUID)));
}

static enum handled
handle_unsigned(struct handling *h)
{
	struct taking t = taking_of(h);

	if (!may_be_confirmed(h))
		refuse(h, 401, "unauthorized", h->reason);
	else if (h->store == NULL || state_has_room(h->store->state, t.conf->min_free))
		fail(h, errno == ENOSPC ? "less free space than min_free" : "free space not known");
	else
		return (answer_to_taken(h, take_unsigned(&t, &h->answer)));
	return (HANDLED);
}

/* A delivery whose sender is known: is it one that can be stored? */
static enum handled
handle_genuine(struct handling *h)
{
	const struct delivery *d = h->body.delivery;
	const char *event = delivery_event(d), *missing;
	struct taking t = taking_of(h);

	if (!delivery_is_well_formed(d)) {
		refuse(h, 400, "malformed", "malformed");
	} else if (event == NULL) {
		refuse(h, 400, "no_event", "no_event");
	} else if (event_is_reserved(event) && strcmp(event, "fluidhook.probe") != 0) {
		refuse(h, 400, "reserved", "reserved");
	} else if (h->evidence.foreign) {
		refuse(h, 403, "unknown_droplet", "unknown_droplet");
	} else if (delivery_is_lifecycle(d) && (missing = delivery_incomplete(d)) != NULL) {
		h->answer.reason = "incomplete";
		answer_incomplete(&h->answer, missing);
	} else if (strcmp(event, "fluidhook.probe") == 0) {
		answer_probe(&h->answer, h->request->params);
	} else if (h->evidence.applied) {
		return (answer_to_taken(h, take_applied(&t, &h->answer)));
	} else if (h->store == NULL || state_has_room(h->store->state, t.conf->min_free)) {
		fail(h, errno == ENOSPC ? "less free space than min_free" : "free space not known");
	} else {
		return (answer_to_taken(h, take_genuine(&t, &h->answer)));
	}
	return (HANDLED);
}

/*
 * No key verifies it, and none is there yet that could. The worker accepts it once the key has come; that it
 * could not be kept does not change the answer.
 */
static enum handled
keep_for_later(struct handling *h)
{
	static const char reason[] = "no_key_yet";
	const struct conf *conf = receiver_conf(h->receiver);
	const struct refusal r = {
		.method = h->request->method,
		.status = 503,
		.reason = reason,
		.headers = &h->request->headers,
		.body = h->body.bytes.data ? h->body.bytes.data : "",
		.body_len = h->body.bytes.len,
		.received_at = h->now,
	};

	if (!h->may_wait)
		return (HANDLED_SLOW);
	if (h->store == NULL || state_has_room(h->store->state, conf->min_free) ||
	    accept_later(h->store->refused, conf->keep_refused, &r))
		log_errno(LOG_LEVEL_WARN, "refused request not kept", "state_dir", conf->state_dir,
		    NULL);
	refuse(h, r.status, "unavailable", reason);
	return (HANDLED);
}

/* Do what follows from the verdict. */
static enum handled
act(struct handling *h)
{
	if (h->verdict == VERDICT_GENUINE)
		return (handle_genuine(h));
	if (h->verdict == VERDICT_NO_EVIDENCE)
		return (handle_unsigned(h));
	if (h->verdict == VERDICT_NOT_GENUINE &&
	    evidence_may_come(receiver_conf(h->receiver), &h->request->headers, &h->evidence,
		h->now.tv_sec))
		return (keep_for_later(h));
	if (h->verdict == VERDICT_NOT_GENUINE)
		refuse(h, 401, "unauthorized", h->reason);
	else
		refuse(h, 503, "unavailable", h->reason);
	return (HANDLED);
}

static struct authority
authority_of(const struct handling *h)
{
	return ((struct authority){
	    .conf = receiver_conf(h->receiver),
	    .secrets = receiver_secrets(h->receiver),
	    .records = h->store ? h->store->records : NULL,
	    .state = h->store ? h->store->state : NULL,
	});
}

static void
release_store(struct handling *h)
{
	const struct authority authority = authority_of(h);

	evidence_release(&authority, &h->evidence);
	receiver_store_release(h->receiver, h->store);
	h->store = NULL;
}

/*
 * Find the verdict. Nothing is refused because of what a file was like a moment ago: it is judged again then.
 * Returns false if that has to wait for the disk and this thread may not.
 */
static bool
judge(struct handling *h)
{
	bool recent = h->request->one_of_many, again;

	if (h->judged)
		return (true);

	do {
		glance_permit(recent);
		h->store = receiver_store(h->receiver);

		const struct authority authority = authority_of(h);

		h->verdict = authenticate(&authority, &h->request->headers, h->body.delivery,
		    h->body.bytes.data ? h->body.bytes.data : "", h->body.bytes.len, h->now.tv_sec,
		    &h->evidence, &h->reason);
		again = glance_relied() && (h->verdict != VERDICT_GENUINE || h->evidence.foreign);
		h->judged = !wait_was_needed();
		if (again || !h->judged)
			release_store(h);
		recent = false;
	} while (again && h->judged);
	return (h->judged);
}

static enum handled
handle_delivery(struct handling *h)
{
	const char *event = delivery_event(h->body.delivery);
	enum handled handled;

	if (event)
		memccpy(h->answer.event, event, '\0', sizeof(h->answer.event));
	wait_permit(h->may_wait);
	handled = judge(h) ? act(h) : HANDLED_SLOW;
	wait_permit(true);
	glance_permit(false);
	return (handled);
}

/*
 * Read the body. Returns 0, or -1 with the request refused. These answers do not depend on what the
 * body says, so they need no authentication.
 */
static int
read_body(struct handling *h)
{
	static const struct refusal {
		int status;
		const char *error, *reason;
	} refusals[] = {
		[BODY_TRUNCATED] = { 503, "unavailable", "truncated" },
		[BODY_LATE] = { 503, "unavailable", "late" },
		[BODY_EXCESS] = { 400, "malformed", "excess" },
		[BODY_TOO_LARGE] = { 413, "too_large", "too_large" },
		[BODY_UNAVAILABLE] = { 503, "unavailable", "no_memory" },
	};
	enum body_result result = body_read(&h->body, h->request,
	    receiver_conf(h->receiver)->max_body);

	if (result == BODY_WHOLE)
		return (0);
	refuse(h, refusals[result].status, refusals[result].error, refusals[result].reason);
	return (-1);
}

/* A body that is compressed is not what was signed, and nothing here could read it. */
static bool
is_encoded(const struct request *q)
{
	return (q->content_encoding && *q->content_encoding);
}

static enum handled
handle_request(struct handling *h)
{
	const struct method *method = method_of(h->request);

	if (method == NULL) {
		refuse(h, 405, "method_not_allowed", "method");
		return (HANDLED);
	}
	if (method->delivers) {
		if (!is_json(h->request->content_type)) {
			refuse(h, 415, "unsupported_media_type", "content_type");
			return (HANDLED);
		}
		if (is_encoded(h->request)) {
			refuse(h, 415, "unsupported_media_type", "content_encoding");
			return (HANDLED);
		}
		if (read_body(h))
			return (HANDLED);
	}
	clock_gettime(CLOCK_REALTIME, &h->now);
	if (method->delivers)
		return (handle_delivery(h));
	health(h);
	return (HANDLED);
}

static double
ms_since(const struct timespec *start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((double)(now.tv_sec - start->tv_sec) * 1e3 +
	    (double)(now.tv_nsec - start->tv_nsec) / 1e6);
}

/* Nothing is left to do but to say so. */
static enum handled
end(struct handling *h, enum handled handled)
{
	if (handled != HANDLED)
		return (handled);
	release_store(h);
	answer_format(&h->answer, strcmp(h->request->method, "HEAD") == 0, h->out);
	answer_log(&h->answer, h->request->request_id, ms_since(&h->begun));
	body_free(&h->body);
	buf_wipe(&h->text);
	answer_free(&h->answer);
	return (HANDLED);
}

enum handled
handle_begin(struct handling *h, bool may_wait)
{
	h->may_wait = may_wait;
	h->answer.status = 503;
	clock_gettime(CLOCK_MONOTONIC, &h->begun);
	return (end(h, handle_request(h)));
}

static void
on_line(struct journal_line *line)
{
	struct handling *h = (struct handling *)(void *)((char *)line -
	    offsetof(struct handling, line));

	h->committed(h);
}

void
handle_submit(struct handling *h)
{
	h->line.done = on_line;
	journal_add(h->store->journal, &h->line, &h->now);
}

enum handled
handle_committed(struct handling *h)
{
	struct taking t = taking_of(h);
	enum taken taken = TAKEN_NOT;

	h->in_journal = true;
	wait_permit(h->may_wait);
	if ((errno = h->line.error) == 0)
		taken = take_committed(&t, &h->answer);
	wait_permit(true);
	return (end(h, answer_to_taken(h, taken)));
}

void
handle_slow(struct handling *h)
{
	h->may_wait = true;
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
