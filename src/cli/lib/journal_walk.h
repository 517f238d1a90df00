#ifndef CLI_LIB_JOURNAL_WALK_H
#define CLI_LIB_JOURNAL_WALK_H

#include "base/conf.h"
#include "cli/lib/journal_look.h"
#include "cli/lib/progress.h"
#include "store/entry.h"
#include "store/journal_reader.h"

/* Going through the journal from its end. What is damaged is named on standard error, once a file. */

struct journal_walk {
	const struct conf *conf;
	int dir;
	struct journal_reader *reader;
	struct buf line, texts;
	struct journal_look look;
	struct progress progress;
	const char *damaged; /* the file named last; NULL: none */
};

/** Returns 0, or -1 after saying what is wrong. To be ended with journal_walk_close() in both cases. */
int journal_walk_open(struct journal_walk *w, const struct conf *conf);
void journal_walk_close(struct journal_walk *w);

/** Read only lines that are worth parsing. */
void journal_walk_only(struct journal_walk *w, struct journal_look look);

/** The delivery before, which refers to w until the next call. Returns 1, or 0 at the journal's beginning. */
int journal_walk_previous(struct journal_walk *w, struct entry *e);

#endif
