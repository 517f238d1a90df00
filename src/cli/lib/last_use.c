#include "cli/lib/last_use.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/timefmt.h"
#include "cli/lib/cli.h"
#include "store/entry.h"
#include "store/journal_reader.h"

/* Looking through the journal for some secrets. */
struct looking {
	struct last_use *uses;
	size_t n, missing;
	struct buf texts;
};

/* Whether a line could be of a delivery under this secret: much faster than reading it. */
static bool
mentions(const struct buf *line, const char *fingerprint)
{
	return (memmem(line->data, line->len, fingerprint, strlen(fingerprint)) != NULL);
}

/* Note what a line says about the use of one secret. */
static void
note(struct looking *l, struct last_use *use, const struct buf *line)
{
	struct timespec at;
	struct entry e;

	buf_reset(&l->texts);
	if ((entry_read(&e, line->data, line->len, &l->texts) && errno != ENOKEY) ||
	    e.fingerprint == NULL || e.key == NULL || strcmp(e.key, "droplet") != 0 ||
	    strcmp(e.fingerprint, use->fingerprint) != 0 || timefmt_parse(e.received_at, &at))
		return;
	if (use->at == 0)
		l->missing--;
	/* Lines need not be in the order of time. */
	if (at.tv_sec > use->at)
		use->at = at.tv_sec;
}

static int
look_at_lines(struct looking *l, struct journal_reader *reader)
{
	char file[JOURNAL_NAME_SIZE] = "";
	struct buf line = { 0 };
	int result;

	while ((result = journal_reader_previous(reader, &line)) == 1) {
		/* A file is looked at to its beginning: a later time may be further up in it. */
		if (strcmp(file, journal_reader_file(reader)) != 0) {
			if (l->missing == 0)
				break;
			snprintf(file, sizeof(file), "%s", journal_reader_file(reader));
		}
		for (size_t i = 0; i < l->n; i++)
			if (mentions(&line, l->uses[i].fingerprint))
				note(l, &l->uses[i], &line);
	}
	if (result == -1)
		cli_fail("journal/%s: %s", journal_reader_file(reader), strerror(errno));
	buf_wipe(&line);
	return (result == -1 ? -1 : 0);
}

/* The journal's directory, to be read only. -1 after saying what is wrong. */
static int
open_journal(const struct conf *conf)
{
	int top = open(conf->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir = -1;

	if (top != -1)
		dir = openat(top, "journal", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	file_close(top);
	if (dir == -1)
		cli_fail("%s%s: %s", conf->state_dir, top == -1 ? "" : "/journal", strerror(errno));
	return (dir);
}

int
last_use_find(const struct conf *conf, struct last_use *uses, size_t n)
{
	struct looking l = { .uses = uses, .n = n, .missing = n };
	struct journal_reader *reader;
	int dir = open_journal(conf), result = -1;

	if (dir == -1)
		return (-1);
	for (size_t i = 0; i < n; i++)
		uses[i].at = 0;
	if ((reader = journal_reader_new(dir)) == NULL)
		cli_fail("%s/journal: %s", conf->state_dir, strerror(errno));
	else
		result = look_at_lines(&l, reader);
	journal_reader_free(reader);
	buf_wipe(&l.texts);
	close(dir);
	return (result);
}
