#include "cli/complete.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cli/lib/cli.h"
#include "delivery/event.h"
#include "store/installation.h"

/* An option as a command's help describes it: "  -n, --limit N  at most so many". */
struct described {
	const char *name; /* "--limit", len bytes */
	size_t len;
	bool takes_value;
	const char *text; /* its description, text_len bytes */
	size_t text_len;
};

/* The next option of a help text; *at moves on. Returns false where there is none left. */
static bool
next_option(const char **at, struct described *o)
{
	const char *line, *p;
	size_t len;

	for (line = *at; line && *line; line += len + (line[len] == '\n')) {
		len = strcspn(line, "\n");
		p = line + strspn(line, " ");
		if (p[0] == '-' && p[1] != '-' && p[1] && p[2] == ',')
			p += 4;
		if (p == line || strncmp(p, "--", 2) != 0)
			continue;
		o->name = p;
		o->len = strcspn(p, " \n");
		p += o->len;
		o->takes_value = p[0] == ' ' && p[1] != ' ' && p[1] != '\n' && p[1];
		if (o->takes_value)
			p += 1 + strcspn(p + 1, " \n");
		p += strspn(p, " ");
		o->text = p;
		o->text_len = strcspn(p, "\n;");
		*at = line + len + (line[len] == '\n');
		return (true);
	}
	return (false);
}

static void
print_candidate(const char *word, const char *typed, const char *text, size_t text_len)
{
	if (strncmp(word, typed, strlen(typed)) == 0)
		printf("%s%s%.*s\n", word, text_len ? "\t" : "", (int)text_len, text);
}

static void
print_commands(const struct command *parent, const char *typed)
{
	const struct command *c;

	for (size_t n = 0; (c = cli_child(parent, n)) != NULL; n++)
		print_candidate(c->name, typed, c->summary, strlen(c->summary));
}

static void
print_options(const char *help, const char *typed)
{
	struct described o;
	char name[64];

	while (next_option(&help, &o)) {
		snprintf(name, sizeof(name), "%.*s", (int)o.len, o.name);
		print_candidate(name, typed, o.text, o.text_len);
	}
	print_candidate("--help", typed, "", 0);
}

/* Values that an option can have, where they are a known set. */
static void
print_values(const char *option, const char *typed)
{
	static const char *const sets[][4] = { { "--method", "post", "put", "get" },
		{ "--contract", "v1", "v2" } };
	const char *event;

	if (strcmp(option, "--status") == 0)
		for (int i = INSTALLATION_ACTIVE; i <= INSTALLATION_SUPERSEDED; i++)
			print_candidate(installation_status_name((enum installation_status)i),
			    typed, "", 0);
	if (strcmp(option, "--event") == 0)
		for (size_t i = 0; (event = event_known(i)) != NULL; i++)
			print_candidate(event, typed, "", 0);
	for (size_t s = 0; s < sizeof(sets) / sizeof(sets[0]); s++)
		for (size_t i = 1; strcmp(option, sets[s][0]) == 0 && i < 4 && sets[s][i]; i++)
			print_candidate(sets[s][i], typed, "", 0);
}

static bool
takes_value(const char *help, const char *word)
{
	struct described o;

	while (next_option(&help, &o))
		if (strlen(word) == o.len && strncmp(word, o.name, o.len) == 0)
			return (o.takes_value);
	return (strcmp(word, "-c") == 0 || strcmp(word, "--config") == 0);
}

int
complete(int n, char **words)
{
	const struct command *command = NULL, *next;
	const char *typed = n > 0 ? words[n - 1] : "";
	const char *before = n > 1 ? words[n - 2] : "";

	/* The command that the words before lead to; "help" is followed by any. */
	for (int i = 0; i < n - 1; i++) {
		if (takes_value(command ? command->help : NULL, words[i]))
			i++;
		else if ((command == NULL || command->commands) &&
		    (next = cli_find(command, words[i])) != NULL &&
		    (command || strcmp(words[i], "help") != 0))
			command = next;
	}
	if (takes_value(command ? command->help : NULL, before))
		print_values(before, typed);
	else if (*typed == '-' && command)
		print_options(command->help, typed);
	else if (*typed == '-')
		print_options(
		    "  --config FILE  the configuration\n  --version  print the version\n", typed);
	else if (command == NULL || command->commands)
		print_commands(command, typed);
	return (CLI_DONE);
}
