#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/number.h"
#include "base/timefmt.h"
#include "base/utf8.h"
#include "cli/lib/cli.h"
#include "cli/commands.h"
#include "cli/lib/api_session.h"
#include "cli/lib/company_webhooks.h"
#include "cli/lib/last_use.h"
#include "cli/lib/registered.h"
#include "cli/lib/secret_file.h"
#include "cli/lib/table.h"
#include "store/durable.h"

/* Managing the live secrets of a droplet. Secrets themselves are never printed. */

/* All of standard input, as far as it can be one secret. Returns 0, or -1 with errno set. */
static int
read_stdin(struct buf *text)
{
	const size_t most = SECRET_LEN_MAX + 64; /* and blanks around it */
	ssize_t n = 1;

	if (buf_reserve(text, most + 1))
		return (-1);
	while (n && text->len < most) {
		n = read(STDIN_FILENO, text->data + text->len, most - text->len);
		if (n == -1 && errno != EINTR)
			return (-1);
		if (n > 0)
			text->len += (size_t)n;
	}
	return (0);
}

/* The one line of a file, or of standard input. Returns 0, or -1 after saying what is wrong. */
static int
read_secret(const char *file, char out[SECRET_LEN_MAX + 1])
{
	struct buf text = { 0 };
	const char *secret;
	int result = -1;
	size_t len, mark;

	if (strcmp(file, "-") == 0 ? read_stdin(&text) : file_read_path(file, 64 * 1024, &text)) {
		cli_fail("%s: %s", file, strerror(errno));
		goto out;
	}
	mark = utf8_mark(text.data, text.len);
	len = text.len - mark;
	while (len && (text.data[mark + len - 1] == '\n' || text.data[mark + len - 1] == '\r'))
		len--;
	secret = secret_of_line(text.data + mark, &len);
	if (secret_is_valid(secret, len)) {
		memcpy(out, secret, len);
		out[len] = '\0';
		result = 0;
	} else {
		cli_fail(
		    "%s: must hold one secret on one line, of at most %d bytes and without control "
		    "characters",
		    file, SECRET_LEN_MAX);
	}
out:
	buf_wipe(&text);
	return (result);
}

static int
add(const struct conf *conf, const char *name, const char *file)
{
	const struct conf_droplet *droplet = secret_droplet(conf, name);
	char secret[SECRET_LEN_MAX + 1], print[FINGERPRINT_SIZE];
	struct secret_list *there;
	int status = CLI_FAILED;

	if (droplet == NULL)
		return (CLI_USAGE);
	if ((there = secret_file_read(droplet->secrets)) == NULL)
		return (CLI_FAILED);
	if (file ? read_secret(file, secret) : secret_fresh(secret))
		goto out;
	secret_fingerprint(print, secret);
	for (size_t i = 0; i < there->n; i++)
		if (strcmp(there->secrets[i], secret) == 0) {
			status = cli_fail("%s: already holds this secret, as number %zu",
			    droplet->secrets, i + 1);
			goto out;
		}
	if (secret_file_add(conf, droplet->secrets, secret) == 0) {
		printf("%s  %s\n", print, droplet->secrets);
		status = CLI_DONE;
	}
out:
	explicit_bzero(secret, sizeof(secret));
	secret_list_free(there);
	return (status);
}

struct secret_options {
	const char *droplet;
	bool force; /* of retire */
};

static const struct cli_option secret_options[] = {
	CLI_VALUE(struct secret_options, droplet, "droplet", '\0'),
	CLI_END,
};

static int
run_add(struct cli *c)
{
	const struct secret_options *o = c->options;

	return (add(c->conf, o->droplet, c->argv[0]));
}

static const struct command add_command = {
	.name = "add",
	.args = "[FILE] [--droplet NAME]",
	.summary = "Add a secret as the newest one; without FILE a fresh one is made",
	.help =
	    "FILE has the secret on its one line; - is standard input. It is live at once, without a\n"
	    "signal to the receiver. Prints the secret's fingerprint and the file it stands in now.\n"
	    "\n"
	    "      --droplet NAME  of [droplet NAME], where there are several\n",
	.flags = COMMAND_CONF | COMMAND_CHANGES,
	.most = 1,
	.options = secret_options,
	.options_size = sizeof(struct secret_options),
	.run = run_add,
};

static int
print_json(const struct conf_droplet *droplet, size_t number, const struct last_use *use,
    const char *at)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);

	if (w == NULL)
		return (-1);
	json_object(w);
	json_key(w, "droplet");
	json_string(w, *droplet->name ? droplet->name : NULL);
	json_key(w, "number");
	json_int(w, (long long)number);
	json_key(w, "fingerprint");
	json_string(w, use->fingerprint);
	json_key(w, "last_used");
	json_string(w, use->at ? at : NULL);
	json_key(w, "file");
	json_string(w, droplet->secrets);
	json_object_end(w);
	if (json_writer_end(w) == 0)
		printf("%s\n", out.data);
	buf_free(&out);
	return (0);
}

static int
list_droplet(const struct conf *conf, const struct conf_droplet *droplet, struct table *table,
    bool json)
{
	struct last_use uses[SECRETS_MAX] = { 0 };
	char number[24], at[TIMEFMT_SECONDS_SIZE];
	struct secret_list *l;
	int status = CLI_DONE;

	if (droplet->secrets == NULL)
		return (CLI_DONE);
	if ((l = secret_file_read(droplet->secrets)) == NULL)
		return (CLI_FAILED);
	for (size_t i = 0; i < l->n; i++)
		secret_fingerprint(uses[i].fingerprint, l->secrets[i]);
	/* Without the journal, the secrets are listed all the same, and the command fails. */
	if (last_use_find(conf, uses, l->n))
		status = CLI_FAILED;
	for (size_t i = 0; i < l->n; i++) {
		snprintf(number, sizeof(number), "%zu", i + 1);
		timefmt_seconds(at, uses[i].at);
		if (json)
			print_json(droplet, i + 1, &uses[i], at);
		else
			table_add(table,
			    (const char *const[]){ number, uses[i].fingerprint,
				status == CLI_DONE ? (uses[i].at ? at : "never") : "unknown",
				droplet->name, droplet->secrets });
	}
	secret_list_free(l);
	return (status);
}

static int
run_list(struct cli *c)
{
	struct table *t = table_new(
	    (const char *const[]){ "N", "FINGERPRINT", "LAST USED", "DROPLET", "FILE", NULL });
	int status = t ? CLI_DONE : cli_fail("out of memory");

	for (size_t i = 0; t && i < c->conf->n_droplets; i++)
		if (list_droplet(c->conf, &c->conf->droplets[i], t, c->json) != CLI_DONE)
			status = CLI_FAILED;
	if (t && !c->json && table_print(t, stdout) != CLI_DONE)
		status = CLI_FAILED;
	table_free(t);
	return (status);
}

static const struct command list_secrets_command = {
	.name = "list",
	.args = "[--json]",
	.summary = "List the live secrets by fingerprint, the newest first",
	.help =
	    "A fingerprint is the beginning of the secret's SHA-256:\n"
	    "  printf %s \"$secret\" | sha256sum | cut -c1-12\n"
	    "LAST USED is when a delivery under it was received last, as far as the journal goes back.\n"
	    "\n"
	    "      --json  one JSON object a line\n",
	.flags = COMMAND_CONF | COMMAND_JSON,
	.run = run_list,
};

/*
 * Whether a webhook of the company at Fluid has this secret: then its deliveries would be refused without it. Asks if
 * there is a company token. Returns 0 if none has it, or -1 after saying that one has it, or that this is not known.
 */
static int
check_unused(const struct conf *conf, const char *secret, const char *print)
{
	struct webhook_list list = { 0 };
	struct api_session k;
	int result = -1;

	if (!token_is_there(conf))
		return (0);
	if (api_session_open(&k, conf) == CLI_DONE) {
		if (company_webhooks(&k, &list)) {
			api_session_fail(&k);
			cli_fail(
			    "whether webhooks at Fluid are signed with secret %s is not known; try "
			    "again later, or use --force",
			    print);
		} else {
			result = 0;
		}
	}
	for (size_t i = 0; i < list.n; i++)
		if (company_webhook_has(&list.items[i], secret)) {
			cli_fail(
			    "webhook %s at Fluid is signed with secret %s: without it its deliveries "
			    "are refused. Run \"fluidhook secret rotate\" first, or use --force",
			    list.items[i].id, print);
			result = -1;
		}
	webhook_list_free(&list);
	api_session_close(&k);
	return (result);
}

/* The secret of this number, or NULL after saying that there is none. */
static const char *
find_number(const struct conf_droplet *droplet, const struct secret_list *l, size_t n)
{
	if (n <= l->n)
		return (l->secrets[n - 1]);
	cli_fail("%s: there is no secret number %zu; \"fluidhook secret list\" shows them",
	    droplet->secrets, n);
	return (NULL);
}

static int
retire(const struct conf *conf, const char *name, const char *number, bool force)
{
	const struct conf_droplet *droplet = secret_droplet(conf, name);
	char print[FINGERPRINT_SIZE];
	struct secret_list *l;
	const char *secret;
	int status = CLI_FAILED;
	uint64_t n;

	if (droplet == NULL)
		return (CLI_USAGE);
	if (number_parse(number, 1, SIZE_MAX, &n)) {
		cli_fail("\"%s\" is not a number of \"fluidhook secret list\"", number);
		return (CLI_USAGE);
	}
	if ((l = secret_file_read(droplet->secrets)) == NULL)
		return (CLI_FAILED);
	if ((secret = find_number(droplet, l, (size_t)n)) == NULL)
		goto out;
	secret_fingerprint(print, secret);
	if (!force && registered_uses(droplet->secrets, print))
		cli_fail(
		    "%s: webhooks at Fluid are signed with secret %s: without it their deliveries are refused. "
		    "Run \"fluidhook secret rotate\" first, or use --force",
		    droplet->secrets, print);
	else if ((force || check_unused(conf, secret, print) == 0) &&
	    secret_file_remove(conf, droplet->secrets, secret, force) == 0) {
		printf("%s\n", print);
		status = CLI_DONE;
	}
out:
	secret_list_free(l);
	return (status);
}

static const struct cli_option retire_options[] = {
	CLI_VALUE(struct secret_options, droplet, "droplet", '\0'),
	CLI_FLAG(struct secret_options, force, "force", '\0'),
	CLI_END,
};

static int
run_retire(struct cli *c)
{
	const struct secret_options *o = c->options;

	return (retire(c->conf, o->droplet, c->argv[0], o->force));
}

static const struct command retire_command = {
	.name = "retire",
	.args = "N [--droplet NAME] [--force]",
	.summary = "Remove secret number N: what is signed with it is refused from now on",
	.help =
	    "N is its number in \"fluidhook secret list\". Prints its fingerprint.\n"
	    "\n"
	    "      --droplet NAME  of [droplet NAME], where there are several\n"
	    "      --force         also the last one, and one that webhooks at Fluid have\n"
	    "\n"
	    "It goes by what register noted in FILE.registered and, if there is a company token, asks\n"
	    "Fluid for the company's webhooks. A secret in the droplet's own settings at Fluid is not\n"
	    "seen: change it there before you retire it. \"fluidhook secret rotate\" exchanges a secret.\n",
	.flags = COMMAND_CONF | COMMAND_CHANGES,
	.least = 1,
	.most = 1,
	.options = retire_options,
	.options_size = sizeof(struct secret_options),
	.run = run_retire,
};

static const struct command *const secret_commands[] = {
	&add_command,
	&list_secrets_command,
	&retire_command,
	&secret_rotate_command,
	NULL,
};

const struct command secret_command = {
	.name = "secret",
	.args = "COMMAND",
	.summary = "Manage the live secrets of a droplet",
	.commands = secret_commands,
};
