#include "cli/company.h"

#include <string.h>

int
company_open(struct company *k, const struct cli *c)
{
	*k = (struct company){ .conf = cli_conf(c) };
	if (k->conf == NULL)
		return (CLI_USAGE);
	if (token_company(&k->token, k->conf, &k->e))
		return (company_fail(k));
	if ((k->transport = transport_new(k->conf, &k->e)) == NULL)
		return (company_fail(k));
	return (CLI_DONE);
}

void
company_close(struct company *k)
{
	transport_free(k->transport);
	token_free(&k->token);
	conf_free(k->conf);
	*k = (struct company){ 0 };
}

int
company_fail(const struct company *k)
{
	return (company_say(&k->e));
}

int
company_say(const struct fluid_error *e)
{
	static const char prefix[] = "fluid: ";
	const size_t len = sizeof(prefix) - 1;

	if (e->failure == FLUID_LOCAL)
		return (cli_fail("%s", e->text + (strncmp(e->text, prefix, len) == 0 ? len : 0)));
	fprintf(stderr, "%s\n", e->text);
	return (CLI_FAILED);
}
