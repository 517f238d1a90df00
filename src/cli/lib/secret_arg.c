#include "cli/lib/secret_arg.h"

#include <errno.h>
#include <string.h>

#include "cli/lib/cli.h"
#include "cli/lib/secret_file.h"
#include "delivery/secrets.h"

char *
secret_arg(const char *path)
{
	struct secret_list *l = secret_list_read(path);
	char *secret;

	if (l == NULL) {
		cli_fail("%s: %s", path, secrets_problem(path, errno));
		return (NULL);
	}
	secret = strdup(l->secrets[0]);
	secret_list_free(l);
	if (secret == NULL)
		cli_fail("out of memory");
	return (secret);
}

char *
secret_newest(const struct conf_droplet *droplet)
{
	struct secret_list *l = secret_file_read(droplet->secrets);
	char *secret = NULL;

	if (l == NULL)
		return (NULL);
	if (l->n == 0)
		cli_fail(
		    "%s: no secret in it; \"fluidhook register URL\" or \"fluidhook secret add\" "
		    "puts one there",
		    droplet->secrets);
	else if ((secret = strdup(l->secrets[0])) == NULL)
		cli_fail("out of memory");
	secret_list_free(l);
	return (secret);
}
