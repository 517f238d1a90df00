#include "worker/kept.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/log.h"
#include "delivery/accept.h"
#include "store/durable.h"

/* Requests judged in one call, so that hooks need not wait for long. */
enum { AT_ONCE = 100, PATH_SIZE = 4096 + 16 };

struct kept {
	struct state *state;
	struct refused_store *refused;
	struct records *records;
	struct secrets *secrets;
	struct journal *journal;
	char (*ids)[REFUSED_ID_SIZE]; /* of this pass, the oldest first */
	size_t n, at;
	struct stat seen[2]; /* installations/ and refused/ when the pass began */
	bool changed;        /* since then, or perhaps */
};

struct kept *
kept_new(struct state *state)
{
	struct kept *k = calloc(1, sizeof(*k));
	char journal[PATH_SIZE];

	snprintf(journal, sizeof(journal), "%s/journal", state->path);
	if (k && (k->refused = refused_open(state->dir)) != NULL &&
	    (k->records = records_new(state->installations)) != NULL &&
	    (k->secrets = secrets_new()) != NULL &&
	    (k->journal = journal_open(state->journal, journal)) != NULL) {
		k->state = state;
		k->changed = true;
		return (k);
	}
	log_errno(LOG_LEVEL_ERROR, "kept requests cannot be read", "state_dir", state->path, NULL);
	kept_free(k);
	return (NULL);
}

void
kept_free(struct kept *k)
{
	if (k == NULL)
		return;
	free(k->ids);
	journal_close(k->journal);
	secrets_free(k->secrets);
	records_free(k->records);
	refused_close(k->refused);
	free(k);
}

/*
 * Whether a record was replaced, or a request kept, since the last pass began: both change the time of their
 * directory. A time that is not settled can hide a further change.
 */
static bool
is_news(struct kept *k)
{
	const int dirs[2] = { k->state->installations, refused_dir(k->refused) };
	bool news = k->changed;
	struct stat st;

	k->changed = false;
	for (size_t i = 0; i < 2; i++) {
		if (fstat(dirs[i], &st)) {
			news = k->changed = true;
			continue;
		}
		if (!stat_same(&st, &k->seen[i]))
			news = true;
		if (news && !stat_settled(&st))
			k->changed = true;
		k->seen[i] = st;
	}
	return (news);
}

/* Begin a pass over all. Returns whether there is anything to do. */
static bool
begin(struct kept *k)
{
	if (!is_news(k))
		return (false);
	free(k->ids);
	k->at = 0;
	if ((k->ids = refused_list(k->refused, &k->n)) == NULL) {
		log_errno(LOG_LEVEL_ERROR, "kept requests cannot be listed", "state_dir",
		    k->state->path, NULL);
		k->changed = true;
	}
	return (k->n > 0);
}

bool
kept_run(struct kept *k, const struct conf *conf, unsigned *accepted)
{
	const struct accepting a = {
		.authority = { conf, k->secrets, k->records, k->state },
		.journal = k->journal,
		.refused = k->refused,
	};
	size_t n;
	int result;

	*accepted = 0;
	if (k->at == k->n && !begin(k))
		return (false);
	n = k->n - k->at < AT_ONCE ? k->n - k->at : AT_ONCE;
	if (state_has_room(k->state, conf->min_free) ||
	    (result = accept_kept(&a, (const char(*)[REFUSED_ID_SIZE])(k->ids + k->at), n)) == -1) {
		log_errno(LOG_LEVEL_ERROR, "kept requests not accepted", "state_dir",
		    k->state->path, NULL);
		k->at = k->n = 0;
		k->changed = true;
		return (false);
	}
	k->at += n;
	*accepted = (unsigned)result;
	return (k->at < k->n);
}
