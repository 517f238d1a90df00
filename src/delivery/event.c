#include "delivery/event.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Fluid publishes no complete list; these are the events its documents and receivers name. */
static const char *const known[] = {
	"order.created",
	"order.updated",
	"order.completed",
	"order.shipped",
	"order.cancelled",
	"order.refunded",
	"order.external_id_synced",
	"order.fulfillment_status_changed",
	"cart.updated",
	"cart.abandoned",
	"cart.update_address",
	"cart.update_cart_email",
	"cart.add_items",
	"cart.remove_items",
	"product.created",
	"product.updated",
	"product.destroyed",
	"subscription.started",
	"subscription.updated",
	"subscription.paused",
	"subscription.cancelled",
	"subscription.billed",
	"subscription.declined",
	"subscription.resumed",
	"subscription.resumed_after_payment_fix",
	"subscription.reactivated",
	"subscription.skipped",
	"customer.created",
	"customer.updated",
	"customer.deleted",
	"customer.destroyed",
	"contact.created",
	"contact.updated",
	"user.created",
	"user.updated",
	"user.deactivated",
	"enrollment.completed",
	"event.created",
	"event.updated",
	"event.deleted",
	"droplet.installed",
	"droplet.uninstalled",
	"bot_message.created",
	"popup.submitted",
	"webchat.submitted",
	"member.sponsorships_reassigned",
	"mfa.missing_email",
	"mfa.verified",
	"rep.created",
	"rep.updated",
	"rep.destroyed",
};

enum { N_KNOWN = sizeof(known) / sizeof(known[0]) };

const char *
event_known(size_t n)
{
	return (n < N_KNOWN ? known[n] : NULL);
}

/* Fluid's own names are lower case; others are taken as long as they are plain words. */
static bool
is_word(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') ||
			(s[i] >= '0' && s[i] <= '9') || s[i] == '_' || s[i] == '-'))
			return (false);
	return (len > 0);
}

static bool
is_lower(const char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] >= 'A' && s[i] <= 'Z')
			return (false);
	return (true);
}

/* Whether name is the known event with an underscore (or the dot) between its halves. */
static bool
is_spelling_of(const char *name, const char *event, size_t len)
{
	size_t dot = strcspn(event, ".");

	return (memcmp(name, event, dot) == 0 && (name[dot] == '_' || name[dot] == '.') &&
	    memcmp(name + dot + 1, event + dot + 1, len - dot - 1) == 0);
}

bool
event_is_reserved(const char *event)
{
	static const char resource[] = "fluidhook.";

	return (strncasecmp(event, resource, sizeof(resource) - 1) == 0);
}

int
event_join(char out[EVENT_SIZE], const char *resource, size_t resource_len, const char *event,
    size_t event_len)
{
	if (!is_word(resource, resource_len) || !is_word(event, event_len) ||
	    resource_len + 1 + event_len > EVENT_MAX_LEN)
		return (-1);
	memcpy(out, resource, resource_len);
	out[resource_len] = '.';
	memcpy(out + resource_len + 1, event, event_len);
	out[resource_len + 1 + event_len] = '\0';
	for (size_t i = 0; i < N_KNOWN; i++)
		if ((out[0] | 0x20) == known[i][0] && strcasecmp(out, known[i]) == 0)
			memcpy(out, known[i], resource_len + 1 + event_len);
	if (event_is_reserved(out))
		for (char *p = out; *p; p++)
			*p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
	return (0);
}

int
event_split(char out[EVENT_SIZE], const char *name, size_t len)
{
	const char *sep;

	if (len > EVENT_MAX_LEN || !is_lower(name, len))
		return (-1);
	for (size_t i = 0; i < N_KNOWN; i++)
		if (strlen(known[i]) == len && is_spelling_of(name, known[i], len)) {
			snprintf(out, EVENT_SIZE, "%s", known[i]);
			return (0);
		}
	if ((sep = memchr(name, '.', len)) == NULL && (sep = memchr(name, '_', len)) == NULL)
		return (-1);
	return (
	    event_join(out, name, (size_t)(sep - name), sep + 1, len - (size_t)(sep - name) - 1));
}
