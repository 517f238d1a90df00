#include "cli/lib/journal_walk.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/lib/cli.h"

int
journal_walk_open(struct journal_walk *w, const struct conf *conf)
{
	*w = (struct journal_walk){ .conf = conf, .dir = cli_directory(conf, "journal") };
	if (w->dir == -1)
		return (-1);
	if ((w->reader = journal_reader_new(w->dir)) != NULL) {
		progress_begin(&w->progress, "Reading the journal");
		return (0);
	}
	cli_fail("%s/journal: %s", conf->state_dir, strerror(errno));
	return (-1);
}

void
journal_walk_close(struct journal_walk *w)
{
	progress_end(&w->progress);
	journal_reader_free(w->reader);
	if (w->dir != -1)
		close(w->dir);
	buf_wipe(&w->line);
	buf_wipe(&w->texts);
}

/* A file that is damaged is named, once, and the rest is read all the same. */
static void
say_damaged(struct journal_walk *w, const char *what)
{
	const char *file = journal_reader_file(w->reader);

	if (w->damaged == file)
		return;
	w->damaged = file;
	progress_hide(&w->progress);
	cli_fail("%s/journal/%s: %s", w->conf->state_dir, file, what);
}

/* A raw line, before it is parsed. */
static bool
look_at(void *user, const char *line, size_t len)
{
	struct journal_walk *w = user;

	progress_count(&w->progress, w->look.lines + 1);
	return (journal_look_at(&w->look, line, len));
}

void
journal_walk_only(struct journal_walk *w, struct journal_look look)
{
	w->look = look;
	journal_reader_only(w->reader, look_at, w);
}

int
journal_walk_previous(struct journal_walk *w, struct entry *e)
{
	int result;

	while ((result = journal_reader_previous(w->reader, &w->line)) != 0) {
		if (result == -1) {
			say_damaged(w, errno == EINVAL ? "is no regular file" : strerror(errno));
			continue;
		}
		buf_reset(&w->texts);
		/* Of a sealed body whose key is missing, the rest is known. */
		if (entry_read(e, w->line.data, w->line.len, &w->texts) == 0 || errno == ENOKEY)
			return (1);
		say_damaged(w, "damaged: lines that are not deliveries are skipped");
	}
	return (0);
}
