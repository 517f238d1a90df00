#include "delivery/lifecycle_read.h"

#include <string.h>

void
lifecycle_read(const struct delivery *d, struct lifecycle_event *out)
{
	struct delivery_value name = delivery_value(d, COMPANY_NAME);
	/* A name may be of any length and contain NUL: the record keeps what fits. */
	bool is_string = name.present && name.kind == JSON_STRING;

	*out = (struct lifecycle_event){
		.installed = strcmp(delivery_event(d), "droplet.installed") == 0,
		.droplet_installation_uuid = delivery_text(d, COMPANY_DRI),
		.droplet_uuid = delivery_text(d, COMPANY_DROPLET_UUID),
		.fluid_company_id = delivery_text(d, COMPANY_FLUID_COMPANY_ID),
		.fluid_company_id_number = delivery_value(d, COMPANY_FLUID_COMPANY_ID).kind ==
		    JSON_NUMBER,
		.fluid_shop = delivery_text(d, COMPANY_SHOP),
		.name = is_string ? name.text : NULL,
		.name_len = is_string ? name.len : 0,
		.authentication_token = delivery_text(d, COMPANY_AUTHENTICATION_TOKEN),
		.webhook_verification_token = delivery_text(d, COMPANY_VERIFICATION_TOKEN),
		.exchange_token = delivery_text(d, CREDENTIALS_TOKEN),
		.exchange_token_expires_at = delivery_text(d, CREDENTIALS_EXPIRES_AT),
		.exchange_endpoint = delivery_text(d, CREDENTIALS_ENDPOINT),
	};
}
