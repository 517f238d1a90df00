#ifndef BASE_CREDENTIAL_H
#define BASE_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>

/* Which members of JSON hold credentials, by their names. */

/**
 * Whether a member is named like a credential: its name contains token, secret, password, credential,
 * api_key, apikey or private_key, in capitals or small letters.
 */
bool credential_is_name(const char *key, size_t len);

/**
 * Whether a JSON text has a member that is named like a credential, at any depth. true also where it
 * cannot be told: the text is no JSON object, or memory is short.
 */
bool credential_in_json(const char *text, size_t len);

#endif
