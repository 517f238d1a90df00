#include "cli/lib/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/lib/guess.h"

enum { OPTIONS_MAX = 24, HELP_OPTION = 0x100, JSON_OPTION, FIRST_OPTION };

static void
print_name(FILE *fp, const struct cli *c)
{
	fprintf(fp, "fluidhook %s%s%s", c->parent ? c->parent->name : "", c->parent ? " " : "",
	    c->command->name);
}

int
cli_misuse(const struct cli *c, const char *fmt, ...)
{
	va_list ap;

	print_name(stderr, c);
	fputs(": ", stderr);
	va_start(ap, fmt);
	cli_print_message(fmt, ap);
	va_end(ap);
	fputs("Try \"", stderr);
	print_name(stderr, c);
	fputs(" --help\".\n", stderr);
	return (CLI_USAGE);
}

static void
print_help(const struct cli *c)
{
	const struct command *self = c->command;

	fputs("Usage: ", stdout);
	print_name(stdout, c);
	printf("%s%s\n\n%s\n", *self->args ? " " : "", self->args, self->summary);
	if (self->help && *self->help)
		printf("\n%s", self->help);
}

/* What getopt wants, out of our table, and --json. Returns how many options there are. */
static size_t
make_table(const struct command *self, struct option *longs, char *shorts)
{
	const struct cli_option *options = self->options;
	size_t n = 0;

	/* '+' would stop at the first argument; ':' says which mistake it was. */
	*shorts++ = ':';
	*shorts++ = 'h';
	for (; options && options[n].name; n++) {
		longs[n] = (struct option){ options[n].name,
			options[n].is_flag ? no_argument : required_argument, NULL,
			(int)(FIRST_OPTION + n) };
		if (options[n].letter) {
			*shorts++ = options[n].letter;
			if (!options[n].is_flag)
				*shorts++ = ':';
		}
	}
	*shorts = '\0';
	if (self->flags & COMMAND_JSON)
		longs[n++] = (struct option){ "json", no_argument, NULL, JSON_OPTION };
	longs[n] = (struct option){ "help", no_argument, NULL, HELP_OPTION };
	longs[n + 1] = (struct option){ NULL, 0, NULL, 0 };
	return (n);
}

static const struct cli_option *
option_of(const struct cli_option *options, int c)
{
	for (size_t i = 0; options && options[i].name; i++)
		if (c == (int)(FIRST_OPTION + i) || (options[i].letter && options[i].letter == c))
			return (&options[i]);
	return (NULL);
}

/* An option that the command does not have. */
static int
misuse_option(const struct cli *c, const struct option *longs, size_t n, const char *argument)
{
	const char *name = argument + strspn(argument, "-"), *near;
	struct guess g = guess_begin(name);

	for (size_t i = 0; i < n; i++)
		guess_consider(&g, longs[i].name, strlen(longs[i].name));
	if ((near = guess_near(&g)) != NULL)
		return (cli_misuse(c, "unknown option %s; did you mean --%s?", argument, near));
	return (cli_misuse(c, "unknown option %s", argument));
}

static void
set(struct cli *c, const struct cli_option *o)
{
	char *at = (char *)c->options + o->at;

	if (o->is_flag)
		*(bool *)at = true;
	else
		*(const char **)at = optarg;
}

/* Whether there are as many arguments as the command wants. */
static int
check_count(const struct cli *c)
{
	const struct command *self = c->command;

	if (c->argc < self->least)
		return (cli_misuse(c, "missing argument: %s", self->args));
	if (c->argc > self->most && !(self->flags & COMMAND_MANY))
		return (cli_misuse(c, "unexpected argument \"%s\"", c->argv[self->most]));
	return (CLI_DONE);
}

bool
cli_parse(struct cli *c, int argc, char **argv, int *status)
{
	struct option longs[OPTIONS_MAX + 3];
	char shorts[2 * OPTIONS_MAX + 3];
	size_t n = make_table(c->command, longs, shorts);
	const struct cli_option *o;
	int found;

	c->options = NULL;
	if (c->command->options_size &&
	    (c->options = calloc(1, c->command->options_size)) == NULL) {
		*status = cli_fail("out of memory");
		return (false);
	}
	optind = 0;
	opterr = 0;
	while ((found = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (found == HELP_OPTION || found == 'h') {
			print_help(c);
			*status = CLI_DONE;
			return (false);
		}
		if (found == JSON_OPTION) {
			c->json = true;
		} else if (found == ':') {
			*status = cli_misuse(c, "%s needs a value", argv[optind - 1]);
			return (false);
		} else if (found == '?' || (o = option_of(c->command->options, found)) == NULL) {
			*status = misuse_option(c, longs, n, argv[optind - 1]);
			return (false);
		} else {
			set(c, o);
		}
	}
	c->argc = argc - optind;
	c->argv = argv + optind;
	*status = check_count(c);
	if (*status == CLI_DONE && c->command->check)
		*status = c->command->check(c);
	return (*status == CLI_DONE);
}
