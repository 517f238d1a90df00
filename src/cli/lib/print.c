#include "cli/lib/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"

void
cli_print_text(FILE *fp, const char *text, size_t len)
{
	struct buf out = { 0 };

	escape_add(&out, text, len, ESCAPE_TERMINAL);
	if (out.failed)
		fputs("out of memory", fp);
	else if (out.len)
		fwrite(out.data, 1, out.len, fp);
	buf_wipe(&out);
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

void
cli_print_message(const char *fmt, va_list ap)
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
	cli_print_message(fmt, ap);
	va_end(ap);
	return (CLI_FAILED);
}
