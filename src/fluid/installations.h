#ifndef FLUID_INSTALLATIONS_H
#define FLUID_INSTALLATIONS_H

#include <stdbool.h>

#include "fluid/error.h"
#include "fluid/token.h"
#include "fluid/api.h"

/* Droplet installations at Fluid: looking one up, and exchanging its one-time token. */

/* What Fluid says about an installation. Owned by the struct; NULL where it is not said. */
struct fluid_installation {
	char *droplet_installation_uuid;
	char *droplet_uuid;
	char *fluid_company_id;
	bool fluid_company_id_number; /* whether it was a number in JSON */
	char *fluid_shop;
	bool active; /* true unless Fluid says false */
};

/**
 * Look an installation up with its own token, which proves that both are genuine: the answer's
 * installation uuid is the one asked for. Returns 0, or -1 with the error set: FLUID_REFUSED for a
 * token or an installation that Fluid does not know, or an answer about another one; everything
 * else can be asked again.
 */
int installations_get(struct fluid_api *api, const struct fluid_token *token, const char *dri,
    struct fluid_installation *out, struct fluid_error *e);

void fluid_installation_free(struct fluid_installation *i);

/**
 * Whose a token is: fills fluid_company_id and fluid_shop, each NULL where Fluid does not say it, and
 * nothing else of *out. Returns 0, or -1 with the error set.
 */
int installations_owner(struct fluid_api *api, const struct fluid_token *token,
    struct fluid_installation *out, struct fluid_error *e);

enum exchange_outcome {
	EXCHANGE_DONE,    /* the credentials are here */
	EXCHANGE_REFUSED, /* Fluid says: spent, expired, unknown; or answered for another one */
	EXCHANGE_AGAIN,   /* not spent as far as is known: try again while the token lives */
	EXCHANGE_UNKNOWN, /* sent, but the answer is lost: Fluid may have spent the token */
};

struct exchange_request {
	const char *endpoint; /* exchange_endpoint of the install: a path */
	const char *exchange_token;
	/* Whom it is for; the answer must be about the same. Without a dri the company decides. */
	const char *droplet_installation_uuid;
	const char *fluid_company_id;
};

/* Owned by the struct; exchange_free() wipes the tokens. */
struct exchange {
	struct fluid_installation installation;
	char *authentication_token;       /* at most FLUID_TOKEN_MAX bytes each */
	char *webhook_verification_token; /* NULL where Fluid gave none */
};

/**
 * Exchange a one-time token for permanent credentials. One call, never repeated here. For
 * everything but EXCHANGE_DONE the error says why, and *out is empty.
 */
enum exchange_outcome installations_exchange(struct fluid_api *api,
    const struct exchange_request *r, struct exchange *out, struct fluid_error *e);

void exchange_free(struct exchange *x);

/** Whether an exchange_endpoint is acceptable: a path (url_is_path()) without a query. */
bool exchange_endpoint_check(const char *endpoint);

#endif
