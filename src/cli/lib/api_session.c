#include "cli/lib/api_session.h"

#include <string.h>

int
api_session_open(struct api_session *k, const struct conf *conf)
{
	*k = (struct api_session){ .conf = conf };
	if (token_company(&k->token, k->conf, &k->e))
		return (api_session_fail(k));
	if ((k->api = fluid_api_new(k->conf, &k->e)) == NULL)
		return (api_session_fail(k));
	return (CLI_DONE);
}

void
api_session_close(struct api_session *k)
{
	fluid_api_free(k->api);
	token_free(&k->token);
	*k = (struct api_session){ 0 };
}

int
api_session_fail(const struct api_session *k)
{
	return (api_session_say(&k->e));
}

int
api_session_say(const struct fluid_error *e)
{
	static const char prefix[] = "fluid: ";
	const size_t len = sizeof(prefix) - 1;

	if (e->failure == FLUID_LOCAL)
		return (cli_fail("%s", e->text + (strncmp(e->text, prefix, len) == 0 ? len : 0)));
	fprintf(stderr, "%s\n", e->text);
	return (CLI_FAILED);
}
