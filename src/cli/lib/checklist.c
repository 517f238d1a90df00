#include "cli/lib/checklist.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"
#include "cli/lib/cli.h"

enum { TEXT_SIZE = 1024, NAME_WIDTH = 13 };

static const char tick[] = "\u2713", exclamation[] = "!", cross[] = "\u2717";

/* What a web server or a file's name says may be anything: what is not UTF-8 becomes question marks. */
static void
member(struct json_writer *w, const char *key, const char *value)
{
	char *copy = NULL;

	if (value && !utf8_is_valid(value, strlen(value)) && (copy = strdup(value)) != NULL)
		for (char *c = copy; *c; c++)
			if ((unsigned char)*c >= 0x80)
				*c = '?';
	json_key(w, key);
	json_string(w, copy ? copy : value);
	free(copy);
}

static void
print_json(const char *name, const char *text, const char *hint, bool good)
{
	struct buf out = { 0 };
	struct json_writer *w = json_writer_new(&out, false);

	if (w) {
		json_object(w);
		member(w, "check", name);
		json_key(w, "ok");
		json_bool(w, good);
		member(w, "text", text);
		member(w, "hint", hint);
		json_object_end(w);
	}
	if (w && json_writer_end(w) == 0)
		printf("%s\n", out.data);
	else
		cli_fail("out of memory");
	buf_free(&out);
}

/* Lines below the first one of a way out are indented like it. */
static void
print_hint(const char *hint)
{
	size_t len;

	for (; *hint; hint += len + (hint[len] == '\n')) {
		len = strcspn(hint, "\n");
		fputs("    ", stdout);
		cli_print_text(stdout, hint, len);
		putchar('\n');
	}
}

static void __attribute__((format(printf, 5, 0))) add(struct checklist *l, const char *mark,
    const char *name, const char *hint, const char *fmt, va_list ap)
{
	char text[TEXT_SIZE];

	vsnprintf(text, sizeof(text), fmt, ap);
	if (l->json) {
		print_json(name, text, hint, mark != cross);
	} else {
		printf("%s %-*s ", mark, NAME_WIDTH, name);
		cli_print_text(stdout, text, strlen(text));
		putchar('\n');
		if (hint)
			print_hint(hint);
	}
	/* The next one can take seconds. */
	fflush(stdout);
}

void
checklist_good(struct checklist *l, const char *name, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(l, tick, name, NULL, fmt, ap);
	va_end(ap);
}

void
checklist_bad(struct checklist *l, const char *name, const char *hint, const char *fmt, ...)
{
	va_list ap;

	l->failed = true;
	va_start(ap, fmt);
	add(l, cross, name, hint, fmt, ap);
	va_end(ap);
}

void
checklist_note(struct checklist *l, const char *name, const char *hint, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	add(l, exclamation, name, hint, fmt, ap);
	va_end(ap);
}

int
checklist_status(const struct checklist *l)
{
	return (l->failed ? CLI_FAILED : CLI_DONE);
}
