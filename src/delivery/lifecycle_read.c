#include "delivery/lifecycle_read.h"

void
lifecycle_read(const struct delivery *d, struct lifecycle_event *out)
{
	const struct delivery_content *c = delivery_content(d);

	*out = (struct lifecycle_event){
		.installed = c->kind == DELIVERY_INSTALLED,
		.droplet_installation_uuid = c->installation,
		.droplet_uuid = c->droplet,
		.fluid_company_id = c->company,
		.fluid_company_id_number = c->company_is_number,
		.fluid_shop = c->shop,
		.name = c->name,
		.name_len = c->name_len,
		.authentication_token = c->authentication_token,
		.webhook_verification_token = c->verification_token,
		.exchange_token = c->exchange_token,
		.exchange_token_expires_at = c->exchange_expires_at,
		.exchange_endpoint = c->exchange_endpoint,
	};
}
