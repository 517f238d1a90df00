#include "fluid/webhooks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "fluid/json_tree.h"

enum {
	PER_PAGE = 100, /* the most Fluid gives at once */
	PAGES_MAX = 1000,
	BODY_MAX = 16 * 1024, /* room for a request, in bytes */
};

/* A call to the webhooks API, as it goes from address to address. */
struct call {
	struct fluid_api *api;
	struct fluid_request request; /* url is set for each address */
	const char *suffix;           /* what follows the address: "/42", "?page=1" */
	char id_suffix[32];           /* where the suffix is an id */
	char what[32];                /* "webhook 42" where a 404 can mean it; else "" */
	size_t address;               /* the first to try; then the one that answered */
	bool fixed;                   /* no other address is to be tried */
};

static int
no_memory(struct fluid_error *e)
{
	return (fluid_error_set(e, FLUID_LOCAL, "out of memory"));
}

/* What to say when every address has answered 404, 405 or 410. Always returns -1. */
static int
nowhere(const struct call *c, struct fluid_error *e)
{
	size_t n;
	char *const *addresses = fluid_api_webhooks(c->api, &n);
	struct buf list = { 0 };

	for (size_t i = 0; i < n; i++)
		buf_addf(&list, "%s%s", i == 0 ? "" : i + 1 < n ? ", " : " and ", addresses[i]);
	if (list.failed) {
		buf_free(&list);
		return (no_memory(e));
	}
	if (c->what[0] && e->status == 404)
		fluid_error_set(e, FLUID_REFUSED, "404: no %s for this token (asked %s)", c->what,
		    list.data);
	else
		fluid_error_set(e, FLUID_REFUSED,
		    "%ld: no webhooks API at %s; `webhooks` under "
		    "[fluid] names its addresses",
		    e->status, list.data);
	buf_free(&list);
	return (-1);
}

/*
 * Call the first address that has what is asked for: the next is tried only where this one answered
 * that there is nothing here, which is also the proof that nothing was done.
 */
static int
call(struct call *c, struct http_response *a, struct fluid_error *e)
{
	size_t n;
	char *const *addresses = fluid_api_webhooks(c->api, &n);
	struct buf url = { 0 };
	int result;

	if (n == 0)
		return (fluid_error_set(e, FLUID_LOCAL, "`webhooks` under [fluid] is empty"));
	for (;; c->address++) {
		buf_reset(&url);
		buf_addf(&url, "%s%s", addresses[c->address], c->suffix);
		if (url.failed) {
			result = no_memory(e);
			break;
		}
		c->request.url = url.data;
		result = fluid_api_call(c->api, &c->request, a, e);
		if (result == 0 || e->failure != FLUID_REFUSED ||
		    (e->status != 404 && e->status != 405 && e->status != 410))
			break;
		if (c->fixed)
			break;
		if (c->address + 1 == n) {
			result = nowhere(c, e);
			break;
		}
	}
	buf_free(&url);
	return (result);
}

/*
 * Make the call and read its answer. Returns the tree, or NULL with the error set; where the answer
 * came but is no JSON object the failure is FLUID_NO_ANSWER, as what was asked has been done.
 */
static struct json_node *
call_tree(struct call *c, struct fluid_error *e)
{
	struct http_response a = { 0 };
	struct json_node *root = NULL;

	if (call(c, &a, e) == 0 &&
	    (root = json_tree_read(a.body.data ? a.body.data : "", a.body.len)) == NULL)
		fluid_error_set(e, FLUID_NO_ANSWER,
		    "the answer to %s (status %ld) is not readable "
		    "JSON",
		    c->request.method, a.status);
	http_response_free(&a);
	return (root);
}

static bool
has_id(const struct webhook *items, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(items[i].id, id) == 0)
			return (true);
	return (false);
}

/* The list as it grows page by page; `before` is where the page before the next one begins. */
struct listing {
	struct webhook_list list;
	size_t before;
	bool more; /* whether there is a next page */
};

/*
 * Add a page's webhooks. What the page before had already (somebody changed the list while we read
 * it) is left out.
 */
static int
add_page(struct listing *l, const struct json_node *items, struct fluid_error *e)
{
	struct webhook_list *list = &l->list;
	struct webhook w, *larger;
	size_t n = 0, start = list->n;

	for (const struct json_node *i = items->child; i; i = i->next)
		n++;
	if ((larger = realloc(list->items, (list->n + n + 1) * sizeof(w))) == NULL)
		return (no_memory(e));
	list->items = larger;
	for (const struct json_node *i = items->child; i; i = i->next) {
		if (webhook_read(&w, i)) {
			if (errno == ENOMEM)
				return (no_memory(e));
			return (fluid_error_set(e, FLUID_NO_ANSWER,
			    "the list has something in it that is not a webhook"));
		}
		if (has_id(list->items + l->before, start - l->before, w.id))
			webhook_free(&w);
		else
			list->items[list->n++] = w;
	}
	l->before = start;
	return (0);
}

/* How many pages there are, as the answer says; 0 where it does not. */
static unsigned long
total_pages(const struct json_node *root)
{
	const struct json_node *pagination = json_tree_get(json_tree_get(root, "meta"),
	    "pagination");
	const char *text = json_tree_text(json_tree_get(pagination, "total_pages"));

	return (webhook_is_id(text) ? strtoul(text, NULL, 10) : 0);
}

static int
take_page(struct listing *l, unsigned page, const struct json_node *root, struct fluid_error *e)
{
	const struct json_node *items = json_tree_get(root, "webhooks");
	unsigned long pages = total_pages(root);
	size_t n = l->list.n;

	if (!json_tree_is(items, JSON_ARRAY))
		return (
		    fluid_error_set(e, FLUID_NO_ANSWER, "the answer is not a list of webhooks"));
	if (add_page(l, items, e))
		return (-1);
	/* Where nobody says how many pages there are, the last one is the one with nothing new. */
	l->more = pages ? page < pages : l->list.n > n;
	return (0);
}

static int
list_page(struct listing *l, struct call *c, unsigned page, struct fluid_error *e)
{
	struct json_node *root = NULL;
	char suffix[64];
	int result = -1;

	snprintf(suffix, sizeof(suffix), "?page=%u&per_page=%d", page, PER_PAGE);
	c->suffix = suffix;
	if ((root = call_tree(c, e)) != NULL)
		result = take_page(l, page, root, e);
	json_tree_free(root);
	/* The other pages are where the first one is. */
	c->fixed = true;
	return (result);
}

int
webhooks_list(struct fluid_api *api, const struct fluid_token *token, struct webhook_list *out,
    struct fluid_error *e)
{
	struct call c = { .api = api, .request = { .method = "GET", .token = token } };
	struct listing l = { .more = true };
	int result = 0;

	*out = (struct webhook_list){ 0 };
	for (unsigned page = 1; result == 0 && l.more; page++) {
		if (page > PAGES_MAX)
			result = fluid_error_set(e, FLUID_NO_ANSWER,
			    "the list of webhooks does not end after %d pages", PAGES_MAX);
		else
			result = list_page(&l, &c, page, e);
	}
	if (result)
		webhook_list_free(&l.list);
	else
		*out = l.list;
	return (result);
}

/* "/42", for what concerns one webhook. */
static int
set_id(struct call *c, const char *id, struct fluid_error *e)
{
	if (!webhook_is_id(id))
		return (fluid_error_set(e, FLUID_LOCAL,
		    "%s: not the id of a webhook, which is a "
		    "number",
		    id));
	snprintf(c->id_suffix, sizeof(c->id_suffix), "/%s", id);
	snprintf(c->what, sizeof(c->what), "webhook %s", id);
	c->suffix = c->id_suffix;
	return (0);
}

/* Make the call; its answer describes one webhook. */
static int
call_for_one(struct call *c, struct webhook *out, struct fluid_error *e)
{
	struct json_node *root = call_tree(c, e);
	const struct json_node *node;
	int result = 0;

	if (root == NULL)
		return (-1);
	node = json_tree_get(root, "webhook");
	if (webhook_read(out, node ? node : root))
		result = errno == ENOMEM ?
		    no_memory(e) :
		    fluid_error_set(e, FLUID_NO_ANSWER, "the answer does not describe a webhook");
	json_tree_free(root);
	return (result);
}

int
webhooks_show(struct fluid_api *api, const struct fluid_token *token, const char *id,
    struct webhook *out, struct fluid_error *e)
{
	struct call c = { .api = api, .request = { .method = "GET", .token = token } };

	fluid_error_clear(e);
	*out = (struct webhook){ 0 };
	if (set_id(&c, id, e))
		return (-1);
	return (call_for_one(&c, out, e));
}

static int
check_text(const char *name, const char *value, struct fluid_error *e)
{
	struct utf8_check u = { 0 };

	if (value && (utf8_check_feed(&u, value, strlen(value)) || utf8_check_finish(&u)))
		return (fluid_error_set(e, FLUID_LOCAL, "%s: not UTF-8", name));
	return (0);
}

static void
write_member(struct json_writer *w, const char *key, const char *value)
{
	if (value == NULL)
		return;
	json_key(w, key);
	json_string(w, value);
}

/* {"webhook":{...}} with what is said, in the order of Fluid's guide. Returns 0, or -1. */
static int
write_body(struct buf *out, const struct webhook_values *v, struct fluid_error *e)
{
	struct json_writer *w;

	if (check_text("resource", v->resource, e) || check_text("event", v->event, e) ||
	    check_text("url", v->url, e) || check_text("http_method", v->http_method, e) ||
	    check_text("auth_token", v->auth_token, e))
		return (-1);
	/* Room for all of it at once, so that growing leaves no copy of the token behind. */
	if (buf_reserve(out, BODY_MAX) || (w = json_writer_new(out, false)) == NULL)
		return (no_memory(e));
	json_object(w);
	json_key(w, "webhook");
	json_object(w);
	write_member(w, "resource", v->resource);
	write_member(w, "event", v->event);
	write_member(w, "url", v->url);
	if (v->active) {
		json_key(w, "active");
		json_bool(w, *v->active);
	}
	write_member(w, "http_method", v->http_method);
	write_member(w, "auth_token", v->auth_token);
	json_object_end(w);
	json_object_end(w);
	return (json_writer_end(w) ? no_memory(e) : 0);
}

static int
call_with_values(struct call *c, const struct webhook_values *v, struct webhook *out,
    struct fluid_error *e)
{
	struct buf body = { 0 };
	int result;

	if ((result = write_body(&body, v, e)) == 0) {
		c->request.body = body.data;
		c->request.body_len = body.len;
		c->request.secret = v->auth_token;
		result = call_for_one(c, out, e);
	}
	buf_wipe(&body);
	return (result);
}

int
webhooks_create(struct fluid_api *api, const struct fluid_token *token,
    const struct webhook_values *v, struct webhook *out, struct fluid_error *e)
{
	struct call c = { .api = api,
		.request = { .method = "POST", .token = token },
		.suffix = "" };
	struct webhook_values all = *v;
	const bool yes = true;

	fluid_error_clear(e);
	*out = (struct webhook){ 0 };
	if (!v->resource || !v->event || !v->url)
		return (fluid_error_set(e, FLUID_LOCAL, "a webhook needs resource, event and url"));
	if (all.active == NULL)
		all.active = &yes;
	if (all.http_method == NULL)
		all.http_method = "post";
	if (call_with_values(&c, &all, out, e) == 0)
		return (0);
	if (fluid_error_is_uncertain(e))
		fluid_error_hint(e,
		    "the webhook may exist now: look with `fluidhook webhook list` "
		    "before trying again");
	return (-1);
}

int
webhooks_update(struct fluid_api *api, const struct fluid_token *token, const char *id,
    const struct webhook_values *v, struct webhook *out, struct fluid_error *e)
{
	struct call c = { .api = api, .request = { .method = "PUT", .token = token } };
	struct webhook_values change = *v;

	fluid_error_clear(e);
	*out = (struct webhook){ 0 };
	change.resource = change.event = NULL;
	if (!v->url && !v->http_method && !v->auth_token && !v->active)
		return (fluid_error_set(e, FLUID_LOCAL, "nothing to change is given"));
	if (set_id(&c, id, e))
		return (-1);
	if (call_with_values(&c, &change, out, e) == 0)
		return (0);
	/* Some servers accept no less than the whole. */
	if (e->status == 422 && v->resource && v->event && call_with_values(&c, v, out, e) == 0)
		return (0);
	if (fluid_error_is_uncertain(e))
		fluid_error_hint(e,
		    "it may have been changed: look with `fluidhook webhook show "
		    "%s`",
		    id);
	return (-1);
}

int
webhooks_delete(struct fluid_api *api, const struct fluid_token *token, const char *id,
    struct fluid_error *e)
{
	struct call c = { .api = api, .request = { .method = "DELETE", .token = token } };
	struct http_response a = { 0 };
	int result;

	fluid_error_clear(e);
	if (set_id(&c, id, e))
		return (-1);
	result = call(&c, &a, e);
	http_response_free(&a);
	if (result && fluid_error_is_uncertain(e))
		fluid_error_hint(e, "it may be deleted: look with `fluidhook webhook show %s`", id);
	return (result);
}

int
webhooks_events(struct fluid_api *api, const struct fluid_token *token, struct webhook_events *out,
    struct fluid_error *e)
{
	struct call c = {
		.api = api,
		.request = { .method = "GET", .token = token },
		.suffix = "/resources",
	};
	struct json_node *root;
	int result = 0;

	fluid_error_clear(e);
	*out = (struct webhook_events){ 0 };
	if ((root = call_tree(&c, e)) == NULL)
		return (-1);
	if (webhook_events_read(out, root))
		result = errno == ENOMEM ?
		    no_memory(e) :
		    fluid_error_set(e, FLUID_NO_ANSWER,
			"the answer does not list what can be subscribed to");
	json_tree_free(root);
	return (result);
}
