#include "cli/company.h"

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
	return (cli_fail("%s", k->e.text));
}
