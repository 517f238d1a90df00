#include "cli/lib/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/buf.h"
#include "cli/lib/cli.h"

enum { COLUMNS_MAX = 12, GAP = 2 };

struct table {
	size_t columns, n, cap; /* n, cap: cells, the titles among them */
	char **cells;           /* escaped */
	bool failed;
};

/* The text as cli_print_text() would print it; the caller frees it. NULL: ENOMEM. */
static char *
escaped(const char *text)
{
	char *out = NULL;
	size_t size;
	FILE *fp = open_memstream(&out, &size);

	if (fp == NULL)
		return (NULL);
	cli_print_text(fp, text, strlen(text));
	return (fclose(fp) ? NULL : out);
}

/* How many columns of a terminal a text takes, at most `most`; *bytes is how much of it that is. */
static size_t
width_of(const char *text, size_t most, size_t *bytes)
{
	size_t width = 0, at = 0, len = strlen(text), n;
	mbstate_t state = { 0 };
	wchar_t c;
	int w;

	while (at < len) {
		n = mbrtowc(&c, text + at, len - at, &state);
		if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
			/* Not in this locale's encoding: count bytes. */
			state = (mbstate_t){ 0 };
			n = 1;
			w = 1;
		} else if ((w = wcwidth(c)) < 0) {
			w = 0;
		}
		if (width + (size_t)w > most)
			break;
		width += (size_t)w;
		at += n;
	}
	*bytes = at;
	return (width);
}

static void
add_cells(struct table *t, const char *const *cells)
{
	char **more;

	if (t->n + t->columns > t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64 * COLUMNS_MAX;
		if ((more = reallocarray(t->cells, t->cap, sizeof(*more))) == NULL) {
			t->failed = true;
			return;
		}
		t->cells = more;
	}
	for (size_t i = 0; i < t->columns; i++)
		if ((t->cells[t->n++] = escaped(cells[i] && *cells[i] ? cells[i] : "-")) == NULL)
			t->failed = true;
}

struct table *
table_new(const char *const *titles)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return (NULL);
	while (titles[t->columns])
		t->columns++;
	add_cells(t, titles);
	return (t);
}

void
table_add(struct table *t, const char *const *cells)
{
	if (!t->failed)
		add_cells(t, cells);
}

/* How wide the output may be; SIZE_MAX where it is no terminal. */
static size_t
width_of_terminal(FILE *fp)
{
	struct winsize size;

	if (!isatty(fileno(fp)) || ioctl(fileno(fp), TIOCGWINSZ, &size) || size.ws_col == 0)
		return (SIZE_MAX);
	return (size.ws_col);
}

static void
print_row(const struct table *t, FILE *fp, char *const *row, const size_t *widths, size_t most)
{
	size_t used = 0, gap = 0, width, bytes;

	for (size_t i = 0; i < t->columns && used < most; i++) {
		if (i)
			fprintf(fp, "%*s", (int)gap, "");
		width = width_of(row[i], most - used, &bytes);
		fwrite(row[i], 1, bytes, fp);
		used += widths[i] + GAP;
		gap = widths[i] - width + GAP;
	}
	fputc('\n', fp);
}

void
table_print(const struct table *t, FILE *fp)
{
	size_t widths[COLUMNS_MAX] = { 0 }, most = width_of_terminal(fp), width, bytes;

	if (t->failed) {
		cli_fail("out of memory");
		return;
	}
	for (size_t i = 0; i < t->n; i++)
		if ((width = width_of(t->cells[i], SIZE_MAX, &bytes)) > widths[i % t->columns])
			widths[i % t->columns] = width;
	for (size_t i = 0; i < t->n; i += t->columns)
		print_row(t, fp, t->cells + i, widths, most);
}

void
table_free(struct table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}
