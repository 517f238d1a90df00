#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/name.h"
#include "base/timefmt.h"
#include "cli/commands.h"
#include "cli/lib/cli.h"
#include "cli/lib/journal_look.h"
#include "cli/lib/progress.h"
#include "cli/lib/redact.h"
#include "cli/lib/table.h"
#include "cli/lib/uuid_arg.h"
#include "cli/lib/when.h"
#include "store/entry.h"
#include "store/journal_find.h"
#include "store/journal_reader.h"

/* The journal: what arrived, the newest first. */

enum { LIMIT_DEFAULT = 20, SECONDS_A_DAY = 86400 };

/* Going through the journal from its end. */
struct walk {
	const struct conf *conf;
	int dir;
	struct journal_reader *reader;
	struct buf line, texts;
	struct journal_look look;
	struct progress progress;
	const char *damaged; /* the file named last; NULL: none */
};

static int
walk_open(struct walk *w, const struct conf *conf)
{
	*w = (struct walk){ .conf = conf, .dir = cli_directory(conf, "journal") };
	if (w->dir == -1)
		return (-1);
	if ((w->reader = journal_reader_new(w->dir)) != NULL) {
		progress_begin(&w->progress, "Reading the journal");
		return (0);
	}
	cli_fail("%s/journal: %s", conf->state_dir, strerror(errno));
	return (-1);
}

static void
walk_close(struct walk *w)
{
	progress_end(&w->progress);
	journal_reader_free(w->reader);
	if (w->dir != -1)
		close(w->dir);
	buf_wipe(&w->line);
	buf_wipe(&w->texts);
}

/* A file that is damaged is named, once, and the rest is read all the same. */
static void
say_damaged(struct walk *w, const char *what)
{
	const char *file = journal_reader_file(w->reader);

	if (w->damaged == file)
		return;
	w->damaged = file;
	progress_hide(&w->progress);
	cli_fail("%s/journal/%s: %s", w->conf->state_dir, file, what);
}

/* A raw line, before it is parsed. */
static bool
look_at(void *user, const char *line, size_t len)
{
	struct walk *w = user;

	progress_count(&w->progress, w->look.lines + 1);
	return (journal_look_at(&w->look, line, len));
}

/* Read only lines that are worth parsing. */
static void
walk_only(struct walk *w, struct journal_look look)
{
	w->look = look;
	journal_reader_only(w->reader, look_at, w);
}

/* The delivery before. Returns 1, or 0 at the journal's beginning. */
static int
walk_previous(struct walk *w, struct entry *e)
{
	int result;

	while ((result = journal_reader_previous(w->reader, &w->line)) != 0) {
		if (result == -1) {
			say_damaged(w, errno == EINVAL ? "is no regular file" : strerror(errno));
			continue;
		}
		buf_reset(&w->texts);
		if (entry_read(e, w->line.data, w->line.len, &w->texts) == 0)
			return (1);
		say_damaged(w, "damaged: lines that are not deliveries are skipped");
	}
	return (0);
}

/* "order" means all events of orders. */
static bool
is_event(const char *wanted, const char *event)
{
	size_t len = wanted ? strlen(wanted) : 0;

	return (wanted == NULL || strcmp(wanted, event) == 0 ||
	    (strchr(wanted, '.') == NULL && strncmp(wanted, event, len) == 0 && event[len] == '.'));
}

/* By the installation's name, or by the shop. */
static bool
is_installation(const char *wanted, const struct entry *e)
{
	char mine[NAME_SIZE], theirs[NAME_SIZE];

	if (wanted == NULL || (e->installation && strcmp(wanted, e->installation) == 0))
		return (true);
	return (e->fluid_shop && name_of_shop(mine, wanted, strlen(wanted)) == 0 &&
	    name_of_shop(theirs, e->fluid_shop, strlen(e->fluid_shop)) == 0 &&
	    strcmp(mine, theirs) == 0);
}

static void
json_text(struct json_writer *w, const char *key, const char *value)
{
	json_key(w, key);
	json_string(w, value);
}

static void
write_members(struct json_writer *w, const struct entry *e)
{
	entry_print(e, w);
	json_key(w, "bytes");
	json_int(w, (long long)e->body_len);
}

static int
print_json(const struct entry *e, const char *body)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);
	int result;

	if (w == NULL)
		return (cli_fail("out of memory"));
	json_object(w);
	write_members(w, e);
	if (body)
		json_text(w, "body", body);
	json_object_end(w);
	result = json_writer_end(w) ? cli_fail("out of memory") : CLI_DONE;
	if (result == CLI_DONE)
		printf("%s\n", out.data);
	buf_free(&out);
	return (result);
}

/* What is needed most comes first: a narrow terminal cuts the rest. */
static void
add_row(struct table *t, const struct entry *e)
{
	char when[TIMEFMT_SECONDS_SIZE];
	struct timespec received;

	if (timefmt_parse(e->received_at, &received) == 0)
		timefmt_seconds(when, received.tv_sec);
	else
		snprintf(when, sizeof(when), "?");
	table_add(t,
	    (const char *const[]){ when, e->event, e->delivery, e->installation, e->fluid_shop,
		NULL });
}

struct wanted {
	const char *event, *installation;
	int64_t since,
	    until; /* unix seconds, until not included; INT64_MIN and INT64_MAX: no bound */
	unsigned long limit; /* 0: none */
	bool json;
};

/* One whose time cannot be read is shown rather than hidden. */
static bool
is_in_time(const struct wanted *wanted, const struct entry *e)
{
	struct timespec received;

	return (timefmt_parse(e->received_at, &received) != 0 ||
	    (received.tv_sec >= wanted->since && received.tv_sec < wanted->until));
}

static int
list(struct walk *w, const struct wanted *wanted)
{
	struct table *t = table_new(
	    (const char *const[]){ "RECEIVED", "EVENT", "DELIVERY", "INSTALLATION", "SHOP", NULL });
	char first[TIMEFMT_DAY_SIZE], last[TIMEFMT_DAY_SIZE];
	unsigned long n = 0;
	struct entry e;
	int status;

	walk_only(w, journal_look_for(wanted->event, wanted->installation, NULL));
	/* A file holds what was received on its day. Inside, a clock that was set back leaves lines in any order. */
	if (t && wanted->since != INT64_MIN) {
		timefmt_day(first, wanted->since - SECONDS_A_DAY);
		journal_reader_begin_at(w->reader, first);
	}
	if (t && wanted->until != INT64_MAX) {
		timefmt_day(last, wanted->until + SECONDS_A_DAY);
		journal_reader_skip_to(w->reader, last);
	}
	while (t && (wanted->limit == 0 || n < wanted->limit) && walk_previous(w, &e) == 1) {
		if (!is_in_time(wanted, &e) || !is_event(wanted->event, e.event) ||
		    !is_installation(wanted->installation, &e))
			continue;
		n++;
		if (wanted->json) {
			progress_hide(&w->progress);
			print_json(&e, NULL);
		} else {
			add_row(t, &e);
		}
	}
	progress_end(&w->progress);
	status = t ? CLI_DONE : cli_fail("out of memory");
	if (t && n && !wanted->json)
		status = table_print(t, stdout);
	else if (!wanted->json)
		fputs("No deliveries.\n", stderr);
	table_free(t);
	return (w->damaged ? CLI_FAILED : status);
}

struct deliveries_options {
	const char *event, *installation, *since, *until, *limit;
};

static const struct cli_option deliveries_options[] = {
	CLI_VALUE(struct deliveries_options, event, "event", '\0'),
	CLI_VALUE(struct deliveries_options, installation, "installation", '\0'),
	CLI_VALUE(struct deliveries_options, since, "since", '\0'),
	CLI_VALUE(struct deliveries_options, until, "until", '\0'),
	CLI_VALUE(struct deliveries_options, limit, "limit", 'n'),
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
read_wanted(const struct cli *c, struct wanted *wanted)
{
	const struct deliveries_options *o = c->options;
	char *end;

	*wanted = (struct wanted){ .event = o->event,
		.installation = o->installation,
		.since = INT64_MIN,
		.until = INT64_MAX,
		.limit = o->since ? 0 : LIMIT_DEFAULT,
		.json = c->json };
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
	struct wanted wanted;

	return (read_wanted(c, &wanted));
}

static int
run_deliveries(struct cli *c)
{
	struct wanted wanted;
	struct walk w;
	int status = read_wanted(c, &wanted);

	if (status != CLI_DONE)
		return (status);
	status = walk_open(&w, c->conf) ? CLI_FAILED : list(&w, &wanted);
	walk_close(&w);
	return (status);
}

const struct command deliveries_command = {
	.name = "deliveries",
	.args = "[--event E] [--installation I] [--since T] [--until T] [-n N] [--json]",
	.summary = "List the deliveries that were accepted, the newest first",
	.help = "      --event E         order.created, or order for all of its events\n"
		"      --installation I  a droplet installation uuid, or a shop\n"
		"      --since T         received at T or later: 90m, 2h, 3d, 2026-11-23,\n"
		"                        2026-11-23T08:30:00Z\n"
		"      --until T         received before T\n"
		"  -n, --limit N         at most so many (20, with --since all; 0: all)\n"
		"      --json            one JSON object a line\n",
	.flags = COMMAND_OWNER | COMMAND_JSON,
	.options = deliveries_options,
	.options_size = sizeof(struct deliveries_options),
	.check = check_deliveries,
	.run = run_deliveries,
};

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
		status = print_json(e, body.data);
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
find_between(struct walk *w, struct uuid_arg *arg, const char *first, const char *last,
    struct buf *line)
{
	struct entry e;

	journal_reader_free(w->reader);
	if ((w->reader = journal_reader_new(w->dir)) == NULL)
		return (false);
	walk_only(w, journal_look_for(NULL, NULL, arg->argument));
	journal_reader_skip_to(w->reader, last);
	journal_reader_begin_at(w->reader, first);
	while (walk_previous(w, &e) == 1) {
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
find_at_once(struct walk *w, struct uuid_arg *arg, const char *first, const char *last,
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
find(struct walk *w, const char *argument, struct entry *e)
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
	if (line.failed || entry_read(e, line.data, line.len, &w->texts))
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
	struct walk w;

	if (walk_open(&w, c->conf) == 0) {
		status = find(&w, c->argv[0], &e);
		if (status == CLI_DONE && o->raw)
			status = fwrite(e.body, 1, e.body_len, stdout) == e.body_len ? CLI_DONE :
										       CLI_FAILED;
		else if (status == CLI_DONE)
			status = show(&e, c->json);
	}
	walk_close(&w);
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
