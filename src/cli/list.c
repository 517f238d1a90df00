#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/timefmt.h"
#include "cli/lib/cli.h"
#include "cli/commands.h"
#include "cli/lib/installation_arg.h"
#include "cli/lib/progress.h"
#include "cli/lib/sorted.h"
#include "cli/lib/table.h"
#include "store/installations.h"

/* Installations: list, show, and the one command that prints a token. */

struct listing {
	const struct conf *conf;
	const char *status;  /* only these; NULL: all */
	struct table *table; /* NULL: JSON */
	struct sorted *rows;
	struct buf row;
	unsigned long read;
	bool failed; /* a record cannot be read, or memory is short: it was said */
	struct progress progress;
};

/* A record as the outside may see it: of credentials only whether they are there. */
static int
add_json(const struct installation *i, struct buf *out)
{
	struct json_writer *w = json_writer_new(out, false);

	if (w == NULL)
		return (-1);
	json_object(w);
	json_key(w, "installation");
	json_string(w, i->record);
	installation_print(i, w);
	json_object_end(w);
	if (json_writer_end(w))
		return (-1);
	buf_addc(out, '\n');
	return (out->failed ? -1 : 0);
}

/* A row of the table, or a line of JSON. Returns 0, or -1: out of memory. */
static int
add_row(struct listing *l, const struct installation *i)
{
	char when[TIMEFMT_SECONDS_SIZE];

	buf_reset(&l->row);
	if (l->table) {
		timefmt_seconds(when, i->updated_at.tv_sec);
		table_row(l->table,
		    (const char *const[]){ i->record, installation_status_name(i->status),
			i->fluid_shop, when, i->name },
		    &l->row);
	} else if (add_json(i, &l->row)) {
		return (-1);
	}
	return (l->row.failed ?
		-1 :
		sorted_add(l->rows, &i->updated_at, i->record, l->row.data, l->row.len));
}

/* Damaged records are named, and the rest is listed all the same. */
static int
read_record(void *user, const char *file, struct installation *i)
{
	struct listing *l = user;
	int result = 0;

	if (i == NULL) {
		l->failed = true;
		progress_hide(&l->progress);
		cli_fail("%s/installations/%s: %s", l->conf->state_dir, file,
		    installation_problem(errno));
		return (0);
	}
	progress_count(&l->progress, ++l->read);
	if (l->status == NULL || strcmp(l->status, installation_status_name(i->status)) == 0)
		result = add_row(l, i);
	installation_free(i);
	return (result);
}

static void
print_one(void *user, const char *row, size_t len)
{
	const struct listing *l = user;

	if (l->table)
		table_print_row(l->table, stdout, row);
	else
		fwrite(row, 1, len, stdout);
}

static int
print_rows(struct listing *l)
{
	if (sorted_count(l->rows) == 0) {
		if (l->table && !l->failed)
			fprintf(stderr, "No installations%s%s.\n", l->status ? " that are " : "",
			    l->status ? l->status : "");
		return (CLI_DONE);
	}
	if (l->table && table_print_titles(l->table, stdout) != CLI_DONE)
		return (CLI_FAILED);
	if (sorted_each(l->rows, print_one, l))
		return (cli_fail("cannot sort the list: %s", strerror(errno)));
	return (CLI_DONE);
}

static int
list(const struct conf *conf, const char *status, bool json)
{
	struct listing l = { .conf = conf, .status = status, .rows = sorted_new() };
	int dir = cli_directory(conf, "installations"), result;

	if (dir == -1) {
		sorted_free(l.rows);
		return (CLI_FAILED);
	}
	if (!json)
		l.table = table_new((const char *const[]){ "INSTALLATION", "STATUS", "SHOP",
		    "UPDATED", "COMPANY", NULL });
	progress_begin(&l.progress, "Reading records");
	errno = ENOMEM;
	if (l.rows == NULL || (!json && l.table == NULL) ||
	    installations_each(dir, read_record, &l)) {
		cli_fail("%s/installations: %s", conf->state_dir, strerror(errno));
		l.failed = true;
	}
	progress_end(&l.progress);
	result = l.rows ? print_rows(&l) : CLI_FAILED;
	table_free(l.table);
	sorted_free(l.rows);
	buf_free(&l.row);
	close(dir);
	return (l.failed ? CLI_FAILED : result);
}

struct list_options {
	const char *status;
};

static const struct cli_option list_options[] = {
	CLI_VALUE(struct list_options, status, "status", '\0'),
	CLI_END,
};

static int
check_list(const struct cli *c)
{
	const struct list_options *o = c->options;
	enum installation_status known;

	if (o->status && installation_status_parse(o->status, &known))
		return (cli_misuse(c,
		    "--status: \"%s\" is not one of active, pending, unconfirmed, "
		    "failed, uninstalled, superseded",
		    o->status));
	return (CLI_DONE);
}

static int
run_list(struct cli *c)
{
	const struct list_options *o = c->options;

	return (list(c->conf, o->status, c->json));
}

const struct command list_command = {
	.name = "list",
	.args = "[--status STATUS] [--json]",
	.summary = "List installations, the one changed last first",
	.help =
	    "      --status STATUS  active, pending, unconfirmed, failed, uninstalled or superseded\n"
	    "      --json           one JSON object a line\n",
	.flags = COMMAND_OWNER | COMMAND_JSON,
	.options = list_options,
	.options_size = sizeof(struct list_options),
	.check = check_list,
	.run = run_list,
};

static int
print_json(const struct installation *i)
{
	struct buf out = { 0 };
	int status = add_json(i, &out) ? cli_fail("out of memory") : CLI_DONE;

	if (status == CLI_DONE)
		fwrite(out.data, 1, out.len, stdout);
	buf_free(&out);
	return (status);
}

static void
print_line(const char *label, const char *value, size_t len)
{
	printf("%-14s", label);
	if (value)
		cli_print_text(stdout, value, len);
	else
		putchar('-');
	putchar('\n');
}

static void
print_text(const char *label, const char *value)
{
	print_line(label, value, value ? strlen(value) : 0);
}

static void
print_time(const char *label, int64_t seconds)
{
	char when[TIMEFMT_SECONDS_SIZE];

	timefmt_seconds(when, seconds);
	print_text(label, seconds ? when : NULL);
}

static void
print_installation(const struct installation *i)
{
	char when[TIMEFMT_MICROS_SIZE];

	timefmt_micros(when, &i->updated_at);
	print_text("Installation", i->record);
	print_text("Status", installation_status_name(i->status));
	if (i->reason)
		print_text("Reason", i->reason);
	print_line("Company", i->name, i->name_len);
	print_text("Company id", i->fluid_company_id);
	print_text("Shop", i->fluid_shop);
	print_text("Droplet", i->droplet_uuid);
	print_text("API token", i->authentication_token ? "present" : "absent");
	print_text("Signing key", i->webhook_verification_token ? "present" : "absent");
	if (i->exchange_token) {
		print_text("Exchange", "token present, not exchanged yet");
		print_text("  expires", i->exchange_token_expires_at);
	}
	if (i->webhook_ids)
		print_text("Webhooks", i->webhook_ids);
	if (i->subscription_errors)
		print_text("Subscriptions failed", i->subscription_errors);
	print_time("Installed", i->installed_at);
	if (i->uninstalled_at)
		print_time("Uninstalled", i->uninstalled_at);
	print_text("Updated", when);
	print_text("Delivery", i->delivery);
}

static int
run_show(struct cli *c)
{
	struct installation *i = installation_arg(c->conf, c->argv[0]);
	int status = CLI_DONE;

	if (i == NULL)
		return (CLI_FAILED);
	if (c->json)
		status = print_json(i);
	else
		print_installation(i);
	installation_free(i);
	return (status);
}

const struct command show_command = {
	.name = "show",
	.args = "INSTALLATION [--json]",
	.summary = "Show an installation; its credentials as present or absent",
	.help =
	    "INSTALLATION is a droplet installation uuid (dri_...), or a shop where that is unambiguous.\n"
	    "\n"
	    "      --json  as one JSON object\n",
	.flags = COMMAND_OWNER | COMMAND_JSON,
	.least = 1,
	.most = 1,
	.run = run_show,
};

static int
run_token(struct cli *c)
{
	struct installation *i = installation_arg(c->conf, c->argv[0]);
	int status = CLI_DONE;

	if (i == NULL)
		return (CLI_FAILED);
	if (i->status == INSTALLATION_ACTIVE && i->authentication_token)
		printf("%s\n", i->authentication_token);
	else
		status = cli_fail("%s: has no token: it is %s%s%s", i->record,
		    installation_status_name(i->status), i->reason ? ", " : "",
		    i->reason ? i->reason : "");
	installation_free(i);
	return (status);
}

const struct command token_command = {
	.name = "token",
	.args = "INSTALLATION",
	.summary = "Print an installation's authentication token, and nothing else",
	.help =
	    "INSTALLATION is a droplet installation uuid (dri_...), or a shop where that is unambiguous.\n"
	    "\n"
	    "  curl -H \"Authorization: Bearer $(fluidhook token acme)\" https://api.fluid.app/...\n"
	    "shows the token in the process list while curl runs; \"fluidhook api\" does not.\n",
	.flags = COMMAND_OWNER,
	.least = 1,
	.most = 1,
	.run = run_token,
};
