#include "fluid/api.h"

#include <curl/curl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/file.h"
#include "base/url.h"
#include "fluid/attempt.h"
#include "store/durable.h"

/* Bounds, in seconds where they are times and milliseconds where they say so. */
enum {
	TRIES = 3,
	PAUSE_MS = 400,      /* before the second try; doubles, with jitter */
	RETRY_AFTER_MAX = 5, /* what Fluid may ask to wait before we give up instead */
	CA_FILE_MAX = 8 << 20,
};

static const char *const methods[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" };

static int
copy_addresses(struct fluid_api *t, const struct conf *c)
{
	if ((t->api = strdup(c->api)) == NULL)
		return (-1);
	if ((t->webhooks = calloc(c->n_webhooks + 1, sizeof(char *))) == NULL)
		return (-1);
	for (size_t i = 0; i < c->n_webhooks; i++, t->n_webhooks++)
		if ((t->webhooks[i] = strdup(c->webhooks[i])) == NULL)
			return (-1);
	return (0);
}

/* The certificates are read once, here, while the process may still read the file. */
static int
read_ca(struct fluid_api *t, const char *path, struct fluid_error *e)
{
	if ((t->ca_file = strdup(path)) == NULL || file_read_path(path, CA_FILE_MAX, &t->ca))
		return (fluid_error_errno(e, path));
	if (t->ca.len == 0 || memmem(t->ca.data, t->ca.len, "-----BEGIN ", 11) == NULL)
		return (fluid_error_set(e, FLUID_LOCAL, "%s: no certificates in it", path));
	return (0);
}

struct fluid_api *
fluid_api_new(const struct conf *c, struct fluid_error *e)
{
	struct fluid_api *t;

	fluid_error_clear(e);
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		fluid_error_set(e, FLUID_LOCAL, "libcurl cannot be used");
		return (NULL);
	}
	if ((t = calloc(1, sizeof(*t))) == NULL || (t->curl = curl_easy_init()) == NULL ||
	    copy_addresses(t, c)) {
		fluid_error_set(e, FLUID_LOCAL, "out of memory");
		goto err;
	}
	t->timeout_ms = (long)c->timeout * 1000;
	if (c->ca_file && read_ca(t, c->ca_file, e))
		goto err;
	return (t);

err:
	if (t)
		fluid_api_free(t);
	else
		curl_global_cleanup();
	return (NULL);
}

struct fluid_api *
fluid_api_another(const struct fluid_api *t)
{
	struct fluid_api *other = malloc(sizeof(*other));

	if (other == NULL)
		return (NULL);
	*other = *t;
	other->is_another = true;
	if ((other->curl = curl_easy_init()) == NULL) {
		free(other);
		return (NULL);
	}
	return (other);
}

void
fluid_api_free(struct fluid_api *t)
{
	if (t == NULL)
		return;
	curl_easy_cleanup(t->curl);
	if (t->is_another) {
		free(t);
		return;
	}
	curl_global_cleanup();
	for (size_t i = 0; i < t->n_webhooks; i++)
		free(t->webhooks[i]);
	free(t->webhooks);
	free(t->api);
	free(t->ca_file);
	buf_free(&t->ca);
	free(t);
}

void
fluid_api_rest(struct fluid_api *t)
{
	CURL *fresh = curl_easy_init();

	if (fresh == NULL)
		return;
	curl_easy_cleanup(t->curl);
	t->curl = fresh;
	malloc_trim(0);
}

const char *
fluid_api_address(const struct fluid_api *t)
{
	return (t->api);
}

char *const *
fluid_api_webhooks(const struct fluid_api *t, size_t *n)
{
	*n = t->n_webhooks;
	return (t->webhooks);
}

void
fluid_answer_free(struct fluid_answer *a)
{
	buf_wipe(&a->body);
	a->status = 0;
}

static bool
worth_repeating(const struct fluid_request *r, const struct attempt *at,
    const struct fluid_error *e)
{
	if (r->once || at->final || e->retry_after > RETRY_AFTER_MAX)
		return (false);
	if (e->failure == FLUID_NOT_SENT)
		return (true);
	return (attempt_is_safe(r->method) &&
	    (e->failure == FLUID_NO_ANSWER || e->failure == FLUID_BUSY));
}

/* Wait before try number `next` (2, 3, ...): as long as Fluid asked, else doubling, with jitter. */
static void
pause_before(unsigned next, const struct fluid_error *e)
{
	uint16_t jitter = 0;
	long ms = (long)PAUSE_MS << (next - 2);
	struct timespec pause;

	if (getrandom(&jitter, sizeof(jitter), 0) == sizeof(jitter))
		ms += ms * jitter / UINT16_MAX;
	ms += (long)e->retry_after * 1000;
	pause = (struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
	/* A signal shortens it: whoever sent it wants us to get on. */
	nanosleep(&pause, NULL);
}

static bool
is_method(const char *method)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(methods[i], method) == 0)
			return (true);
	return (false);
}

int
fluid_api_call(struct fluid_api *t, const struct fluid_request *r, struct fluid_answer *a,
    struct fluid_error *e)
{
	enum url_problem problem;
	struct url u;
	int result;

	fluid_error_clear(e);
	if (!is_method(r->method))
		return (fluid_error_set(e, FLUID_LOCAL,
		    "%s: not a method (GET, HEAD, POST, PUT, PATCH, DELETE)", r->method));
	if ((problem = url_check(&u, r->url)) != URL_OK)
		return (fluid_error_set(e, FLUID_LOCAL, "%s: %s",
		    problem == URL_USER ? "..." : r->url, url_problem_text(problem)));
	for (unsigned tries = 1;; tries++) {
		struct attempt at = { .answer = a };

		fluid_error_clear(e);
		fluid_answer_free(a);
		result = attempt_make(t, r, &at, u.loopback, e);
		if (result == 0 || tries == TRIES || !worth_repeating(r, &at, e))
			return (result);
		pause_before(tries + 1, e);
	}
}

int
fluid_api_call_path(struct fluid_api *t, const char *method, const char *path,
    const struct fluid_token *token, const char *body, size_t body_len, struct fluid_answer *a,
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
	buf_addf(&url, "%s%s", t->api, path);
	if (url.failed) {
		buf_free(&url);
		return (fluid_error_set(e, FLUID_LOCAL, "out of memory"));
	}
	r.url = url.data;
	result = fluid_api_call(t, &r, a, e);
	buf_free(&url);
	return (result);
}
