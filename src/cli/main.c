/* fluidhook: set-up, registration and queries (contract section 5). */

#include <fcntl.h>
#include <locale.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/commands.h"
#include "config.h"

const struct command *const cli_commands[] = {
	&init_command,
	&check_command,
	&register_command,
	&webhook_command,
	&secret_command,
	&list_command,
	&show_command,
	&token_command,
	&api_command,
	&deliveries_command,
	&delivery_command,
	&send_command,
	&doctor_command,
	&work_command,
	&subscribe_command,
	&queue_command,
	&retry_command,
	&prune_command,
	NULL,
};

static void
print_commands(FILE *fp, const struct command *const *commands)
{
	for (const struct command *const *c = commands; *c; c++)
		fprintf(fp, "  %-12s  %s\n", (*c)->name, (*c)->summary);
}

static int
print_usage(FILE *fp)
{
	fputs("Usage: fluidhook [-c FILE] COMMAND [...]\n"
	    "\n"
	    "Receives the webhooks of the Fluid commerce platform on your own web server.\n"
	    "\n", fp);
	print_commands(fp, cli_commands);
	fputs("\n"
	    "  -c, --config FILE  configuration; else $FLUIDHOOK_CONF, ~/fluidhook/fluidhook.conf,\n"
	    "                     " SYSCONFDIR "/fluidhook/fluidhook.conf\n"
	    "      --version      print the version\n"
	    "\n"
	    "\"fluidhook COMMAND --help\" tells more about a command; so does man 1 fluidhook.\n", fp);
	return (fp == stderr ? CLI_USAGE : CLI_DONE);
}

static const struct command *
find(const struct command *const *commands, const char *name)
{
	for (const struct command *const *c = commands; *c; c++)
		if (strcmp((*c)->name, name) == 0)
			return (*c);
	return (NULL);
}

static int
print_subcommands(FILE *fp, const struct command *self)
{
	fprintf(fp, "Usage: fluidhook %s COMMAND [...]\n\n%s\n\n", self->name, self->summary);
	print_commands(fp, self->commands);
	if (self->help)
		fprintf(fp, "\n%s", self->help);
	return (fp == stderr ? CLI_USAGE : CLI_DONE);
}

static int
run(const struct cli *cli, const struct command *const *commands, int argc, char **argv)
{
	const struct command *self = find(commands, argv[0]);

	if (self == NULL) {
		fprintf(stderr, "fluidhook: no command \"");
		cli_print_text(stderr, argv[0], strlen(argv[0]));
		fprintf(stderr, "\"\nTry \"fluidhook --help\".\n");
		return (CLI_USAGE);
	}
	if (self->commands == NULL)
		return (self->run(cli, self, argc, argv));
	if (argc < 2)
		return (print_subcommands(stderr, self));
	if (strcmp(argv[1], "--help") == 0)
		return (print_subcommands(stdout, self));
	return (run(cli, self->commands, argc - 1, argv + 1));
}

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
	if (fflush(stdout) || ferror(stdout)) {
		cli_fail("standard output cannot be written");
		return (status == CLI_DONE ? CLI_FAILED : status);
	}
	return (status);
}

int
main(int argc, char **argv)
{
	struct cli cli = { .conf_file = NULL };
	int i = 1;

	fill_standard_descriptors();
	setlocale(LC_CTYPE, "");
	/* The options in front of the command are few: getopt would want to go on behind it. */
	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return (finish(print_usage(stdout)));
		if (strcmp(argv[i], "--version") == 0) {
			printf("fluidhook %s\n", PACKAGE_VERSION);
			return (finish(CLI_DONE));
		}
		if (strncmp(argv[i], "--config=", 9) == 0) {
			cli.conf_file = argv[i] + 9;
		} else if ((strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) &&
		    i + 1 < argc) {
			cli.conf_file = argv[++i];
		} else {
			fprintf(stderr, "fluidhook: unknown option or missing value: %s\n"
			    "Try \"fluidhook --help\".\n", argv[i]);
			return (CLI_USAGE);
		}
	}
	if (i == argc)
		return (print_usage(stderr));
	return (finish(run(&cli, cli_commands, argc - i, argv + i)));
}
