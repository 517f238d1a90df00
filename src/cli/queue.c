#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/timefmt.h"
#include "cli/lib/cli.h"
#include "cli/commands.h"
#include "cli/lib/table.h"
#include "worker/hooks.h"
#include "worker/unread.h"

/* What waits and what gave up. */

static int
print_json(const struct queue_item *item, bool dead)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);
	char when[TIMEFMT_SECONDS_SIZE];

	if (w == NULL)
		return (-1);
	timefmt_seconds(when, dead ? item->next : queue_unix(item->next));
	json_object(w);
	json_key(w, "delivery");
	json_string(w, item->delivery);
	json_key(w, "event");
	json_string(w, item->event);
	json_key(w, "attempts");
	json_int(w, item->attempts);
	json_key(w, dead ? "given_up_at" : "next_at");
	json_string(w, when);
	json_key(w, "waits_for_credentials");
	json_bool(w, item->for_credentials);
	json_key(w, "why");
	json_string(w, item->why[0] ? item->why : NULL);
	json_object_end(w);
	if (json_writer_end(w) == 0)
		printf("%s\n", out.data);
	buf_free(&out);
	return (0);
}

static void
print_table(const struct queue_item *items, unsigned n, bool dead)
{
	struct table *t = table_new((const char *const[]){ "DELIVERY", "EVENT", "TRIES",
	    dead ? "GIVEN UP" : "NEXT", "WHY", NULL });
	char when[TIMEFMT_SECONDS_SIZE], tries[16];

	if (t == NULL)
		return;
	for (unsigned i = 0; i < n; i++) {
		timefmt_seconds(when, dead ? items[i].next : queue_unix(items[i].next));
		snprintf(tries, sizeof(tries), "%u", items[i].attempts);
		table_add(t,
		    (const char *const[]){ items[i].delivery, items[i].event, tries, when,
			items[i].why[0] == '\0' && items[i].for_credentials ?
			    "waits for credentials" :
			    items[i].why });
	}
	table_print(t, stdout);
	table_free(t);
}

/* While the hooks cannot be seen, nothing runs: neither what is listed nor what nobody has read yet. */
static void
say_unavailable(const struct conf *conf)
{
	struct hooks *h = hooks_new(-1);

	if (h == NULL)
		return;
	hooks_configure(h, conf, NULL);
	if (hooks_look(h))
		cli_fail("hooks directory %s is unavailable: %s; deliveries wait for it",
		    conf->hooks, strerror(errno));
	hooks_free(h);
}

/* What no worker has read. */
struct not_read {
	const struct state *state;
	unsigned long lines, under_way;
	int64_t oldest;                /* INT64_MAX: not known */
	char first[JOURNAL_NAME_SIZE]; /* the file it begins in */
	bool failed;                   /* a file cannot be read: it is not known how much */
};

static void
add_unread(void *user, const struct unread *file)
{
	struct not_read *u = user;

	if (file->error) {
		cli_fail("%s/journal/%s: %s; its deliveries wait until it can be read",
		    u->state->path, file->name, follow_problem(file->error));
		u->failed = true;
		return;
	}
	u->under_way += file->under_way;
	if (file->lines == 0)
		return;
	if (u->lines == 0)
		snprintf(u->first, sizeof(u->first), "%s", file->name);
	u->lines += file->lines;
	if (file->oldest < u->oldest)
		u->oldest = file->oldest;
}

static void
print_unread_json(const struct not_read *u, bool worked)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);
	char since[TIMEFMT_SECONDS_SIZE];

	if (w == NULL)
		return;
	timefmt_seconds(since, u->oldest);
	json_object(w);
	json_key(w, "unread");
	json_int(w, (long long)u->lines);
	json_key(w, "oldest_unread_at");
	json_string(w, u->oldest == INT64_MAX ? NULL : since);
	json_key(w, "under_way");
	json_int(w, (long long)u->under_way);
	json_key(w, "worker_runs");
	json_bool(w, worked);
	json_object_end(w);
	if (json_writer_end(w) == 0)
		printf("%s\n", out.data);
	buf_free(&out);
}

static void
say_unread(const struct not_read *u, bool worked)
{
	char since[TIMEFMT_SECONDS_SIZE] = "an unknown time";

	if (u->oldest != INT64_MAX)
		timefmt_seconds(since, u->oldest);
	fprintf(stderr, "%lu %s unread since %s, the first in journal/%s: %s.\n", u->lines,
	    u->lines == 1 ? "delivery is" : "deliveries are", since, u->first,
	    worked ? "a worker runs" : "no worker runs; \"fluidhook work\" reads them");
}

/* Report what waits in the journal. Returns the exit status. */
static int
report_unread(const struct cli *c, struct queue *q, bool nothing_listed)
{
	struct not_read u = { .state = c->state, .oldest = INT64_MAX };
	bool worked = queue_has_worker(q);

	if (unread_each(c->state->journal, q, add_unread, &u)) {
		if (errno == EBADMSG)
			return (cli_fail(
			    "%s/queue/position.json is damaged: the worker reads the journal from its "
			    "beginning",
			    c->state->path));
		return (cli_fail("%s/journal: %s", c->state->path, strerror(errno)));
	}
	if ((u.lines || u.under_way) && c->json)
		print_unread_json(&u, worked);
	if (u.under_way)
		fprintf(stderr,
		    "%lu %s under way: a target has each, or another of its installation first.\n",
		    u.under_way, u.under_way == 1 ? "delivery is" : "deliveries are");
	if (u.lines)
		say_unread(&u, worked);
	else if (nothing_listed && !u.failed && u.under_way == 0)
		fputs("Nothing waits.\n", stderr);
	return (u.failed ? CLI_FAILED : CLI_DONE);
}

/* What was given up is not listed, but nobody should take it for done. Returns how many there are. */
static unsigned
say_given_up(struct queue *q)
{
	unsigned n, damaged;
	struct queue_item *items = queue_items(q, true, &n, &damaged);

	if (items == NULL)
		return (0);
	free(items);
	if (n)
		fprintf(stderr, "%u %s given up: \"fluidhook queue --dead\" shows %s.\n", n,
		    n == 1 ? "delivery was" : "deliveries were", n == 1 ? "it" : "them");
	return (n);
}

struct queue_options {
	bool dead;
};

static const struct cli_option queue_options[] = {
	CLI_FLAG(struct queue_options, dead, "dead", '\0'),
	CLI_END,
};

/* Returns the exit status. */
static int
show(const struct cli *c, struct queue *q, bool dead)
{
	struct queue_item *items;
	unsigned n = 0, damaged, given_up;
	int status = CLI_DONE;

	if ((items = queue_items(q, dead, &n, &damaged)) == NULL && n)
		return (cli_fail("%s/queue: %s", c->state->path, strerror(errno)));
	for (unsigned i = 0; c->json && i < n; i++)
		print_json(&items[i], dead);
	if (!c->json && n)
		print_table(items, n, dead);
	else if (!c->json && !damaged && dead)
		fputs("Nothing was given up.\n", stderr);
	free(items);
	given_up = dead ? 0 : say_given_up(q);
	if (!dead && report_unread(c, q, !c->json && n == 0 && !damaged && !given_up) != CLI_DONE)
		status = CLI_FAILED;
	if (damaged)
		status = CLI_FAILED;
	say_unavailable(c->conf);
	return (status);
}

static int
run_queue(struct cli *c)
{
	const struct queue_options *o = c->options;
	struct queue *q = queue_open(c->state->queue, false);
	int status;

	if (q == NULL)
		return (cli_fail("%s/queue: %s", c->state->path, strerror(errno)));
	status = show(c, q, o->dead);
	queue_close(q);
	return (status);
}

const struct command queue_command = {
	.name = "queue",
	.args = "[--dead] [--json]",
	.summary = "Show the deliveries that wait for their hook",
	.help = "      --dead  those that were given up; \"fluidhook retry\" takes them back\n"
		"      --json  one JSON object a line\n",
	.flags = COMMAND_STATE | COMMAND_JSON,
	.options = queue_options,
	.options_size = sizeof(struct queue_options),
	.run = run_queue,
};
