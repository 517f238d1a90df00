#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/lib/cli.h"
#include "cli/commands.h"
#include "cli/lib/api_session.h"
#include "cli/lib/installation_arg.h"
#include "fluid/api.h"
#include "store/installations.h"
#include "worker/alert.h"
#include "worker/subscribe.h"

/* Subscriptions for installations that became active before there were any in the configuration. */

struct subscribing {
	const struct conf *conf;
	struct state *state;
	struct fluid_api *api;
	int status;
};

static void
subscribe_one(struct subscribing *s, const char *record)
{
	struct subscribe_failure f;

	if (subscribe_record(s->conf, s->api, s->state, record, true, &f) == 0)
		printf("%s\n", record);
	else
		s->status = cli_fail("%s: subscriptions not made: %s", record, f.e.text);
	if (f.to_be_told)
		alert_subscription_failed(s->conf, s->state, record, f.shop, f.errors);
	if (f.errors)
		cli_fail("%s: %s", record, f.errors);
	free(f.errors);
	free(f.shop);
}

/* One of all: those that are not active want none. */
static int
subscribe_active(void *user, const char *file, struct installation *i)
{
	struct subscribing *s = user;

	if (i == NULL)
		s->status = cli_fail("%s/installations/%s: %s", s->state->path, file,
		    installation_problem(errno));
	else if (i->status == INSTALLATION_ACTIVE)
		subscribe_one(s, i->record);
	installation_free(i);
	return (0);
}

static void
subscribe_named(struct subscribing *s, const char *word)
{
	struct installation *i = installation_arg(s->conf, word);

	if (i == NULL)
		s->status = CLI_FAILED;
	else if (i->status != INSTALLATION_ACTIVE)
		s->status = cli_fail("%s: is %s, and only an active installation can subscribe",
		    i->record, installation_status_name(i->status));
	else
		subscribe_one(s, i->record);
	installation_free(i);
}

/* named: one installation; NULL: all. */
static int
subscribe(const struct conf *conf, const char *named)
{
	struct subscribing s = { .conf = conf, .status = CLI_DONE };
	struct fluid_error e;

	if (conf->public_url == NULL || conf->n_subscribe == 0)
		return (cli_fail("%s: [worker] public_url and subscribe say what to subscribe to; "
				 "both are needed",
		    conf->file));
	/* First, while the certificates can be read. */
	if ((s.api = fluid_api_new(conf, &e)) == NULL)
		return (api_session_say(&e));
	if ((s.state = cli_state(conf)) == NULL)
		s.status = CLI_FAILED;
	else if (named)
		subscribe_named(&s, named);
	else if (installations_each(s.state->installations, subscribe_active, &s))
		s.status = cli_fail("%s/installations: %s", s.state->path, strerror(errno));
	fluid_api_free(s.api);
	state_close(s.state);
	return (s.status);
}

struct subscribe_options {
	bool all;
};

static const struct cli_option subscribe_options[] = {
	CLI_FLAG(struct subscribe_options, all, "all", '\0'),
	CLI_END,
};

static int
check(const struct cli *c)
{
	const struct subscribe_options *o = c->options;

	return (
	    (c->argc == 1) == o->all ? cli_misuse(c, "name one installation, or --all") : CLI_DONE);
}

static int
run(struct cli *c)
{
	return (subscribe(c->conf, c->argv[0]));
}

const struct command subscribe_command = {
	.name = "subscribe",
	.args = "INSTALLATION | --all",
	.summary = "Subscribe installations to the events of [worker] subscribe",
	.help =
	    "The worker does this by itself for each installation that becomes active. Subscriptions\n"
	    "that are there already are left alone. Prints the installations that have all of them.\n",
	.flags = COMMAND_CONF | COMMAND_CHANGES,
	.most = 1,
	.options = subscribe_options,
	.options_size = sizeof(struct subscribe_options),
	.check = check,
	.run = run,
};
