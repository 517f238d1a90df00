#include "cli/lib/url_arg.h"

#include "base/url.h"
#include "cli/lib/cli.h"

int
url_arg_check(const char *url)
{
	struct url u;
	enum url_problem problem = url_check(&u, url);

	if (problem == URL_OK)
		return (0);
	cli_fail("%s: %s", problem == URL_USER ? "URL" : url, url_problem_text(problem));
	return (-1);
}
