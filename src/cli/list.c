#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/timefmt.h"
#include "cli/lib/cli.h"
#include "cli/commands.h"
#include "cli/lib/installation_arg.h"
#include "cli/lib/progress.h"
#include "cli/lib/table.h"
#include "store/installations.h"

/* Installations: list, show, and the one command that prints a token. */

struct listing {
	const struct conf *conf;
	const char *status; /* only these; NULL: all */
	struct installation **items;
	size_t n, cap;
	bool damaged;
	struct progress progress;
};

static int
add(struct listing *l, struct installation *i)
{
	struct installation **more;

	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 256;
		if ((more = reallocarray(l->items, l->cap, sizeof(*more))) == NULL) {
			installation_free(i);
			return (-1);
		}
		l->items = more;
	}
	l->items[l->n++] = i;
	return (0);
}

static void
free_listing(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		installation_free(l->items[i]);
	free(l->items);
}

/* Damaged records are named, and the rest is listed all the same. */
static int
take(void *user, const char *file, struct installation *i)
{
	struct listing *l = user;

	if (i == NULL) {
		l->damaged = true;
		progress_hide(&l->progress);
		cli_fail("%s/installations/%s: %s", l->conf->state_dir, file,
		    installation_problem(errno));
		return (0);
	}
	progress_count(&l->progress, l->n);
	if (l->status == NULL || strcmp(l->status, installation_status_name(i->status)) == 0)
		return (add(l, i));
	installation_free(i);
	return (0);
}

/* The newest first. */
static int
by_time(const void *a, const void *b)
{
	const struct installation *x = *(struct installation *const *)a;
	const struct installation *y = *(struct installation *const *)b;

	if (x->updated_at.tv_sec != y->updated_at.tv_sec)
		return (x->updated_at.tv_sec < y->updated_at.tv_sec ? 1 : -1);
	if (x->updated_at.tv_nsec != y->updated_at.tv_nsec)
		return (x->updated_at.tv_nsec < y->updated_at.tv_nsec ? 1 : -1);
	return (strcmp(x->record, y->record));
}

static void
json_text(struct json_writer *w, const char *key, const char *value)
{
	json_key(w, key);
	json_string(w, value);
}

static void
json_presence(struct json_writer *w, const char *key, const char *credential)
{
	json_key(w, key);
	json_string(w, credential ? "present" : NULL);
}

static void
json_time(struct json_writer *w, const char *key, int64_t seconds)
{
	char when[TIMEFMT_SECONDS_SIZE];

	timefmt_seconds(when, seconds);
	json_text(w, key, seconds ? when : NULL);
}

/* A record as the outside may see it: of credentials only whether they are there. */
static int
print_json(const struct installation *i)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);
	char when[TIMEFMT_MICROS_SIZE];
	int result;

	if (w == NULL)
		return (cli_fail("out of memory"));
	timefmt_micros(when, &i->updated_at);
	json_object(w);
	json_text(w, "installation", i->record);
	json_text(w, "droplet_installation_uuid", i->droplet_installation_uuid);
	json_text(w, "status", installation_status_name(i->status));
	json_text(w, "reason", i->reason);
	json_text(w, "droplet_uuid", i->droplet_uuid);
	json_key(w, "fluid_company_id");
	if (i->fluid_company_id && i->fluid_company_id_number)
		json_number(w, i->fluid_company_id);
	else
		json_string(w, i->fluid_company_id);
	json_text(w, "fluid_shop", i->fluid_shop);
	json_key(w, "name");
	if (i->name)
		json_string_len(w, i->name, i->name_len);
	else
		json_null(w);
	json_presence(w, "authentication_token", i->authentication_token);
	json_presence(w, "webhook_verification_token", i->webhook_verification_token);
	json_presence(w, "exchange_token", i->exchange_token);
	json_presence(w, "subscription_auth_token", i->subscription_auth_token);
	json_text(w, "exchange_token_expires_at", i->exchange_token_expires_at);
	json_text(w, "webhook_ids", i->webhook_ids);
	json_text(w, "subscription_errors", i->subscription_errors);
	json_time(w, "installed_at", i->installed_at);
	json_time(w, "uninstalled_at", i->uninstalled_at);
	json_text(w, "updated_at", when);
	json_text(w, "delivery", i->delivery);
	json_object_end(w);
	result = json_writer_end(w) ? cli_fail("out of memory") : CLI_DONE;
	if (result == CLI_DONE)
		printf("%s\n", out.data);
	buf_free(&out);
	return (result);
}

static void
print_list(const struct listing *l)
{
	struct table *t = table_new(
	    (const char *const[]){ "INSTALLATION", "STATUS", "SHOP", "UPDATED", "COMPANY", NULL });
	char when[TIMEFMT_SECONDS_SIZE];

	for (size_t k = 0; t && k < l->n; k++) {
		const struct installation *i = l->items[k];

		timefmt_seconds(when, i->updated_at.tv_sec);
		table_add(t,
		    (const char *const[]){ i->record, installation_status_name(i->status),
			i->fluid_shop, when, i->name });
	}
	if (t)
		table_print(t, stdout);
	table_free(t);
}

static int
list(const struct conf *conf, const char *status, bool json)
{
	struct listing l = { .conf = conf, .status = status };
	int dir = cli_directory(conf, "installations"), result;

	if (dir == -1)
		return (CLI_FAILED);
	progress_begin(&l.progress, "Reading records");
	result = installations_each(dir, take, &l) ?
	    cli_fail("%s/installations: %s", conf->state_dir, strerror(errno)) :
	    CLI_DONE;
	progress_end(&l.progress);
	if (l.n)
		qsort(l.items, l.n, sizeof(*l.items), by_time);
	for (size_t i = 0; json && i < l.n; i++)
		print_json(l.items[i]);
	if (!json && l.n)
		print_list(&l);
	else if (!json && result == CLI_DONE && !l.damaged)
		fprintf(stderr, "No installations%s%s.\n", status ? " that are " : "",
		    status ? status : "");
	if (l.damaged)
		result = CLI_FAILED;
	free_listing(&l);
	close(dir);
	return (result);
}

static int
run_list(const struct cli *c, const struct command *self, int argc, char **argv)
{
	const char *status = NULL;
	bool json = false;
	const struct cli_option options[] = {
		{ "status", '\0', NULL, &status },
		{ "json", '\0', &json, NULL },
		{ NULL, '\0', NULL, NULL },
	};
	enum installation_status known;
	struct conf *conf;
	int result;

	if (cli_parse(self, argc, argv, options, 0, 0, &result) == -1)
		return (result);
	if (status && installation_status_parse(status, &known))
		return (cli_misuse(self,
		    "--status: \"%s\" is not one of active, pending, unconfirmed, "
		    "failed, uninstalled, superseded",
		    status));
	if ((conf = cli_conf(c)) == NULL)
		return (CLI_USAGE);
	result = list(conf, status, json);
	conf_free(conf);
	return (result);
}

const struct command list_command = {
	.name = "list",
	.args = "[--status STATUS] [--json]",
	.summary = "List installations, the one changed last first",
	.help =
	    "      --status STATUS  active, pending, unconfirmed, failed, uninstalled or superseded\n"
	    "      --json           one JSON object a line\n",
	.run = run_list,
};

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
run_show(const struct cli *c, const struct command *self, int argc, char **argv)
{
	bool json = false;
	const struct cli_option options[] = {
		{ "json", '\0', &json, NULL },
		{ NULL, '\0', NULL, NULL },
	};
	struct installation *i;
	struct conf *conf;
	int status;

	if (cli_parse(self, argc, argv, options, 1, 1, &status) == -1)
		return (status);
	if ((conf = cli_conf(c)) == NULL)
		return (CLI_USAGE);
	status = CLI_FAILED;
	if ((i = installation_arg(conf, argv[1])) != NULL) {
		status = CLI_DONE;
		if (json)
			status = print_json(i);
		else
			print_installation(i);
	}
	installation_free(i);
	conf_free(conf);
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
	.run = run_show,
};

static int
run_token(const struct cli *c, const struct command *self, int argc, char **argv)
{
	struct installation *i;
	struct conf *conf;
	int status;

	if (cli_parse(self, argc, argv, NULL, 1, 1, &status) == -1)
		return (status);
	if ((conf = cli_conf(c)) == NULL)
		return (CLI_USAGE);
	status = CLI_FAILED;
	if ((i = installation_arg(conf, argv[1])) != NULL) {
		if (i->status == INSTALLATION_ACTIVE && i->authentication_token) {
			printf("%s\n", i->authentication_token);
			status = CLI_DONE;
		} else {
			cli_fail("%s: has no token: it is %s%s%s", i->record,
			    installation_status_name(i->status), i->reason ? ", " : "",
			    i->reason ? i->reason : "");
		}
	}
	installation_free(i);
	conf_free(conf);
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
	.run = run_token,
};
