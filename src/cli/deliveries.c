#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/timefmt.h"
#include "cli/commands.h"
#include "cli/deliveries_wanted.h"
#include "cli/lib/entry_print.h"
#include "cli/lib/journal_walk.h"
#include "cli/lib/when.h"

/* The journal: what arrived, the newest first. */

enum { LIMIT_DEFAULT = 20, SECONDS_A_DAY = 86400 };

/* One whose time cannot be read is shown rather than hidden. */
static bool
is_in_time(const struct deliveries_wanted *wanted, const struct entry *e)
{
	struct timespec received;

	return (timefmt_parse(e->received_at, &received) != 0 ||
	    (received.tv_sec >= wanted->since && received.tv_sec < wanted->until));
}

static int
list(struct journal_walk *w, const struct deliveries_wanted *wanted)
{
	struct table *t = deliveries_table();
	char first[TIMEFMT_DAY_SIZE], last[TIMEFMT_DAY_SIZE];
	unsigned long n = 0;
	struct buf row = { 0 };
	struct entry e;
	int status;

	journal_walk_only(w, journal_look_for(wanted->event, wanted->installation, NULL));
	/* A file holds what was received on its day. Inside, a clock that was set back leaves lines in any order. */
	if (t && wanted->since != INT64_MIN) {
		timefmt_day(first, wanted->since - SECONDS_A_DAY);
		journal_reader_begin_at(w->reader, first);
	}
	if (t && wanted->until != INT64_MAX) {
		timefmt_day(last, wanted->until + SECONDS_A_DAY);
		journal_reader_skip_to(w->reader, last);
	}
	while (
	    t && (wanted->limit == 0 || n < wanted->limit) && journal_walk_previous(w, &e) == 1) {
		if (!is_in_time(wanted, &e) || !deliveries_are_wanted(wanted, &e))
			continue;
		n++;
		if (wanted->json) {
			progress_hide(&w->progress);
			entry_print_json(&e, NULL);
		} else {
			deliveries_row(t, &e, &row);
			table_add_row(t, &row);
		}
	}
	progress_end(&w->progress);
	status = t ? CLI_DONE : cli_fail("out of memory");
	if (t && n && !wanted->json)
		status = table_print(t, stdout);
	else if (!wanted->json)
		fputs("No deliveries.\n", stderr);
	table_free(t);
	buf_free(&row);
	return (w->damaged ? CLI_FAILED : status);
}

struct deliveries_options {
	const char *event, *installation, *since, *until, *limit;
	bool follow;
};

static const struct cli_option deliveries_options[] = {
	CLI_VALUE(struct deliveries_options, event, "event", '\0'),
	CLI_VALUE(struct deliveries_options, installation, "installation", '\0'),
	CLI_VALUE(struct deliveries_options, since, "since", '\0'),
	CLI_VALUE(struct deliveries_options, until, "until", '\0'),
	CLI_VALUE(struct deliveries_options, limit, "limit", 'n'),
	CLI_FLAG(struct deliveries_options, follow, "follow", 'f'),
	CLI_END,
};

static int
misuse_time(const struct cli *c, const char *option, const char *text)
{
	return (cli_misuse(c,
	    "--%s: \"%s\" is not a time (2h, 3d, 2026-11-23, 2026-11-23T08:30:00Z)", option, text));
}

/* What the options say. Returns CLI_DONE, or the exit status. */
static int
read_wanted(const struct cli *c, struct deliveries_wanted *wanted)
{
	const struct deliveries_options *o = c->options;
	char *end;

	*wanted = (struct deliveries_wanted){ .event = o->event,
		.installation = o->installation,
		.since = INT64_MIN,
		.until = INT64_MAX,
		.limit = o->since || o->follow ? 0 : LIMIT_DEFAULT,
		.json = c->json };
	if (o->follow && (o->since || o->until))
		return (cli_misuse(c,
		    "--follow shows what arrives from now on: not together with "
		    "--since or --until"));
	if (o->since && when_parse(o->since, time(NULL), &wanted->since))
		return (misuse_time(c, "since", o->since));
	if (o->until && when_parse(o->until, time(NULL), &wanted->until))
		return (misuse_time(c, "until", o->until));
	if (o->limit) {
		wanted->limit = strtoul(o->limit, &end, 10);
		if (*o->limit < '0' || *o->limit > '9' || *end)
			return (cli_misuse(c, "--limit: \"%s\" is not a number", o->limit));
	}
	return (CLI_DONE);
}

static int
check_deliveries(const struct cli *c)
{
	struct deliveries_wanted wanted;

	return (read_wanted(c, &wanted));
}

static int
run_deliveries(struct cli *c)
{
	struct deliveries_wanted wanted;
	struct journal_walk w;
	int status = read_wanted(c, &wanted);

	if (status != CLI_DONE)
		return (status);
	if (((const struct deliveries_options *)c->options)->follow)
		return (deliveries_follow(c->conf, &wanted));
	status = journal_walk_open(&w, c->conf) ? CLI_FAILED : list(&w, &wanted);
	journal_walk_close(&w);
	return (status);
}

const struct command deliveries_command = {
	.name = "deliveries",
	.args = "[--event E] [--installation I] [--since T] [--until T] [-n N] [OPTIONS]",
	.summary = "List the deliveries that were accepted, the newest first",
	.help =
	    "      --event E         order.created, or order for all of its events\n"
	    "      --installation I  a droplet installation uuid, or a shop\n"
	    "      --since T         received at T or later: 90m, 2h, 3d, 2026-11-23,\n"
	    "                        2026-11-23T08:30:00Z\n"
	    "      --until T         received before T\n"
	    "  -n, --limit N         at most so many (20, with --since all; 0: all)\n"
	    "  -f, --follow          print what arrives from now on, as it arrives; with -n N, N of\n"
	    "                        them\n"
	    "      --json            one JSON object a line\n",
	.flags = COMMAND_OWNER | COMMAND_JSON,
	.options = deliveries_options,
	.options_size = sizeof(struct deliveries_options),
	.check = check_deliveries,
	.run = run_deliveries,
};
