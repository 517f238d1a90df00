#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/lib/entry_print.h"
#include "cli/lib/journal_walk.h"
#include "cli/lib/redact.h"
#include "cli/lib/uuid_arg.h"
#include "store/journal_find.h"
#include "store/seal.h"

/* One delivery, out of the journal. */

static void
print_field(const char *label, const char *value)
{
	printf("%-14s", label);
	cli_print_text(stdout, value ? value : "-", value ? strlen(value) : 1);
	putchar('\n');
}

/* The body as it may be shown: of what carries credentials, all but these. */
static int
show(const struct entry *e, bool json)
{
	struct buf body = { 0 };
	char verified[64];
	int status = CLI_DONE;

	if (redact_body(e->body, e->body_len, &body))
		status = cli_fail(
		    "%s: the body cannot be shown without its credentials; --raw prints all of it",
		    e->delivery);
	else if (json)
		status = entry_print_json(e, body.data);
	else {
		print_field("Delivery", e->delivery);
		print_field("Received", e->received_at);
		print_field("Event", e->event);
		print_field("Installation", e->installation);
		print_field("Shop", e->fluid_shop);
		snprintf(verified, sizeof(verified), "%s%s%s",
		    e->verified_by ? e->verified_by : "-", e->key ? " of the " : "",
		    e->key ? e->key : "");
		print_field("Verified by", verified);
		printf("%-14s%zu bytes\n\n", "Body", e->body_len);
		cli_print_lines(stdout, body.data, body.len);
	}
	buf_wipe(&body);
	return (status);
}

/* Look through all lines of the days between these. Returns whether the journal can be read. */
static bool
find_between(struct journal_walk *w, struct uuid_arg *arg, const char *first, const char *last,
    struct buf *line)
{
	struct entry e;

	journal_reader_free(w->reader);
	if ((w->reader = journal_reader_new(w->dir)) == NULL)
		return (false);
	journal_walk_only(w, journal_look_for(NULL, NULL, arg->argument));
	journal_reader_skip_to(w->reader, last);
	journal_reader_begin_at(w->reader, first);
	while (journal_walk_previous(w, &e) == 1) {
		if (!uuid_arg_consider(arg, e.delivery))
			continue;
		if (line->len == 0)
			buf_add(line, w->line.data, w->line.len);
		if (uuid_arg_is_whole(arg) || arg->n > UUID_ARG_SHOWN)
			break;
	}
	return (true);
}

/*
 * A whole UUID at the place that its time gives, in one of the days between these. What cannot be read here is said by
 * find_between(), which is next. Returns whether it was found.
 */
static bool
find_at_once(struct journal_walk *w, struct uuid_arg *arg, const char *first, const char *last,
    struct buf *line)
{
	char uuid[UUID_SIZE], (*files)[JOURNAL_NAME_SIZE];
	bool found = false;
	struct entry e;
	size_t n;

	for (size_t i = 0; i < UUID_SIZE; i++)
		uuid[i] = (char)tolower((unsigned char)arg->argument[i]);
	files = journal_files(w->dir, &n);
	for (size_t i = n; files && i-- > 0 && !found;) {
		if (strncmp(files[i], first, JOURNAL_DAY_LEN) < 0 ||
		    strncmp(files[i], last, JOURNAL_DAY_LEN) > 0 ||
		    journal_find(w->dir, files[i], uuid, line) != 1)
			continue;
		buf_reset(&w->texts);
		found = entry_read(&e, line->data, line->len, &w->texts) == 0 &&
		    uuid_arg_consider(arg, e.delivery);
	}
	if (!found)
		buf_reset(line);
	free(files);
	return (found);
}

/*
 * Find the delivery that is meant: in the days that its name says, else in all, as a file can have been restored
 * under another day's name. Returns CLI_DONE with its entry, which refers to w, or CLI_FAILED after saying that
 * there is none, or that there are several.
 */
static int
find(struct journal_walk *w, const char *argument, struct entry *e)
{
	char first[TIMEFMT_DAY_SIZE], last[TIMEFMT_DAY_SIZE];
	struct uuid_arg arg = uuid_arg_begin(argument);
	struct buf line = { 0 };
	bool is_uuid = uuid_arg_days(&arg, first, last) == 0, readable = true;

	if (is_uuid && !(uuid_arg_is_whole(&arg) && find_at_once(w, &arg, first, last, &line)))
		readable = find_between(w, &arg, first, last, &line);
	if (is_uuid && readable && arg.n == 0)
		readable = find_between(w, &arg, "0000-00-00", "9999-99-99", &line);
	progress_end(&w->progress);
	/* What was found first is read again: its entry went with the lines after it. */
	buf_wipe(&w->line);
	w->line = line;
	buf_reset(&w->texts);
	if (!readable)
		return (cli_fail("%s/journal: %s", w->conf->state_dir, strerror(errno)));
	if (arg.n == 0)
		return (cli_fail("%s: no such delivery in the journal", argument));
	if (uuid_arg_is_ambiguous(&arg))
		return (CLI_FAILED);
	if (!line.failed && entry_read(e, line.data, line.len, &w->texts) && errno != ENOMEM)
		return (cli_fail("%s: its body cannot be opened: %s",
		    e->delivery ? e->delivery : argument, seal_problem(errno)));
	if (line.failed || e->body == NULL)
		return (cli_fail("out of memory"));
	return (CLI_DONE);
}

struct delivery_options {
	bool raw;
};

static const struct cli_option delivery_options[] = {
	CLI_FLAG(struct delivery_options, raw, "raw", '\0'),
	CLI_END,
};

static int
check_delivery(const struct cli *c)
{
	const struct delivery_options *o = c->options;

	if (o->raw && c->json)
		return (cli_misuse(c, "--raw and --json exclude each other"));
	return (CLI_DONE);
}

static int
run_delivery(struct cli *c)
{
	const struct delivery_options *o = c->options;
	int status = CLI_FAILED;
	struct entry e;
	struct journal_walk w;

	if (journal_walk_open(&w, c->conf) == 0) {
		status = find(&w, c->argv[0], &e);
		if (status == CLI_DONE && o->raw)
			status = fwrite(e.body, 1, e.body_len, stdout) == e.body_len ? CLI_DONE :
										       CLI_FAILED;
		else if (status == CLI_DONE)
			status = show(&e, c->json);
	}
	journal_walk_close(&w);
	return (status);
}

const struct command delivery_command = {
	.name = "delivery",
	.args = "UUID [--raw | --json]",
	.summary = "Show one delivery, with its body",
	.help =
	    "The beginning of a UUID is enough if only one delivery has it. Credentials in the body\n"
	    "are shown as present.\n"
	    "\n"
	    "      --raw   the body alone, the exact bytes received, credentials and all\n"
	    "      --json  as one JSON object\n",
	.flags = COMMAND_OWNER | COMMAND_JSON,
	.least = 1,
	.most = 1,
	.options = delivery_options,
	.options_size = sizeof(struct delivery_options),
	.check = check_delivery,
	.run = run_delivery,
};
