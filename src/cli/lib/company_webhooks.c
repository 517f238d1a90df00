#include "cli/lib/company_webhooks.h"

#include <string.h>

/* Put one in the place of what the list said about it. Returns 1, 0 if it is gone, or -1 with the error set. */
static int
look_at(struct api_session *k, struct webhook *listed)
{
	struct webhook whole = { 0 };

	if (webhooks_show(k->api, &k->token, listed->id, &whole, &k->e)) {
		/* It was deleted after the list was read. */
		return (k->e.failure == FLUID_REFUSED && k->e.status == 404 ? 0 : -1);
	}
	webhook_free(listed);
	*listed = whole;
	return (1);
}

int
company_webhooks(struct api_session *k, struct webhook_list *out)
{
	size_t kept = 0;
	int result;

	if (webhooks_list(k->api, &k->token, out, &k->e))
		return (-1);
	for (size_t i = 0; i < out->n; i++) {
		struct webhook *w = &out->items[i];

		result = w->droplet_installation_uuid ? 0 : look_at(k, w);
		if (result == -1) {
			webhook_list_free(out);
			return (-1);
		}
		if (result == 0) {
			webhook_free(w);
			continue;
		}
		if (kept != i) {
			out->items[kept] = *w;
			*w = (struct webhook){ 0 };
		}
		kept++;
	}
	out->n = kept;
	return (0);
}

bool
company_webhook_has(const struct webhook *w, const char *secret)
{
	return (w->auth_token && strcmp(w->auth_token, secret) == 0);
}
