#include "cli/lib/table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/escape.h"
#include "cli/lib/cli.h"
#include "cli/lib/spool.h"

enum { COLUMNS_MAX = 12, GAP = 2 };

/* A row is its cells, escaped, each ended by a NUL; in the spool it follows its length. */
struct table {
	size_t columns;
	size_t widths[COLUMNS_MAX];
	size_t most; /* columns of the terminal */
	struct buf titles, row;
	struct spool *rows;
	bool failed;
};

/* How many columns of a terminal a text takes, at most `most`; *bytes is how much of it that is. */
static size_t
width_of(const char *text, size_t most, size_t *bytes)
{
	size_t width = 0, at = 0, len = strlen(text), n;
	mbstate_t state = { 0 };
	wchar_t c;
	int w;

	while (at < len) {
		n = 1;
		w = 1;
		if (text[at] < ' ' || text[at] > '~') {
			n = mbrtowc(&c, text + at, len - at, &state);
			if (n == (size_t)-1 || n == (size_t)-2 || n == 0) {
				/* Not in this locale's encoding: count bytes. */
				state = (mbstate_t){ 0 };
				n = 1;
			} else if ((w = wcwidth(c)) < 0) {
				w = 0;
			}
		}
		if (width + (size_t)w > most)
			break;
		width += (size_t)w;
		at += n;
	}
	*bytes = at;
	return (width);
}

void
table_row(struct table *t, const char *const *cells, struct buf *row)
{
	size_t at, width, bytes;

	buf_reset(row);
	for (size_t i = 0; i < t->columns; i++) {
		const char *cell = cells[i] && *cells[i] ? cells[i] : "-";

		at = row->len;
		escape_add(row, cell, strlen(cell), ESCAPE_TERMINAL);
		buf_addc(row, '\0');
		if (row->failed) {
			t->failed = true;
			return;
		}
		if ((width = width_of(row->data + at, SIZE_MAX, &bytes)) > t->widths[i])
			t->widths[i] = width;
	}
}

struct table *
table_new(const char *const *titles)
{
	struct table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return (NULL);
	if ((t->rows = spool_new()) == NULL) {
		free(t);
		return (NULL);
	}
	while (titles[t->columns])
		t->columns++;
	table_row(t, titles, &t->titles);
	return (t);
}

void
table_add_row(struct table *t, const struct buf *row)
{
	if (!t->failed &&
	    (spool_add(t->rows, &row->len, sizeof(row->len)) ||
		spool_add(t->rows, row->data, row->len)))
		t->failed = true;
}

void
table_add(struct table *t, const char *const *cells)
{
	table_row(t, cells, &t->row);
	table_add_row(t, &t->row);
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

void
table_print_row(const struct table *t, FILE *fp, const char *row)
{
	size_t used = 0, gap = 0, width, bytes;

	for (size_t i = 0; i < t->columns && used < t->most; i++) {
		for (; i && gap; gap--)
			putc_unlocked(' ', fp);
		width = width_of(row, t->most - used, &bytes);
		fwrite(row, 1, bytes, fp);
		used += t->widths[i] + GAP;
		gap = t->widths[i] - width + GAP;
		row += strlen(row) + 1;
	}
	putc_unlocked('\n', fp);
}

int
table_print_titles(struct table *t, FILE *fp)
{
	if (t->failed)
		return (cli_fail("out of memory"));
	t->most = width_of_terminal(fp);
	table_print_row(t, fp, t->titles.data);
	return (CLI_DONE);
}

int
table_print(struct table *t, FILE *fp)
{
	int status = table_print_titles(t, fp);
	size_t len;

	for (uint64_t at = 0; status == CLI_DONE && at < spool_end(t->rows); at += len) {
		if (spool_read(t->rows, at, sizeof(len), &t->row))
			return (cli_fail("cannot read the temporary file: %s", strerror(errno)));
		memcpy(&len, t->row.data, sizeof(len));
		at += sizeof(len);
		if (spool_read(t->rows, at, len, &t->row))
			return (cli_fail("cannot read the temporary file: %s", strerror(errno)));
		table_print_row(t, fp, t->row.data);
	}
	return (status);
}

void
table_free(struct table *t)
{
	if (t == NULL)
		return;
	spool_free(t->rows);
	buf_free(&t->titles);
	buf_free(&t->row);
	free(t);
}
