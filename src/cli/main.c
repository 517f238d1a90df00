/* fluidhook: set-up, registration and queries (contract section 5). */

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli/lib/cli.h"
#include "cli/commands.h"
#include "cli/complete.h"
#include "cli/lib/guess.h"
#include "config.h"

enum { GROUP_MAX = 10 };

static const struct command help_command, version_command;

/* Every command, in the order and under the titles that help lists them. */
static const struct group {
	const char *title;
	const struct command *const commands[GROUP_MAX];
} groups[] = {
	{ "Set-up",
	    { &init_command, &register_command, &check_command, &doctor_command,
		&secret_command } },
	{ "Installations",
	    { &list_command, &show_command, &token_command, &subscribe_command, &import_command } },
	{ "Deliveries", { &deliveries_command, &delivery_command, &send_command } },
	{ "Queue", { &work_command, &queue_command, &retry_command } },
	{ "Fluid's API", { &webhook_command, &api_command } },
	{ "Maintenance", { &repair_command, &verify_command, &prune_command } },
	{ "Help", { &help_command, &version_command } },
};

enum { N_GROUPS = sizeof(groups) / sizeof(groups[0]) };

const struct command *
cli_command(size_t n)
{
	for (size_t g = 0; g < N_GROUPS; g++)
		for (size_t i = 0; i < GROUP_MAX && groups[g].commands[i]; i++)
			if (n-- == 0)
				return (groups[g].commands[i]);
	return (NULL);
}

static void
print_command(FILE *fp, const struct command *c)
{
	fprintf(fp, "  %-12s  %s\n", c->name, c->summary);
}

static int
print_usage(FILE *fp)
{
	fputs("Usage: fluidhook [-c FILE] COMMAND [...]\n"
	      "\n"
	      "Receives the webhooks of the Fluid commerce platform on your own web server.\n",
	    fp);
	for (size_t g = 0; g < N_GROUPS; g++) {
		fprintf(fp, "\n%s\n", groups[g].title);
		for (size_t i = 0; i < GROUP_MAX && groups[g].commands[i]; i++)
			print_command(fp, groups[g].commands[i]);
	}
	fputs(
	    "\n"
	    "  -c, --config FILE  configuration; else $FLUIDHOOK_CONF, ~/fluidhook/fluidhook.conf,\n"
	    "                     " SYSCONFDIR "/fluidhook/fluidhook.conf\n"
	    "      --version      print the version\n"
	    "\n"
	    "\"fluidhook help COMMAND\" tells more about a command; so does man 1 fluidhook.\n",
	    fp);
	return (fp == stderr ? CLI_USAGE : CLI_DONE);
}

const struct command *
cli_find(const struct command *parent, const char *name)
{
	const struct command *c;

	for (size_t n = 0; (c = cli_child(parent, n)) != NULL; n++)
		if (strcmp(c->name, name) == 0)
			return (c);
	return (NULL);
}

const struct command *
cli_child(const struct command *parent, size_t n)
{
	if (parent == NULL)
		return (cli_command(n));
	for (size_t i = 0; parent->commands && parent->commands[i]; i++)
		if (i == n)
			return (parent->commands[i]);
	return (NULL);
}

static int
print_subcommands(FILE *fp, const struct command *self)
{
	fprintf(fp, "Usage: fluidhook %s COMMAND [...]\n\n%s\n\n", self->name, self->summary);
	for (size_t i = 0; self->commands[i]; i++)
		print_command(fp, self->commands[i]);
	if (self->help)
		fprintf(fp, "\n%s", self->help);
	return (fp == stderr ? CLI_USAGE : CLI_DONE);
}

/* There is no such command. parent: NULL for the first argument. */
static int
say_unknown(const struct command *parent, const char *name)
{
	const char *space = parent ? " " : "", *parent_name = parent ? parent->name : "", *near;
	struct guess g = guess_begin(name);
	const struct command *c;

	for (size_t n = 0; (c = cli_child(parent, n)) != NULL; n++)
		guess_consider(&g, c->name, strlen(c->name));
	cli_fail("no command \"%s%s%s\"", parent_name, space, name);
	if ((near = guess_near(&g)) != NULL)
		fprintf(stderr, "Did you mean \"fluidhook %s%s%s\"?\n", parent_name, space, near);
	fprintf(stderr, "Try \"fluidhook %s%s--help\".\n", parent_name, space);
	return (CLI_USAGE);
}

static bool
is_help(const char *argument)
{
	return (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0);
}

static int
run_command(struct cli *c, int argc, char **argv)
{
	int status;

	/* "retry --all | head" must not end in the middle. */
	if (c->command->flags & COMMAND_CHANGES)
		signal(SIGPIPE, SIG_IGN);
	if (cli_parse(c, argc, argv, &status) && (status = cli_open(c)) == CLI_DONE)
		status = c->command->run(c);
	cli_close(c);
	return (status);
}

/* Run the command that argv[0] names. parent: NULL for the first argument. */
static int
run(const char *conf_file, const struct command *parent, int argc, char **argv)
{
	struct cli c = { .conf_file = conf_file,
		.parent = parent,
		.command = cli_find(parent, argv[0]) };

	if (c.command == NULL)
		return (say_unknown(parent, argv[0]));
	if (c.command->commands == NULL)
		return (run_command(&c, argc, argv));
	if (argc < 2)
		return (print_subcommands(stderr, c.command));
	if (is_help(argv[1]))
		return (print_subcommands(stdout, c.command));
	return (run(conf_file, c.command, argc - 1, argv + 1));
}

/* "help webhook create" is "webhook create --help". */
static int
run_help(struct cli *c)
{
	char option[] = "--help", *argv[4];

	if (c->argc == 0)
		return (print_usage(stdout));
	for (int i = 0; i < c->argc; i++)
		argv[i] = c->argv[i];
	argv[c->argc] = option;
	argv[c->argc + 1] = NULL;
	return (run(c->conf_file, NULL, c->argc + 1, argv));
}

static int
print_version(void)
{
	printf("fluidhook %s\n", PACKAGE_VERSION);
	return (CLI_DONE);
}

static int
run_version(struct cli *c)
{
	(void)c;
	return (print_version());
}

static const struct command help_command = {
	.name = "help",
	.args = "[COMMAND]",
	.summary = "Explain a command",
	.most = 2,
	.run = run_help,
};

static const struct command version_command = {
	.name = "version",
	.args = "",
	.summary = "Print the version",
	.run = run_version,
};

/*
 * A descriptor that we were started without would be the next file's or connection's, and what is printed
 * would go there. One that can be used for nothing takes its place, so that the loss is noticed.
 */
static void
fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) == -1)
			open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

/* Output that did not get where it should is a failure, whatever the command thought. */
static int
finish(int status)
{
	errno = 0;
	if (fflush(stdout) || ferror(stdout)) {
		cli_fail("standard output cannot be written%s%s; what was printed is not complete",
		    errno ? ": " : "", errno ? strerror(errno) : "");
		return (status == CLI_DONE ? CLI_FAILED : status);
	}
	return (status);
}

int
main(int argc, char **argv)
{
	const char *conf_file = NULL;
	int i = 1;

	fill_standard_descriptors();
	setlocale(LC_CTYPE, "");
	/* The options in front of the command are few: getopt would want to go on behind it. */
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (is_help(argv[i]))
			return (finish(print_usage(stdout)));
		if (strcmp(argv[i], "--version") == 0)
			return (finish(print_version()));
		if (strncmp(argv[i], "--config=", 9) == 0) {
			conf_file = argv[i] + 9;
		} else if ((strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) &&
		    i + 1 < argc) {
			conf_file = argv[++i];
		} else {
			fprintf(stderr,
			    "fluidhook: unknown option or missing value: %s\n"
			    "Try \"fluidhook --help\".\n",
			    argv[i]);
			return (CLI_USAGE);
		}
	}
	if (i == argc)
		return (print_usage(stderr));
	/* For the shells' completion scripts: no command for people. */
	if (strcmp(argv[i], "__complete") == 0)
		return (finish(complete(argc - i - 1, argv + i + 1)));
	return (finish(run(conf_file, NULL, argc - i, argv + i)));
}
