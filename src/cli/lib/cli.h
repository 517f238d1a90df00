#ifndef CLI_LIB_CLI_H
#define CLI_LIB_CLI_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/conf.h"
#include "store/state.h"

/* What the commands of `fluidhook` have in common (contract section 5). */

/* Exit statuses. */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* What main() does before a command's run(), and undoes behind it. A later one includes those before it. */
enum {
	COMMAND_CONF = 1,          /* reads the configuration: cli.conf */
	COMMAND_OWNER = 2 | 1,     /* becomes the owner of the state directory, for good */
	COMMAND_STATE = 4 | 2 | 1, /* opens the state directory: cli.state */
};

/* These go with any of those. */
enum {
	COMMAND_JSON = 8, /* has the option --json: cli.json */
	/* Changes something, here or at Fluid: a reader of its output that ends does not end it. */
	COMMAND_CHANGES = 16,
	COMMAND_MANY = 32, /* any number of arguments from `least` on */
};

struct command;

/* What a command gets. All of it belongs to main(). */
struct cli {
	const char *conf_file; /* of -c; NULL where none was given */
	const struct command *command,
	    *parent; /* "create" of "webhook create", and "webhook" or NULL */
	void *
	    options; /* the values of the command's own options; its struct, zero where not given */
	bool json;
	char **argv;         /* the arguments; behind the last one is NULL */
	int argc;            /* how many */
	struct conf *conf;   /* NULL without COMMAND_CONF */
	struct state *state; /* NULL without COMMAND_STATE */
};

/* An option of a command. A table ends with one whose name is NULL. --help is in all of them. */
struct cli_option {
	const char *name; /* without the dashes */
	char letter;      /* or '\0' */
	bool is_flag;     /* `at` is that of a bool; else of a const char *, which gets the value */
	size_t at;        /* in the struct of the command's options */
};

#define CLI_FLAG(type, field, name, letter) \
	{ \
		name, letter, true, offsetof(type, field) \
	}
#define CLI_VALUE(type, field, name, letter) \
	{ \
		name, letter, false, offsetof(type, field) \
	}
#define CLI_END \
	{ \
		NULL, '\0', false, 0 \
	}

/* A command, or a command's command: each stands in the file of its name or family. */
struct command {
	const char *name;
	const char *args;    /* what follows the name in the usage line */
	const char *summary; /* one line for the list of commands */
	const char *help;    /* options and all else that --help tells; lines that end with \n */
	unsigned flags;
	int least, most;                  /* how many arguments */
	const struct cli_option *options; /* NULL: none */
	size_t options_size;              /* of the struct that they are in */
	/*
	 * Whether options and arguments go together, before anything is read or done; NULL: they always do. Returns
	 * CLI_DONE, or the exit status after saying what is wrong.
	 */
	int (*check)(const struct cli *c);
	/* Returns the exit status. */
	int (*run)(struct cli *c);
	/* Where one of these has to follow; ended by NULL. Then run is NULL. */
	const struct command *const *commands;
};

/** Command number n in the order that help lists them, from 0; NULL behind the last. */
const struct command *cli_command(size_t n);

/** Command number n of those that follow `parent` (NULL: of all); NULL behind the last. */
const struct command *cli_child(const struct command *parent, size_t n);

/** The command of this name that follows `parent` (NULL: the first word); NULL where there is none. */
const struct command *cli_find(const struct command *parent, const char *name);

/**
 * Read the options and arguments of c->command into c; argv[0] is the command's name. Returns true, or false with
 * *status being what to exit with (help was printed, or what is wrong). c->options is for free() in both cases.
 */
bool cli_parse(struct cli *c, int argc, char **argv, int *status);

/**
 * Read the configuration, become the owner, open the state directory: what the command's flags say. Returns CLI_DONE, or
 * the exit status after saying what is wrong. To be ended with cli_close() in both cases.
 */
int cli_open(struct cli *c);
void cli_close(struct cli *c);

/**
 * Print "fluidhook: ..." and a newline to standard error, escaped as by cli_print_lines(). Returns
 * CLI_FAILED.
 */
int cli_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** A message to standard error, escaped as by cli_print_lines(), and a newline. */
void cli_print_message(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

/** Print that a command was used wrongly, and where help is. Returns CLI_USAGE. */
int cli_misuse(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * Read the configuration; file: NULL for the usual one. Returns it for conf_free(), or NULL after every mistake was
 * printed (exit status CLI_USAGE).
 */
struct conf *cli_conf(const char *file);

/**
 * Where the command runs as root: become the owner of the state directory, for good, so that nothing
 * it writes is unreadable to the receiver. Read before what only root may read. Says what is wrong and
 * returns -1 where that does not work, or where there is no state directory; else 0.
 */
int cli_become_owner(const struct conf *conf);

/** The same for the state directory at a path. */
int cli_become_owner_of(const char *state_dir);

/**
 * Open a directory of the state directory, "installations" or "journal", as its owner. Makes nothing. Returns a descriptor, or -1 after saying what is wrong.
 */
int cli_directory(const struct conf *conf, const char *name);

/** Become the owner and open the state directory to change records. NULL after saying what is wrong. */
struct state *cli_state(const struct conf *conf);

/**
 * Print text that somebody else chose, so that it can do nothing to a terminal: control characters
 * become \xHH (C1 ones too), and so does what is not UTF-8. Invisible characters become \uHHHH.
 */
void cli_print_text(FILE *fp, const char *text, size_t len);

/** The same for text of several lines: newlines and tabs stay. */
void cli_print_lines(FILE *fp, const char *text, size_t len);

/** Ask on the terminal. False where the answer is not yes, or where nobody can be asked. */
bool cli_confirm(const char *question);

#endif
