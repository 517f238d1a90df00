#include "fluid/installations.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/name.h"
#include "base/url.h"
#include "fluid/json_tree.h"

/* Room for the body of an exchange, in bytes, and the longest endpoint. */
enum { BODY_MAX = 8 * 1024, ENDPOINT_MAX = 512 };

/* The longest value taken from an answer: longer than any id or token can be, so that none is cut. */
enum { VALUE_MAX = 2048 };

void
fluid_installation_free(struct fluid_installation *i)
{
	free(i->droplet_installation_uuid);
	free(i->droplet_uuid);
	free(i->fluid_company_id);
	free(i->fluid_shop);
	*i = (struct fluid_installation){ 0 };
}

void
exchange_free(struct exchange *x)
{
	fluid_installation_free(&x->installation);
	secret_free(x->authentication_token);
	secret_free(x->webhook_verification_token);
	*x = (struct exchange){ 0 };
}

/*
 * Copy the first of two members that has a text; one that is too long counts as absent. Returns 0, or -1
 * when out of memory.
 */
static int
take(char **out, const struct json_node *node, const char *key, const char *other)
{
	const char *text = json_tree_text(json_tree_get(node, key));

	if (text == NULL && other)
		text = json_tree_text(json_tree_get(node, other));
	if (text == NULL || strlen(text) > VALUE_MAX)
		return (0);
	*out = strdup(text);
	return (*out ? 0 : -1);
}

/* Read what is said about an installation. Returns 0, or -1 when out of memory. */
static int
read_installation(struct fluid_installation *i, const struct json_node *node)
{
	const struct json_node *company = json_tree_get(node, "fluid_company_id");
	const struct json_node *active = json_tree_get(node, "active");

	if (take(&i->droplet_installation_uuid, node, "droplet_installation_uuid", "uuid") ||
	    take(&i->droplet_uuid, node, "droplet_uuid", NULL) ||
	    take(&i->fluid_company_id, node, "fluid_company_id", NULL) ||
	    take(&i->fluid_shop, node, "fluid_shop", NULL))
		return (-1);
	i->fluid_company_id_number = json_tree_is(company, JSON_NUMBER);
	i->active = !(json_tree_is(active, JSON_BOOL) && strcmp(active->text, "false") == 0);
	return (0);
}

static struct json_node *
tree_of(const struct http_response *a)
{
	return (json_tree_read(a->body.data ? a->body.data : "", a->body.len));
}

static int
no_memory(struct fluid_error *e)
{
	return (fluid_error_set(e, FLUID_LOCAL, "out of memory"));
}

/* Fill *out from the answer to a look-up. Returns 0, or -1 with the error set. */
static int
take_lookup(struct fluid_installation *out, const char *dri, const struct http_response *a,
    struct fluid_error *e)
{
	struct json_node *root = tree_of(a);
	const struct json_node *node = json_tree_get(root, "droplet_installation");
	int result;

	if (root == NULL)
		return (fluid_error_set(e, FLUID_NO_ANSWER,
		    "the answer about %s is not readable JSON", dri));
	if (read_installation(out, node ? node : root))
		result = no_memory(e);
	else if (out->droplet_installation_uuid == NULL)
		result = fluid_error_set(e, FLUID_NO_ANSWER,
		    "the answer about %s does not name an installation", dri);
	else if (strcmp(out->droplet_installation_uuid, dri) != 0)
		result = fluid_error_set(e, FLUID_REFUSED,
		    "asked about %s, but the answer is about %s", dri,
		    out->droplet_installation_uuid);
	else
		result = 0;
	json_tree_free(root);
	return (result);
}

/* Fill *out from the answer to companies/me. Returns 0, or -1 with the error set. */
static int
take_owner(struct fluid_installation *out, const struct http_response *a, struct fluid_error *e)
{
	struct json_node *root = tree_of(a);
	const struct json_node *data = json_tree_get(root, "data");
	const struct json_node *company = json_tree_get(data ? data : root, "company");
	int result = 0;

	if (!json_tree_is(company, JSON_OBJECT))
		result = fluid_error_set(e, FLUID_NO_ANSWER,
		    "the answer about the token's company does not name one");
	else if (take(&out->fluid_company_id, company, "id", NULL) ||
	    take(&out->fluid_shop, company, "subdomain", NULL))
		result = no_memory(e);
	out->fluid_company_id_number = json_tree_is(json_tree_get(company, "id"), JSON_NUMBER);
	json_tree_free(root);
	return (result);
}

int
installations_owner(struct fluid_api *api, const struct fluid_token *token,
    struct fluid_installation *out, struct fluid_error *e)
{
	struct http_response a = { 0 };
	int result;

	fluid_error_clear(e);
	*out = (struct fluid_installation){ 0 };
	result = fluid_api_call_path(api, "GET", "/api/company/v1/companies/me", token, NULL, 0, &a,
	    e);
	if (result == 0)
		result = take_owner(out, &a, e);
	if (result)
		fluid_installation_free(out);
	http_response_free(&a);
	return (result);
}

int
installations_get(struct fluid_api *api, const struct fluid_token *token, const char *dri,
    struct fluid_installation *out, struct fluid_error *e)
{
	struct http_response a = { 0 };
	struct buf path = { 0 };
	int result;

	fluid_error_clear(e);
	*out = (struct fluid_installation){ 0 };
	if (!name_is_safe(dri, strlen(dri)))
		return (fluid_error_set(e, FLUID_LOCAL, "%s: not an installation uuid", dri));
	buf_addf(&path, "/api/droplet_installations/%s", dri);
	if (path.failed)
		result = no_memory(e);
	else
		result = fluid_api_call_path(api, "GET", path.data, token, NULL, 0, &a, e);
	if (result == 0)
		result = take_lookup(out, dri, &a, e);
	if (result)
		fluid_installation_free(out);
	http_response_free(&a);
	buf_free(&path);
	return (result);
}

bool
exchange_endpoint_check(const char *endpoint)
{
	return (strlen(endpoint) <= ENDPOINT_MAX && strchr(endpoint, '?') == NULL &&
	    url_is_path(endpoint));
}

static bool
is_bounded(const char *s)
{
	size_t len = s ? strlen(s) : 0;

	return (len > 0 && len <= FLUID_TOKEN_MAX);
}

/* Whether a token is one that a header can carry. */
static bool
is_bearer(const char *s)
{
	size_t len = s ? strlen(s) : 0;

	if (!is_bounded(s))
		return (false);
	for (size_t i = 0; i < len; i++)
		if (s[i] <= ' ' || s[i] >= 0x7f)
			return (false);
	return (true);
}

/* Whether the answer is about the installation it was asked for. Returns 0, or -1. */
static int
check_same(const struct exchange_request *r, const struct fluid_installation *i,
    struct fluid_error *e)
{
	const char *asked = r->droplet_installation_uuid, *answered = i->droplet_installation_uuid;

	if (asked == NULL) {
		asked = r->fluid_company_id;
		answered = i->fluid_company_id;
	}
	if (asked && answered && strcmp(asked, answered) == 0)
		return (0);
	return (
	    fluid_error_set(e, FLUID_REFUSED, "exchange: asked for %s, but the answer is about %s",
		asked ? asked : "nobody", answered ? answered : "nobody"));
}

/* Take the credentials out of a 2xx answer. Fluid has spent the token, whatever it says. */
static enum exchange_outcome
take_exchange(struct exchange *out, const struct exchange_request *r, const struct http_response *a,
    struct fluid_error *e)
{
	struct json_node *root = tree_of(a);
	const struct json_node *credentials = json_tree_get(root, "credentials");
	const struct json_node *installation = json_tree_get(root, "droplet_installation");
	enum exchange_outcome outcome = EXCHANGE_UNKNOWN;

	if (root == NULL) {
		fluid_error_set(e, FLUID_NO_ANSWER, "exchange: the answer is not readable JSON");
		return (EXCHANGE_UNKNOWN);
	}
	/* A provisional page of Fluid's documentation has all of it at the root. */
	if (credentials == NULL)
		credentials = root;
	if (read_installation(&out->installation, installation ? installation : root) ||
	    (installation == NULL && out->installation.droplet_installation_uuid == NULL &&
		take(&out->installation.droplet_installation_uuid, root, "installation_id",
		    NULL)) ||
	    take(&out->authentication_token, credentials, "authentication_token", NULL) ||
	    take(&out->webhook_verification_token, credentials, "webhook_verification_token",
		NULL)) {
		fluid_error_set(e, FLUID_NO_ANSWER, "exchange: out of memory");
		goto out;
	}
	if (check_same(r, &out->installation, e)) {
		outcome = EXCHANGE_REFUSED;
		goto out;
	}
	if (!is_bearer(out->authentication_token)) {
		fluid_error_set(e, FLUID_NO_ANSWER,
		    "exchange: the answer has no usable authentication_token");
		goto out;
	}
	/* Without a usable one the other credential is still worth keeping. */
	if (!is_bounded(out->webhook_verification_token)) {
		secret_free(out->webhook_verification_token);
		out->webhook_verification_token = NULL;
	}
	outcome = EXCHANGE_DONE;
out:
	json_tree_free(root);
	return (outcome);
}

/* {"exchange_token":"dex_..."} Returns 0, or -1 when it cannot be written. */
static int
write_exchange(struct buf *out, const char *token)
{
	struct json_writer *w;

	/* Room for all of it at once, so that growing leaves no copy of the token behind. */
	if (buf_reserve(out, BODY_MAX) || (w = json_writer_new(out, false)) == NULL)
		return (-1);
	json_object(w);
	json_key(w, "exchange_token");
	json_string(w, token);
	json_object_end(w);
	return (json_writer_end(w));
}

/* What a call that did not succeed means for the token. */
static enum exchange_outcome
outcome_of(const struct fluid_error *e)
{
	if (e->failure == FLUID_NO_ANSWER)
		return (EXCHANGE_UNKNOWN);
	/* 503 and 408 are answered before anything is done; after another server error it may be done. */
	if (e->status >= 500 && e->status != 503)
		return (EXCHANGE_UNKNOWN);
	/* All else comes from something on the way: a firewall, a deployment (fluid-wire, "Exchange"). */
	if (e->is_fluids && (e->status == 404 || e->status == 410))
		return (EXCHANGE_REFUSED);
	return (EXCHANGE_AGAIN);
}

enum exchange_outcome
installations_exchange(struct fluid_api *api, const struct exchange_request *r,
    struct exchange *out, struct fluid_error *e)
{
	struct http_response a = { 0 };
	struct buf url = { 0 }, body = { 0 };
	struct fluid_request request = { .method = "POST", .once = true };
	enum exchange_outcome outcome;

	fluid_error_clear(e);
	*out = (struct exchange){ 0 };
	if (!exchange_endpoint_check(r->endpoint)) {
		fluid_error_set(e, FLUID_REFUSED,
		    "exchange: \"%s\" is not a path on the API's host", r->endpoint);
		return (EXCHANGE_REFUSED);
	}
	if (!is_bounded(r->exchange_token)) {
		fluid_error_set(e, FLUID_REFUSED, "exchange: the exchange token is not usable");
		return (EXCHANGE_REFUSED);
	}
	buf_addf(&url, "%s%s", fluid_api_address(api), r->endpoint);
	if (url.failed || write_exchange(&body, r->exchange_token)) {
		no_memory(e);
		outcome = EXCHANGE_AGAIN;
		goto out;
	}
	request.url = url.data;
	request.body = body.data;
	request.body_len = body.len;
	request.secret = r->exchange_token;
	if (fluid_api_call(api, &request, &a, e))
		outcome = outcome_of(e);
	else
		outcome = take_exchange(out, r, &a, e);
	if (outcome != EXCHANGE_DONE)
		exchange_free(out);
out:
	http_response_free(&a);
	buf_wipe(&body);
	buf_free(&url);
	return (outcome);
}
