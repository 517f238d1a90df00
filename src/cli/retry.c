#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/lib/cli.h"
#include "cli/commands.h"
#include "cli/lib/uuid_arg.h"
#include "worker/queue.h"

/* Dead letters, tried again. */

struct retrying {
	struct conf *conf;
	struct state *state;
	struct queue *queue;
	struct queue_item *dead;
	unsigned n;
	bool *chosen; /* for each of these */
};

/* Returns CLI_DONE, or the exit status after saying what is wrong. */
static int
open_dead(struct retrying *r, const struct cli *c)
{
	unsigned damaged;

	if ((r->conf = cli_conf(c)) == NULL)
		return (CLI_USAGE);
	if ((r->state = cli_state(r->conf)) == NULL)
		return (CLI_FAILED);
	if ((r->queue = queue_open(r->state->queue, false)) == NULL ||
	    ((r->dead = queue_items(r->queue, true, &r->n, &damaged)) == NULL && r->n))
		return (cli_fail("%s/queue: %s", r->state->path, strerror(errno)));
	if ((r->chosen = calloc(r->n + 1, sizeof(*r->chosen))) == NULL)
		return (cli_fail("out of memory"));
	return (damaged ? CLI_FAILED : CLI_DONE);
}

static void
close_dead(struct retrying *r)
{
	free(r->chosen);
	free(r->dead);
	queue_close(r->queue);
	state_close(r->state);
	conf_free(r->conf);
}

/* Choose the one that a word names. Returns 0, or -1 after saying why it cannot be told. */
static int
choose(struct retrying *r, const char *word)
{
	struct uuid_arg arg = uuid_arg_begin(word);
	unsigned found = 0;

	for (unsigned i = 0; i < r->n; i++)
		if (uuid_arg_consider(&arg, r->dead[i].delivery))
			found = i;
	if (arg.n == 0) {
		cli_fail("%s: not among the dead letters; \"fluidhook queue --dead\" lists them",
		    word);
		return (-1);
	}
	if (uuid_arg_is_ambiguous(&arg))
		return (-1);
	r->chosen[found] = true;
	return (0);
}

/* Take back what was chosen. Returns the exit status. */
static int
retry(struct retrying *r)
{
	int status = CLI_DONE;

	for (unsigned i = 0; i < r->n; i++) {
		if (!r->chosen[i])
			continue;
		if (queue_requeue(r->queue, &r->dead[i]) == 0)
			printf("%s\n", r->dead[i].delivery);
		else if (errno == ETIMEDOUT)
			status = cli_fail(
			    "%s: not retried: another process holds the lock of %s/queue/dead; "
			    "run this again when it has ended",
			    r->dead[i].delivery, r->state->path);
		else if (errno != ENOENT)
			status = cli_fail("%s: not retried: %s/queue: %s", r->dead[i].delivery,
			    r->state->path, strerror(errno));
		/* Otherwise another "fluidhook retry" has taken it back, and names it. */
	}
	return (status);
}

static int
run(const struct cli *c, const struct command *self, int argc, char **argv)
{
	bool all = false;
	const struct cli_option options[] = {
		{ "all", '\0', &all, NULL },
		{ NULL, '\0', NULL, NULL },
	};
	struct retrying r = { .n = 0 };
	int status, words, opened;

	if ((words = cli_parse(self, argc, argv, options, 0, SIZE_MAX, &status)) == -1)
		return (status);
	if ((words > 0) == all)
		return (cli_misuse(self, "name deliveries, or --all"));
	opened = open_dead(&r, c);
	if (opened != CLI_DONE && r.chosen == NULL) {
		close_dead(&r);
		return (opened);
	}
	status = CLI_DONE;
	for (unsigned i = 0; all && i < r.n; i++)
		r.chosen[i] = true;
	for (int i = 1; i <= words; i++)
		if (choose(&r, argv[i]))
			status = CLI_FAILED;
	/* With a word that names none or several, nothing is retried. */
	if (status == CLI_DONE)
		status = retry(&r);
	close_dead(&r);
	return (status == CLI_DONE ? opened : status);
}

const struct command retry_command = {
	.name = "retry",
	.args = "UUID... | --all",
	.summary = "Retry dead letters: deliveries whose hook was given up",
	.help =
	    "Prints the deliveries. The worker runs their hooks within a few seconds, with all their\n"
	    "attempts before them. The beginning of a UUID is enough if only one dead letter has it.\n"
	    "\n"
	    "      --all  all dead letters\n",
	.changes = true,
	.run = run,
};
