#include "base/name.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

bool
name_is_safe(const char *s, size_t len)
{
	if (len == 0 || len > NAME_MAX_LEN || s[0] == '.')
		return (false);
	for (size_t i = 0; i < len; i++) {
		char c = s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			c == '.' || c == '_' || c == '-'))
			return (false);
	}
	return (true);
}

int
name_of_shop(char out[NAME_SIZE], const char *shop, size_t len)
{
	static const char suffix[] = ".fluid.app";
	const size_t suffix_len = sizeof(suffix) - 1;

	if (len >= suffix_len && strncasecmp(shop + len - suffix_len, suffix, suffix_len) == 0)
		len -= suffix_len;
	if (!name_is_safe(shop, len))
		return (-1);
	for (size_t i = 0; i < len; i++)
		out[i] = shop[i] >= 'A' && shop[i] <= 'Z' ? (char)(shop[i] + 32) : shop[i];
	out[len] = '\0';
	return (0);
}

int
name_of_installation(char out[NAME_SIZE], const char *dri, const char *company_id,
    const char *droplet_uuid)
{
	int n;

	if (dri)
		n = snprintf(out, NAME_SIZE, "%s", dri);
	else if (company_id)
		n = snprintf(out, NAME_SIZE, "company-%s%s%s", company_id, droplet_uuid ? "-" : "",
		    droplet_uuid ? droplet_uuid : "");
	else
		return (-1);
	return (n > 0 && n <= NAME_MAX_LEN && name_is_safe(out, (size_t)n) ? 0 : -1);
}
