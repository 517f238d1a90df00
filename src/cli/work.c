#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/lib/cli.h"
#include "cli/commands.h"
#include "worker/hook_env.h"
#include "worker/worker.h"

/* What another user's worker wrote into it, its receiver could not read. */
static bool
is_ours(const struct state *state)
{
	const struct passwd *pw;
	struct stat st;

	if (fstat(state->dir, &st)) {
		cli_fail("%s: %s", state->path, strerror(errno));
		return (false);
	}
	if (st.st_uid == geteuid())
		return (true);
	pw = getpwuid(st.st_uid);
	cli_fail(
	    "%s belongs to %s: run the worker as that user, or as root, which becomes that user",
	    state->path, pw ? pw->pw_name : "another user");
	return (false);
}

struct work_options {
	bool once;
};

static const struct cli_option work_options[] = {
	CLI_FLAG(struct work_options, once, "once", '\0'),
	CLI_END,
};

static int
run(struct cli *c)
{
	const struct work_options *o = c->options;
	const struct conf *conf = c->conf;
	struct state *state = NULL;
	char *file = NULL;
	int status = CLI_FAILED;

	/* For the hooks, which do not run where we do. */
	if ((file = realpath(conf->file, NULL)) == NULL)
		cli_fail("%s: %s", conf->file, strerror(errno));
	else if (strlen(file) > HOOK_CONF_MAX)
		cli_fail(
		    "%s: the path is longer than %d bytes, the most that a hook can be given; use a shorter one",
		    file, HOOK_CONF_MAX);
	else if ((state = cli_state(conf)) != NULL && is_ours(state)) {
		if (conf_open_log(conf, "fluidhook"))
			cli_fail("%s: log: %s: %s", conf->file, conf->log_file, strerror(errno));
		else
			status = work(conf, file, state, o->once) ? CLI_FAILED : CLI_DONE;
	}
	state_close(state);
	free(file);
	return (status);
}

const struct command work_command = {
	.name = "work",
	.args = "[--once]",
	.summary = "Exchange tokens, confirm and subscribe installations, run hooks",
	.help =
	    "Follows the journal until SIGTERM. One worker runs on a state directory at a time.\n"
	    "\n"
	    "      --once  do what can be done now and end, for cron:\n"
	    "              * * * * * fluidhook work --once\n"
	    "              Where another worker runs, it ends at once, with status 0.\n"
	    "\n"
	    "Hooks are programs in the directory that [worker] hooks names; man 7 fluidhook-hooks.\n",
	.flags = COMMAND_CONF,
	.options = work_options,
	.options_size = sizeof(struct work_options),
	.run = run,
};
