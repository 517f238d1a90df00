#include "cli/lib/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"

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
