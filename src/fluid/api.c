#include "fluid/api.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/random.h"
#include "base/url.h"
#include "http/client.h"

/* Bounds, in seconds where they are times and milliseconds where they say so. */
enum {
	TRIES = 3,
	PAUSE_MS = 400,      /* before the second try; doubles, with jitter */
	RETRY_AFTER_MAX = 5, /* the longest wait that Fluid may ask for before another try */
};

struct fluid_api {
	struct http_client *http;
	bool is_another; /* all but http is owned by the one that it was made of */
	char *address;
	char **webhooks;
	size_t n_webhooks;
	char *ca_file;
	uint32_t timeout_ms;
};

static int
copy_addresses(struct fluid_api *api, const struct conf *c)
{
	if ((api->address = strdup(c->api)) == NULL)
		return (-1);
	if (c->ca_file && (api->ca_file = strdup(c->ca_file)) == NULL)
		return (-1);
	if ((api->webhooks = calloc(c->n_webhooks + 1, sizeof(char *))) == NULL)
		return (-1);
	for (size_t i = 0; i < c->n_webhooks; i++, api->n_webhooks++)
		if ((api->webhooks[i] = strdup(c->webhooks[i])) == NULL)
			return (-1);
	return (0);
}

struct fluid_api *
fluid_api_new(const struct conf *c, struct fluid_error *e)
{
	struct fluid_api *api = calloc(1, sizeof(*api));
	struct http_error http;

	fluid_error_clear(e);
	if (api == NULL || copy_addresses(api, c)) {
		fluid_error_set(e, FLUID_LOCAL, "out of memory");
		goto err;
	}
	api->timeout_ms = c->timeout * 1000;
	if ((api->http = http_client_new(c->ca_file, &http)) == NULL) {
		fluid_error_set(e, FLUID_LOCAL, "%s", http.text);
		goto err;
	}
	return (api);

err:
	fluid_api_free(api);
	return (NULL);
}

struct fluid_api *
fluid_api_another(const struct fluid_api *api)
{
	struct fluid_api *other = malloc(sizeof(*other));

	if (other == NULL)
		return (NULL);
	*other = *api;
	other->is_another = true;
	if ((other->http = http_client_another(api->http)) == NULL) {
		free(other);
		return (NULL);
	}
	return (other);
}

void
fluid_api_free(struct fluid_api *api)
{
	if (api == NULL)
		return;
	http_client_free(api->http);
	if (!api->is_another) {
		for (size_t i = 0; i < api->n_webhooks; i++)
			free(api->webhooks[i]);
		free(api->webhooks);
		free(api->address);
		free(api->ca_file);
	}
	free(api);
}

void
fluid_api_rest(struct fluid_api *api)
{
	http_client_rest(api->http);
}

const char *
fluid_api_address(const struct fluid_api *api)
{
	return (api->address);
}

char *const *
fluid_api_webhooks(const struct fluid_api *api, size_t *n)
{
	*n = api->n_webhooks;
	return (api->webhooks);
}

/* Why there is no whole answer. Always returns -1. */
static int
network_error(const struct fluid_api *api, const struct http_error *http, const char *origin,
    struct fluid_error *e)
{
	if (http->failure == HTTP_LOCAL || http->failure == HTTP_ADDRESS)
		return (fluid_error_set(e, FLUID_LOCAL, "%s: %s", origin, http->text));
	fluid_error_set(e, http->sent ? FLUID_NO_ANSWER : FLUID_NOT_SENT, "%s: %s", origin,
	    http->text);
	if (http->untrusted && api->ca_file)
		fluid_error_hint(e, "only what is in %s is trusted", api->ca_file);
	else if (http->no_authorities)
		fluid_error_hint(e,
		    "install your system's certificate authorities (Debian: ca-certificates), or "
		    "`ca_file` under [fluid] can name others to trust");
	else if (http->untrusted)
		fluid_error_hint(e, "`ca_file` under [fluid] can name others to trust");
	return (-1);
}

/* The error for an answer that is whole, but not 2xx. Always returns -1. */
static int
answer_error(const struct fluid_request *r, const struct http_response *a, struct fluid_error *e)
{
	char redirect[URL_ORIGIN_SIZE];
	struct fluid_error_context ctx = {
		.token_source = r->token ? r->token->source : NULL,
		.retry_after = a->retry_after,
		.secrets = { r->token ? r->token->value : NULL, r->secret },
	};

	if (a->redirect) {
		url_origin(redirect, a->redirect);
		ctx.redirect = redirect;
	}
	return (fluid_error_answer(e, a->status, a->body.data, a->body.len, &ctx));
}

static void
log_attempt(const struct fluid_request *r, const char *origin, const struct http_response *a)
{
	char status[24] = "none", ms[32];

	snprintf(ms, sizeof(ms), "%.1f", a->ms);
	if (a->status)
		snprintf(status, sizeof(status), "%ld", a->status);
	log_line(LOG_LEVEL_DEBUG, "fluid called", "method", r->method, "at", origin, "status",
	    status, "ms", ms, NULL);
}

/* Make one try. Returns and sets the error as fluid_api_call(); *http says what the network did. */
static int
attempt(struct fluid_api *api, const struct fluid_request *r, struct http_response *a,
    struct http_error *http, struct fluid_error *e)
{
	static const struct http_header plain[] = { { "Accept", "application/json" },
		{ NULL, NULL } };
	static const struct http_header typed[] = { { "Accept", "application/json" },
		{ "Content-Type", "application/json" }, { NULL, NULL } };
	const struct http_request request = { .method = r->method,
		.url = r->url,
		.bearer = r->token ? r->token->value : NULL,
		.headers = r->body ? typed : plain,
		.body = r->body,
		.body_len = r->body_len,
		.timeout_ms = api->timeout_ms,
		.answer_max = FLUID_ANSWER_MAX };
	char origin[URL_ORIGIN_SIZE];
	int result;

	fluid_error_clear(e);
	url_origin(origin, r->url);
	result = http_client_send(api->http, &request, a, http);
	e->status = a->status;
	log_attempt(r, origin, a);
	if (result)
		return (network_error(api, http, origin, e));
	return (a->status >= 200 && a->status <= 299 ? 0 : answer_error(r, a, e));
}

static bool
worth_repeating(const struct fluid_request *r, const struct http_error *http,
    const struct fluid_error *e)
{
	if (r->once || http->timed_out || http->untrusted || http->failure == HTTP_TOO_LARGE ||
	    e->retry_after > RETRY_AFTER_MAX)
		return (false);
	if (e->failure == FLUID_NOT_SENT)
		return (true);
	return (http_method_is_safe(r->method) &&
	    (e->failure == FLUID_NO_ANSWER || e->failure == FLUID_BUSY));
}

/* Wait before try number `next` (2, 3, ...): as long as Fluid asked, else doubling, with jitter. */
static void
pause_before(unsigned next, const struct fluid_error *e)
{
	long ms = (long)PAUSE_MS << (next - 2);
	struct timespec pause;

	ms += random_below((uint32_t)ms + 1);
	ms += (long)e->retry_after * 1000;
	pause = (struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	/* A signal shortens it: the process is to do something else. */
	nanosleep(&pause, NULL);
}

int
fluid_api_call(struct fluid_api *api, const struct fluid_request *r, struct http_response *a,
    struct fluid_error *e)
{
	enum url_problem problem;
	struct http_error http;
	struct url u;
	int result;

	fluid_error_clear(e);
	http_response_free(a);
	if ((problem = url_check(&u, r->url)) != URL_OK)
		return (fluid_error_set(e, FLUID_LOCAL, "%s: %s",
		    problem == URL_USER ? "..." : r->url, url_problem_text(problem)));
	for (unsigned tries = 1;; tries++) {
		result = attempt(api, r, a, &http, e);
		if (result == 0 || tries == TRIES || !worth_repeating(r, &http, e))
			return (result);
		pause_before(tries + 1, e);
	}
}

int
fluid_api_call_path(struct fluid_api *api, const char *method, const char *path,
    const struct fluid_token *token, const char *body, size_t body_len, struct http_response *a,
    struct fluid_error *e)
{
	struct buf url = { 0 };
	struct fluid_request r = {
		.method = method,
		.token = token,
		.body = body,
		.body_len = body_len,
	};
	int result;

	fluid_error_clear(e);
	if (!url_is_path(path))
		return (fluid_error_set(e, FLUID_LOCAL,
		    "%s: not a path of the API, "
		    "which looks like /api/company/webhooks",
		    path));
	buf_addf(&url, "%s%s", api->address, path);
	if (url.failed) {
		buf_free(&url);
		return (fluid_error_set(e, FLUID_LOCAL, "out of memory"));
	}
	r.url = url.data;
	result = fluid_api_call(api, &r, a, e);
	buf_free(&url);
	return (result);
}
