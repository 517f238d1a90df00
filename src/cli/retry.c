#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/lib/cli.h"
#include "cli/commands.h"
#include "cli/lib/uuid_arg.h"
#include "worker/queue.h"

/* Dead letters, tried again. */

struct retrying {
	const struct state *state;
	struct queue *queue;
	struct queue_item *dead;
	unsigned n;
	bool *chosen; /* for each of these */
};

/* Returns CLI_DONE, or the exit status after saying what is wrong. */
static int
open_dead(struct retrying *r)
{
	unsigned damaged;

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
}

/* Choose the one that an argument names. Returns 0, or -1 after saying why it cannot be told. */
static int
choose(struct retrying *r, const char *argument)
{
	struct uuid_arg arg = uuid_arg_begin(argument);
	unsigned found = 0;

	/* A delivery can be given up at several targets; they are ordered by delivery. */
	for (unsigned i = 0; i < r->n; i++)
		if ((i == 0 || strcmp(r->dead[i].delivery, r->dead[i - 1].delivery) != 0) &&
		    uuid_arg_consider(&arg, r->dead[i].delivery))
			found = i;
	if (arg.n == 0) {
		cli_fail("%s: not among the dead letters; \"fluidhook queue --dead\" lists them",
		    argument);
		return (-1);
	}
	if (uuid_arg_is_ambiguous(&arg))
		return (-1);
	for (unsigned i = found;
	     i < r->n && strcmp(r->dead[i].delivery, r->dead[found].delivery) == 0; i++)
		r->chosen[i] = true;
	return (0);
}

/* Take back what was chosen. Returns the exit status. */
static int
retry(struct retrying *r)
{
	const char *printed = "";
	int status = CLI_DONE;

	for (unsigned i = 0; i < r->n; i++) {
		if (!r->chosen[i])
			continue;
		if (queue_requeue(r->queue, &r->dead[i]) == 0) {
			if (strcmp(printed, r->dead[i].delivery) != 0)
				printf("%s\n", r->dead[i].delivery);
			printed = r->dead[i].delivery;
		} else if (errno == ETIMEDOUT)
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

struct retry_options {
	bool all;
};

static const struct cli_option retry_options[] = {
	CLI_FLAG(struct retry_options, all, "all", '\0'),
	CLI_END,
};

static int
check(const struct cli *c)
{
	const struct retry_options *o = c->options;

	return ((c->argc > 0) == o->all ? cli_misuse(c, "name deliveries, or --all") : CLI_DONE);
}

static int
run(struct cli *c)
{
	const struct retry_options *o = c->options;
	struct retrying r = { .state = c->state };
	int opened = open_dead(&r), status = CLI_DONE;

	if (opened != CLI_DONE && r.chosen == NULL) {
		close_dead(&r);
		return (opened);
	}
	for (unsigned i = 0; o->all && i < r.n; i++)
		r.chosen[i] = true;
	for (int i = 0; i < c->argc; i++)
		if (choose(&r, c->argv[i]))
			status = CLI_FAILED;
	/* With an argument that names none or several, nothing is retried. */
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
	.flags = COMMAND_STATE | COMMAND_MANY | COMMAND_CHANGES,
	.options = retry_options,
	.options_size = sizeof(struct retry_options),
	.check = check,
	.run = run,
};
