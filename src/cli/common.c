#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/owner.h"
#include "base/utf8.h"
#include "cli/guess.h"

enum { OPTIONS_MAX = 24, HELP_OPTION = 0x100, FIRST_OPTION };

/* A message and a newline. What is quoted in it can do nothing to a terminal. */
static void __attribute__((format(printf, 1, 0))) print_message(const char *fmt, va_list ap)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, ap) == -1) {
		fputs("out of memory\n", stderr);
		return;
	}
	cli_print_lines(stderr, text, strlen(text));
	fputc('\n', stderr);
	free(text);
}

int
cli_fail(const char *fmt, ...)
{
	va_list ap;

	fputs("fluidhook: ", stderr);
	va_start(ap, fmt);
	print_message(fmt, ap);
	va_end(ap);
	return (CLI_FAILED);
}

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
	print_message(fmt, ap);
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

struct conf *
cli_conf(const struct cli *c)
{
	char *file = conf_find(c->conf_file);
	struct buf errors = { 0 };
	struct conf *conf = file ? conf_load(file, &errors) : NULL;

	if (conf == NULL) {
		fputs(errors.data ? errors.data : "fluidhook: out of memory\n", stderr);
		if (file && access(file, F_OK) && errno == ENOENT)
			fputs("\"fluidhook init\" makes a configuration; -c FILE names another.\n",
			    stderr);
	}
	buf_free(&errors);
	free(file);
	return (conf);
}

int
cli_become_owner(const struct conf *conf)
{
	return (cli_become_owner_of(conf->state_dir));
}

int
cli_become_owner_of(const char *path)
{
	if (owner_become(path) == 0)
		return (0);
	if (errno == ENOENT)
		cli_fail("%s: %s; \"fluidhook init\" makes the state directory", path,
		    strerror(errno));
	else
		cli_fail("cannot become the owner of %s: %s", path, strerror(errno));
	return (-1);
}

/* Nobody but the owner gets in (and root, who has become the owner): say who that is, if it is not us. */
static void
say_cannot_open(const struct conf *conf, const char *name)
{
	int saved = errno;
	const struct passwd *pw;
	struct stat st;

	if (saved == ENOENT && name) {
		cli_fail("%s/%s is missing; put it back, or run \"fluidhook repair\"",
		    conf->state_dir, name);
	} else if (saved == EACCES && stat(conf->state_dir, &st) == 0 && st.st_uid != geteuid()) {
		if ((pw = getpwuid(st.st_uid)) != NULL)
			cli_fail("%s%s%s: %s; it belongs to %s: try \"sudo -u %s fluidhook ...\"",
			    conf->state_dir, name ? "/" : "", name ? name : "", strerror(saved),
			    pw->pw_name, pw->pw_name);
		else
			cli_fail(
			    "%s%s%s: %s; it belongs to user %lu, who has no name here: try \"sudo -u '#%lu' "
			    "fluidhook ...\" or \"docker exec --user %lu\"",
			    conf->state_dir, name ? "/" : "", name ? name : "", strerror(saved),
			    (unsigned long)st.st_uid, (unsigned long)st.st_uid,
			    (unsigned long)st.st_uid);
	} else {
		cli_fail("%s%s%s: %s", conf->state_dir, name ? "/" : "", name ? name : "",
		    strerror(saved));
	}
}

int
cli_directory(const struct conf *conf, const char *name)
{
	char why[STATE_WHY_SIZE];
	int top, fd;

	if (cli_become_owner(conf))
		return (-1);
	if (state_is_marked(conf->state_dir, why) && errno != EACCES) {
		cli_fail("%s", why);
		return (-1);
	}
	if ((top = open(conf->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1) {
		say_cannot_open(conf, NULL);
		return (-1);
	}
	if ((fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) == -1)
		say_cannot_open(conf, name);
	close(top);
	return (fd);
}

struct state *
cli_state(const struct conf *conf)
{
	char why[STATE_WHY_SIZE];
	struct state *s;

	umask(077);
	if (cli_become_owner(conf))
		return (NULL);
	if ((s = state_open(conf->state_dir, why)) != NULL)
		return (s);
	if (errno == EACCES)
		say_cannot_open(conf, NULL);
	else
		cli_fail("%s", why);
	return (NULL);
}

/*
 * Characters that are not seen but change how a line reads: zero-width ones, and those that turn the
 * direction of writing. text: a whole character of n bytes. Returns its code point, or 0.
 */
static unsigned
invisible(const char *text, size_t n)
{
	static const unsigned ranges[][2] = { { 0x00ad, 0x00ad }, { 0x061c, 0x061c },
		{ 0x180e, 0x180e }, { 0x200b, 0x200f }, { 0x2028, 0x202e }, { 0x2060, 0x206f },
		{ 0xfeff, 0xfeff }, { 0xfff9, 0xfffb } };
	const unsigned char *c = (const unsigned char *)text;
	unsigned point = n == 2 ? (c[0] & 0x1fu) << 6 | (c[1] & 0x3fu) :
	    n == 3              ? (c[0] & 0xfu) << 12 | (c[1] & 0x3fu) << 6 | (c[2] & 0x3fu) :
				  0;

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (point >= ranges[i][0] && point <= ranges[i][1])
			return (point);
	return (0);
}

void
cli_print_text(FILE *fp, const char *text, size_t len)
{
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		unsigned char c = (unsigned char)text[i];

		n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
		if (n > 1 && (n > len - i || !utf8_is_valid(text + i, n))) {
			n = 1;
			fprintf(fp, "\\x%02x", c);
		} else if (c < 0x20 || c == 0x7f) {
			fprintf(fp, "\\x%02x", c);
		} else if (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0) {
			fprintf(fp, "\\x%02x", (unsigned char)text[i + 1]);
		} else if (invisible(text + i, n)) {
			fprintf(fp, "\\u%04x", invisible(text + i, n));
		} else {
			fwrite(text + i, 1, n, fp);
		}
	}
}

void
cli_print_lines(FILE *fp, const char *text, size_t len)
{
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		for (n = 0; i + n < len && text[i + n] != '\n' && text[i + n] != '\t'; n++)
			;
		cli_print_text(fp, text + i, n);
		if (i + n < len)
			fputc(text[i + n++], fp);
	}
}

bool
cli_confirm(const char *question)
{
	char answer[16];

	if (!isatty(STDIN_FILENO))
		return (false);
	fprintf(stderr, "%s [y/N] ", question);
	return (fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y'));
}
