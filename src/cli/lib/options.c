#include "cli/lib/cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#include "cli/lib/guess.h"

enum { OPTIONS_MAX = 24, HELP_OPTION = 0x100, FIRST_OPTION };

/* The parent of a command's command: "webhook" of "webhook create"; NULL where there is none. */
static const struct command *
parent_of(const struct command *self)
{
	const struct command *c;

	for (size_t n = 0; (c = cli_command(n)) != NULL; n++)
		for (const struct command *const *s = c->commands; s && *s; s++)
			if (*s == self)
				return (c);
	return (NULL);
}

static void
print_name(FILE *fp, const struct command *self)
{
	const struct command *parent = parent_of(self);

	fprintf(fp, "fluidhook %s%s%s", parent ? parent->name : "", parent ? " " : "", self->name);
}

int
cli_misuse(const struct command *self, const char *fmt, ...)
{
	va_list ap;

	print_name(stderr, self);
	fputs(": ", stderr);
	va_start(ap, fmt);
	cli_print_message(fmt, ap);
	va_end(ap);
	fputs("Try \"", stderr);
	print_name(stderr, self);
	fputs(" --help\".\n", stderr);
	return (CLI_USAGE);
}

static void
print_help(const struct command *self)
{
	fputs("Usage: ", stdout);
	print_name(stdout, self);
	printf("%s%s\n\n%s\n", *self->args ? " " : "", self->args, self->summary);
	if (self->help && *self->help)
		printf("\n%s", self->help);
}

/* What getopt wants, out of our table. Returns how many options there are. */
static size_t
make_table(const struct cli_option *options, struct option *longs, char *shorts)
{
	size_t n = 0;

	/* '+' would stop at the first word; ':' says which mistake it was. */
	*shorts++ = ':';
	*shorts++ = 'h';
	for (; options && options[n].name; n++) {
		bool takes = options[n].value != NULL;

		longs[n] = (struct option){ options[n].name,
			takes ? required_argument : no_argument, NULL, (int)(FIRST_OPTION + n) };
		if (options[n].letter) {
			*shorts++ = options[n].letter;
			if (takes)
				*shorts++ = ':';
		}
	}
	longs[n] = (struct option){ "help", no_argument, NULL, HELP_OPTION };
	longs[n + 1] = (struct option){ NULL, 0, NULL, 0 };
	*shorts = '\0';
	return (n);
}

static const struct cli_option *
option_of(const struct cli_option *options, size_t n, int c)
{
	if (c >= FIRST_OPTION && (size_t)(c - FIRST_OPTION) < n)
		return (&options[c - FIRST_OPTION]);
	for (size_t i = 0; i < n; i++)
		if (options[i].letter && options[i].letter == c)
			return (&options[i]);
	return (NULL);
}

/* An option that the command does not have. */
static int
misuse_option(const struct command *self, const struct cli_option *options, size_t n,
    const char *word)
{
	const char *name = word + strspn(word, "-"), *near;
	struct guess g = guess_begin(name);

	for (size_t i = 0; i < n; i++)
		guess_consider(&g, options[i].name, strlen(options[i].name));
	if ((near = guess_near(&g)) != NULL)
		return (cli_misuse(self, "unknown option %s; did you mean --%s?", word, near));
	return (cli_misuse(self, "unknown option %s", word));
}

int
cli_parse(const struct command *self, int argc, char **argv, const struct cli_option *options,
    size_t least, size_t most, int *status)
{
	struct option longs[OPTIONS_MAX + 2];
	char shorts[2 * OPTIONS_MAX + 3];
	size_t n = make_table(options, longs, shorts), words;
	const struct cli_option *o;
	int c;

	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
		if (c == HELP_OPTION || c == 'h') {
			print_help(self);
			*status = CLI_DONE;
			return (-1);
		}
		if (c == ':') {
			*status = cli_misuse(self, "%s needs a value", argv[optind - 1]);
			return (-1);
		}
		if (c == '?' || (o = option_of(options, n, c)) == NULL) {
			*status = misuse_option(self, options, n, argv[optind - 1]);
			return (-1);
		}
		if (o->flag)
			*o->flag = true;
		else
			*o->value = optarg;
	}
	words = (size_t)(argc - optind);
	if (words < least || words > most) {
		*status = words < least ?
		    cli_misuse(self, "missing argument: %s", self->args) :
		    cli_misuse(self, "unexpected argument \"%s\"", argv[(size_t)optind + most]);
		return (-1);
	}
	memmove(argv + 1, argv + optind, words * sizeof(*argv));
	return ((int)words);
}
