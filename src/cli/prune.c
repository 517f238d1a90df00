#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/timefmt.h"
#include "cli/lib/cli.h"
#include "cli/commands.h"
#include "cli/lib/when.h"
#include "store/durable.h"
#include "store/index.h"
#include "store/installation.h"
#include "store/journal_files.h"
#include "store/journal_rewrite.h"
#include "worker/unread.h"

/* Removing old days of the journal, but never what somebody still has to get. */

struct pruning {
	const struct conf *conf;
	struct state *state;
	char keep_from[TIMEFMT_DAY_SIZE]; /* this day and later ones stay */
	bool failed;
};

static void
keep_from(struct pruning *p, const char *day)
{
	if (strncmp(day, p->keep_from, JOURNAL_DAY_LEN) < 0)
		snprintf(p->keep_from, sizeof(p->keep_from), "%.*s", JOURNAL_DAY_LEN, day);
}

/* An installation that still waits for Fluid: its install's hook has not run. */
static int
keep_installation(void *user, const char *record)
{
	struct pruning *p = user;
	struct installation *i = installation_load(p->state->installations, record);
	char day[TIMEFMT_DAY_SIZE];

	if (i == NULL) {
		if (errno == ENOENT)
			return (0);
		cli_fail("%s/installations/%s.json: %s; nothing is removed while it cannot be read",
		    p->state->path, record, strerror(errno));
		p->failed = true;
		return (1);
	}
	/* A day earlier: its time is that of the signature, the journal's that of receipt. */
	timefmt_day(day, i->installed_at - 86400);
	keep_from(p, day);
	installation_free(i);
	return (0);
}

/* What waits, or was given up. Where a file of these cannot be read, nothing can be said to be done. */
static int
keep_items(struct pruning *p, struct queue *q, bool dead)
{
	struct queue_item *items;
	unsigned n, damaged;

	if ((items = queue_items(q, dead, &n, &damaged)) == NULL && n)
		return (-1);
	for (unsigned i = 0; i < n; i++)
		keep_from(p, items[i].place.name);
	free(items);
	if (damaged == 0)
		return (0);
	cli_fail("%s/queue/%s holds damaged files, which the lines above name; repair or "
		 "remove them, then run this again",
	    p->state->path, layout_name(dead ? LAYOUT_DEAD : LAYOUT_WAITING));
	p->failed = true;
	return (-1);
}

static void
keep_file(void *user, const struct unread *file)
{
	struct pruning *p = user;

	if (file->error)
		fprintf(stderr, "fluidhook: %s/journal/%s: %s\n", p->state->path, file->name,
		    follow_problem(file->error));
	keep_from(p, file->name);
}

/* Whether deliveries are handed to anything. Where the hooks cannot be seen, that is not known, and so it is said. */
static bool
has_targets(const struct conf *conf)
{
	DIR *directory = opendir(conf->hooks);
	struct dirent *entry;
	bool found = false;

	if (directory == NULL)
		return (errno != ENOENT || !conf->hooks_by_default);
	while (!found && (errno = 0, entry = readdir(directory)) != NULL)
		found = entry->d_name[0] != '.';
	found = found || errno;
	closedir(directory);
	return (found || conf->n_subscribe);
}

/* Keep what no worker has read. Where there are neither hooks nor a worker that ever ran, nobody waits for anything. */
static int
keep_unread(struct pruning *p, struct queue *q)
{
	if (faccessat(p->state->queue, "position.json", F_OK, AT_SYMLINK_NOFOLLOW) &&
	    errno == ENOENT && !has_targets(p->conf))
		return (0);
	if (unread_each(p->state->journal, q, keep_file, p) == 0)
		return (0);
	if (errno == EBADMSG) {
		cli_fail("%s/queue/position.json is damaged: the worker begins a new one",
		    p->state->path);
		p->failed = true;
	}
	return (-1);
}

/*
 * Keep what waits for its hook, was given up, or has not been looked at by the worker. A delivery goes
 * from the journal to those that wait, from there to the dead, and back: looked for in this order it is
 * found, also when it moves meanwhile.
 */
static int
keep_undelivered(struct pruning *p)
{
	struct queue *q = queue_open(p->state->queue, false);
	int result = -1;

	if (q == NULL || keep_unread(p, q) || keep_items(p, q, false) || keep_items(p, q, true) ||
	    keep_items(p, q, false))
		goto out;
	if (index_each(p->state->queue, layout_name(LAYOUT_PENDING), 0, keep_installation, p) ||
	    index_each(p->state->queue, layout_name(LAYOUT_UNCONFIRMED), 0, keep_installation, p) ||
	    p->failed)
		goto out;
	result = 0;
out:
	if (result && !p->failed)
		cli_fail("%s/queue: %s", p->state->path, strerror(errno));
	queue_close(q);
	return (result);
}

static int
prune(struct pruning *p, bool dry)
{
	char(*files)[JOURNAL_NAME_SIZE];
	int status = CLI_DONE;
	size_t n;

	if ((files = journal_files(p->state->journal, &n)) == NULL)
		return (cli_fail("%s/journal: %s", p->state->path, strerror(errno)));
	for (size_t i = 0; i < n && strncmp(files[i], p->keep_from, JOURNAL_DAY_LEN) < 0; i++) {
		if (!dry &&
		    (unlinkat(p->state->journal, files[i], 0) ||
			journal_rewrite_forget(p->state->journal, files[i])))
			status = cli_fail("%s/journal/%s: %s", p->state->path, files[i],
			    strerror(errno));
		else
			printf("%s\n", files[i]);
	}
	free(files);
	if (!dry && sync_directory(p->state->journal))
		status = cli_fail("%s/journal: %s", p->state->path, strerror(errno));
	return (status);
}

struct prune_options {
	const char *keep;
	bool dry_run;
};

static const struct cli_option prune_options[] = {
	CLI_VALUE(struct prune_options, keep, "keep", '\0'),
	CLI_FLAG(struct prune_options, dry_run, "dry-run", 'n'),
	CLI_END,
};

static int
check(const struct cli *c)
{
	const struct prune_options *o = c->options;
	int64_t span;

	if (o->keep == NULL)
		return (
		    cli_misuse(c, "--keep is missing: how much to keep, for example --keep 30d"));
	if (when_parse_span(o->keep, &span))
		return (cli_misuse(c, "--keep: \"%s\" is not a span of time (30d, 12w)", o->keep));
	return (CLI_DONE);
}

static int
run(struct cli *c)
{
	const struct prune_options *o = c->options;
	struct pruning p = { .conf = c->conf, .state = c->state };
	char wanted[TIMEFMT_DAY_SIZE];
	int64_t span = 0;
	int status;

	when_parse_span(o->keep, &span);
	timefmt_day(p.keep_from, time(NULL) - span);
	memcpy(wanted, p.keep_from, sizeof(wanted));
	if (keep_undelivered(&p))
		return (CLI_FAILED);
	status = prune(&p, o->dry_run);
	if (strcmp(wanted, p.keep_from) != 0)
		fprintf(stderr,
		    "Kept from %s on: something received then is unread, waits or is a "
		    "dead letter. \"fluidhook queue\" shows it, \"fluidhook work\" hands it on.\n",
		    p.keep_from);
	return (status);
}

const struct command prune_command = {
	.name = "prune",
	.args = "--keep SPAN [--dry-run]",
	.summary = "Remove old days of the journal",
	.help =
	    "Days that hold something the worker has not delivered yet stay, and so do all later ones.\n"
	    "Prints the files it removes.\n"
	    "\n"
	    "      --keep SPAN  keep so much: 30d, 12w\n"
	    "  -n, --dry-run    only print what would be removed\n",
	.flags = COMMAND_STATE | COMMAND_CHANGES,
	.options = prune_options,
	.options_size = sizeof(struct prune_options),
	.check = check,
	.run = run,
};
