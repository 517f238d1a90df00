#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "cli/company.h"
#include "fluid/transport.h"
#include "store/durable.h"
#include "store/index.h"
#include "store/installation.h"
#include "worker/subscribe.h"

/* Subscriptions for installations that became active before there were any in the configuration. */

struct subscribing {
	const struct conf *conf;
	struct state *state;
	struct transport *transport;
	int status;
};

static int
subscribe_one(struct subscribing *s, const char *record, bool named)
{
	struct installation *i = installation_load(s->state->installations, record);
	struct fluid_error e;

	if (i == NULL) {
		s->status = cli_fail("%s: %s", record, errno == ENOENT ? "no such installation" :
		    strerror(errno));
		return (0);
	}
	if (i->status != INSTALLATION_ACTIVE) {
		if (named)
			s->status = cli_fail("%s: is %s, and only an active installation can subscribe",
			    record, installation_status_name(i->status));
	} else if (subscribe_record(s->conf, s->transport, s->state, record, true, &e)) {
		s->status = cli_fail("%s: subscriptions not made: %s", record, e.text);
	} else {
		printf("%s\n", record);
	}
	installation_free(i);
	return (0);
}

/* One file of the installations folder. */
static int
subscribe_file(void *user, const char *file)
{
	char record[NAME_SIZE + 8];
	size_t len = strlen(file);

	if (len < 6 || len > NAME_MAX_LEN + 5 || strcmp(file + len - 5, ".json") != 0)
		return (0);
	snprintf(record, sizeof(record), "%.*s", (int)(len - 5), file);
	return (subscribe_one(user, record, false));
}

static int
subscribe(const struct conf *conf, const char *record)
{
	struct subscribing s = { .conf = conf, .status = CLI_DONE };
	struct fluid_error e;

	if (conf->public_url == NULL || conf->n_subscribe == 0)
		return (cli_fail("%s: [worker] public_url and subscribe say what to subscribe to; "
		    "both are needed", conf->file));
	/* First, while the certificates can be read. */
	if ((s.transport = transport_new(conf, &e)) == NULL)
		return (company_say(&e));
	if ((s.state = cli_state(conf)) == NULL)
		s.status = CLI_FAILED;
	else if (record)
		subscribe_one(&s, record, true);
	else if (index_each(s.state->dir, "installations", 0, subscribe_file, &s))
		s.status = cli_fail("%s/installations: %s", s.state->path, strerror(errno));
	transport_free(s.transport);
	state_close(s.state);
	return (s.status);
}

static int
run(const struct cli *c, const struct command *self, int argc, char **argv)
{
	bool all = false;
	const struct cli_option options[] = {
		{ "all", '\0', &all, NULL },
		{ NULL, '\0', NULL, NULL },
	};
	struct conf *conf;
	int status, words;

	if ((words = cli_parse(self, argc, argv, options, 0, 1, &status)) == -1)
		return (status);
	if ((words == 1) == all)
		return (cli_misuse(self, "name one installation, or --all"));
	if (words == 1 && !name_is_safe(argv[1], strlen(argv[1])))
		return (cli_misuse(self, "\"%s\" is no installation", argv[1]));
	if ((conf = cli_conf(c)) == NULL)
		return (CLI_USAGE);
	status = subscribe(conf, all ? NULL : argv[1]);
	conf_free(conf);
	return (status);
}

const struct command subscribe_command = {
	.name = "subscribe",
	.args = "INSTALLATION | --all",
	.summary = "Subscribe installations to the events of [worker] subscribe",
	.help = "The worker does this by itself for each installation that becomes active. Subscriptions\n"
	    "that are there already are left alone. Prints the installations that have all of them.\n",
	.run = run,
};
