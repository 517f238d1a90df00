#include "cli/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/url.h"
#include "cli/commands.h"
#include "cli/lib/secret_file.h"
#include "fluid/token.h"
#include "fluid/api.h"

/* Is everything in order, as far as it can be seen on this machine? Nothing is changed. */

/* The configuration could be read, or there were no check. It says which programs run. */
static void
check_conf(struct checklist *l, const struct conf *conf)
{
	struct stat st;

	if (stat(conf->file, &st) == 0 && (st.st_mode & S_IWOTH))
		checklist_bad(l, "configuration", "chmod o-w it.", "%s: others can change it",
		    conf->file);
	else
		checklist_good(l, "configuration", "%s", conf->file);
}

static void
check_token(struct checklist *l, const struct fluid_token *t)
{
	const char *hint = NULL, *what = secret_mistake(t->value, strlen(t->value), &hint);

	if (what)
		checklist_bad(l, "company token", hint, "%s: %s", t->source, what);
	else
		checklist_good(l, "company token", "%s", t->source);
}

/* What is needed to call Fluid. The company's token may be root's alone, so this comes first. */
static void
check_fluid(struct checklist *l, const struct conf *conf)
{
	struct fluid_token token = { 0 };
	struct fluid_error e;
	struct fluid_api *t;

	if (conf->company_token == NULL && getenv("FLUID_COMPANY_TOKEN") == NULL)
		checklist_good(l, "company token", "none; register, webhook and api want one");
	else if (token_company(&token, conf, &e) == 0)
		check_token(l, &token);
	else if (conf->company_token && access(conf->company_token, F_OK))
		checklist_good(l, "company token",
		    "%s is not there; register, webhook and api want it", conf->company_token);
	else if (conf->company_token && geteuid() != 0 && access(conf->company_token, R_OK) &&
	    errno == EACCES)
		checklist_good(l, "company token",
		    "%s is not for this user to read; register, webhook and "
		    "api are for who may",
		    conf->company_token);
	else
		checklist_bad(l, "company token", "Put the token alone into it, with mode 0600.",
		    "%s", e.text);
	token_free(&token);
	if (conf->ca_file == NULL)
		return;
	if ((t = fluid_api_new(conf, &e)) == NULL)
		checklist_bad(l, "ca_file", "Without it every call of Fluid fails.", "%s", e.text);
	else
		checklist_good(l, "ca_file", "%s", conf->ca_file);
	fluid_api_free(t);
}

static void
check_droplet(struct checklist *l, const struct conf *conf, const struct conf_droplet *d)
{
	struct secret_list *live;
	const char *name = *d->name ? d->name : "droplet";

	if (d->secrets == NULL && conf->unsigned_installs == UNSIGNED_CONFIRM && d->uuid) {
		checklist_good(l, "secrets", "%s: none; installs are confirmed with Fluid", name);
		return;
	}
	if (d->secrets == NULL) {
		checklist_bad(l, "secrets", "Add \"secrets = FILE\" to it.",
		    "%s: no file of secrets, so every install is refused", name);
		return;
	}
	live = secret_list_read(d->secrets);
	if ((live || errno == EBADMSG) && !check_secret_lines(l, d->secrets))
		goto out;
	if (live || (live = secret_list_read(d->secrets)) != NULL)
		checklist_good(l, "secrets", "%s: %zu in %s", name, live->n, d->secrets);
	else
		checklist_bad(l, "secrets",
		    "The receiver's user has to be able to read it, others not: "
		    "mode 0640, one secret a line.\n\"fluidhook register URL\" or \"fluidhook secret add\" "
		    "puts a secret there.",
		    "%s: %s: %s", name, d->secrets, secrets_problem(d->secrets, errno));
out:
	secret_list_free(live);
}

static void
check_worker_settings(struct checklist *l, const struct conf *conf)
{
	enum url_problem problem;
	struct url u;

	if (conf->n_subscribe == 0)
		return;
	if (conf->public_url == NULL)
		checklist_bad(l, "subscribe", "Add \"public_url = https://...\" under [worker].",
		    "nothing is subscribed to without public_url");
	else if ((problem = url_check(&u, conf->public_url)) != URL_OK)
		checklist_bad(l, "subscribe",
		    "public_url is the https address that Fluid delivers to.", "%s: %s",
		    problem == URL_USER ? "public_url" : conf->public_url,
		    url_problem_text(problem));
	else
		checklist_good(l, "subscribe", "%zu event%s to %s", conf->n_subscribe,
		    conf->n_subscribe == 1 ? "" : "s", conf->public_url);
}

struct check_options {
	bool remote;
};

static const struct cli_option check_options[] = {
	CLI_FLAG(struct check_options, remote, "remote", '\0'),
	CLI_END,
};

static int
run(struct cli *c)
{
	const struct check_options *o = c->options;
	struct checklist l = { .json = c->json };
	struct fluid_token token = { 0 };
	struct fluid_api *t = NULL;
	struct fluid_error e;
	int status;

	/* What root alone may read. What is wrong with it, check_fluid() says. */
	if (o->remote &&
	    ((t = fluid_api_new(c->conf, &e)) == NULL || token_company(&token, c->conf, &e)))
		token_free(&token);
	check_conf(&l, c->conf);
	check_fluid(&l, c->conf);
	check_worker_settings(&l, c->conf);
	check_receivers(&l, c->conf);
	check_units(&l, c->conf);
	/* From here on as the owner of the state directory: what it cannot read, the receiver cannot. */
	if (check_state(&l, c->conf) == 0) {
		for (size_t i = 0; i < c->conf->n_droplets; i++)
			check_droplet(&l, c->conf, &c->conf->droplets[i]);
		if (c->conf->n_droplets == 0)
			checklist_bad(&l, "secrets", "Add a [droplet] with \"secrets = FILE\".",
			    "no [droplet], so every install is refused");
		check_subscriptions(&l, c->conf);
		check_hooks(&l, c->conf);
		if (t)
			check_remote(&l, c->conf, t, &token);
	}
	status = checklist_status(&l);
	fluid_api_free(t);
	token_free(&token);
	return (status);
}

const struct command check_command = {
	.name = "check",
	.args = "[--remote] [--json]",
	.summary = "Is everything in order: configuration, secrets, state directory, disk, hooks",
	.help =
	    "One line for each thing looked at, and the hint below what is wrong. Changes nothing: the\n"
	    "files that it writes to see whether that works are removed at once.\n"
	    "Every mistake in the configuration is told at once, with its line.\n"
	    "\n"
	    "      --remote  ask Fluid too: are the tokens valid, are our webhooks active\n"
	    "      --json    one JSON object a line\n"
	    "\n"
	    "Exit status: 0 all is well, 1 something is wrong, 2 the configuration is.\n",
	.flags = COMMAND_CONF | COMMAND_JSON,
	.options = check_options,
	.options_size = sizeof(struct check_options),
	.run = run,
};
