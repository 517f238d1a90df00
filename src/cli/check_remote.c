#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/check.h"
#include "fluid/installations.h"
#include "fluid/webhooks.h"
#include "store/installation.h"
#include "store/installations.h"

/* What Fluid says: do the tokens work, and do the webhooks lead here? Nothing is changed there. */

/* So many installations are asked about, so that it takes a bounded time. */
enum { ASKED_MOST = 20, PATH_SIZE = 4096 + 32, WAY_OUT_SIZE = 256 };

struct asking {
	struct checklist *list;
	const struct conf *conf;
	struct fluid_api *api;
	unsigned active, asked, bad;
	bool away; /* Fluid cannot be asked now */
};

static bool
is_event(const struct webhook *w, const char *event)
{
	size_t len = w->resource ? strlen(w->resource) : 0;

	return (len && w->event && strncmp(w->resource, event, len) == 0 && event[len] == '.' &&
	    strcmp(event + len + 1, w->event) == 0);
}

static bool
is_here(const struct conf *conf, const struct webhook *w)
{
	return (conf->public_url == NULL || (w->url && strcmp(w->url, conf->public_url) == 0));
}

/* Whether Fluid delivers with this webhook in a way that a receiver accepts. Says it if not. */
static bool
delivers(struct asking *k, const struct webhook *w)
{
	const char *method = w->http_method ? w->http_method : "post";
	char hint[WAY_OUT_SIZE];

	if (!w->active) {
		snprintf(hint, sizeof(hint),
		    "\"fluidhook webhook update %s --active\" turns it on.", w->id);
		checklist_bad(k->list, "webhooks", hint, "webhook %s (%s.%s to %s) is inactive",
		    w->id, w->resource, w->event, w->url ? w->url : "nowhere");
		return (false);
	}
	if (strcasecmp(method, "post") != 0 && strcasecmp(method, "put") != 0) {
		snprintf(hint, sizeof(hint),
		    "\"fluidhook webhook update %s --method post\" changes it.", w->id);
		checklist_bad(k->list, "webhooks", hint,
		    "webhook %s (%s.%s to %s) is delivered with %s, without a body", w->id,
		    w->resource, w->event, w->url ? w->url : "nowhere", method);
		return (false);
	}
	return (true);
}

/* The company's webhooks for installs and uninstalls. A droplet of its own settings at Fluid can do without. */
static void
check_company(struct asking *k, const struct fluid_token *token)
{
	static const char *const events[] = { "droplet.installed", "droplet.uninstalled" };
	struct webhook_list list = { 0 };
	struct fluid_error e;
	bool good = true, found;

	if (webhooks_list(k->api, token, &list, &e)) {
		k->away = e.failure != FLUID_REFUSED;
		checklist_bad(k->list, "company token",
		    k->away ? "Is this machine on the internet, and Fluid up? Then try "
			      "again." :
			      "Make a new token at Fluid, and put it there.",
		    "%s: %s", token->source, e.text);
		return;
	}
	for (size_t n = 0; n < sizeof(events) / sizeof(events[0]); n++) {
		found = false;
		for (size_t i = 0; i < list.n; i++)
			if (is_event(&list.items[i], events[n]) &&
			    is_here(k->conf, &list.items[i])) {
				found = true;
				good = delivers(k, &list.items[i]) && good;
			}
		if (found)
			continue;
		good = false;
		checklist_note(k->list, "webhooks",
		    "\"fluidhook register URL\" makes it. It is not needed if the droplet "
		    "has its webhook in its own settings at Fluid.",
		    "Fluid has no webhook of the company for %s%s%s", events[n],
		    k->conf->public_url ? " to " : "",
		    k->conf->public_url ? k->conf->public_url : "");
	}
	if (good)
		checklist_good(k->list, "webhooks", "%s and %s are delivered", events[0],
		    events[1]);
	webhook_list_free(&list);
}

/* The subscriptions of an installation. Returns whether all are there. */
static bool
check_subscribed(struct asking *k, const struct installation *i, const struct fluid_token *token)
{
	struct webhook_list list = { 0 };
	struct fluid_error e;
	char hint[WAY_OUT_SIZE];
	bool good = true, found;

	if (webhooks_list(k->api, token, &list, &e)) {
		checklist_bad(k->list, "subscriptions",
		    "Try again later, or look at what Fluid says.", "%s: %s", i->record, e.text);
		return (false);
	}
	for (size_t n = 0; n < k->conf->n_subscribe; n++) {
		found = false;
		for (size_t w = 0; w < list.n; w++)
			if (is_event(&list.items[w], k->conf->subscribe[n]) &&
			    is_here(k->conf, &list.items[w]) &&
			    (list.items[w].droplet_installation_uuid == NULL ||
				strcmp(list.items[w].droplet_installation_uuid,
				    i->droplet_installation_uuid) == 0)) {
				found = true;
				good = delivers(k, &list.items[w]) && good;
			}
		if (found)
			continue;
		good = false;
		snprintf(hint, sizeof(hint), "\"fluidhook subscribe %s\" makes it.", i->record);
		checklist_bad(k->list, "subscriptions", hint,
		    "%s: Fluid has no webhook for %s to %s", i->record, k->conf->subscribe[n],
		    k->conf->public_url);
	}
	webhook_list_free(&list);
	return (good);
}

/* Returns whether all is well. */
static bool
ask(struct asking *k, const struct installation *i)
{
	struct fluid_installation found = { 0 };
	struct fluid_token token = { 0 };
	struct fluid_error e;
	bool good = false;

	if (token_installation(&token, i->authentication_token, i->record, &e)) {
		checklist_bad(k->list, "tokens",
		    "Have the company uninstall the droplet and install it again.", "%s", e.text);
	} else if (installations_get(k->api, &token, i->droplet_installation_uuid, &found, &e)) {
		k->away = e.failure != FLUID_REFUSED;
		checklist_bad(k->list, "tokens",
		    k->away ? "Is this machine on the internet, and Fluid up? Then try again." :
			      "Have the company uninstall the droplet and install it again.",
		    "%s: %s", i->record, e.text);
	} else if (!found.active) {
		checklist_bad(k->list, "tokens",
		    "Its uninstall may not have arrived: \"fluidhook deliveries --installation\" "
		    "shows what did.",
		    "%s: active here, and not at Fluid", i->record);
	} else {
		good = k->conf->n_subscribe == 0 || k->conf->public_url == NULL ||
		    check_subscribed(k, i, &token);
	}
	fluid_installation_free(&found);
	token_free(&token);
	return (good);
}

static int
look_at(void *user, const char *file, struct installation *i)
{
	struct asking *k = user;

	(void)file;
	if (i && i->status == INSTALLATION_ACTIVE && i->droplet_installation_uuid &&
	    i->authentication_token) {
		k->active++;
		if (!k->away && k->asked < ASKED_MOST) {
			k->asked++;
			k->bad += !ask(k, i);
		}
	}
	installation_free(i);
	return (0);
}

void
check_remote(struct checklist *l, const struct conf *conf, struct fluid_api *t,
    const struct fluid_token *token)
{
	struct asking k = { .list = l, .conf = conf, .api = t };
	char path[PATH_SIZE];
	int dir;

	if (token->value)
		check_company(&k, token);
	else
		checklist_note(l, "webhooks",
		    "With a company token, check asks for the webhooks of installs.",
		    "not asked for: there is no company token");
	snprintf(path, sizeof(path), "%s/installations", conf->state_dir);
	/* Whether the records can be read is another check's concern. */
	if (k.away || (dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) == -1)
		return;
	installations_each(dir, look_at, &k);
	close(dir);
	if (k.bad == 0)
		checklist_good(l, "tokens",
		    "%u of %u active installation%s asked about; Fluid accepts their tokens",
		    k.asked, k.active, k.active == 1 ? "" : "s");
}
