#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/owner.h"

static void
store_free(struct store *s)
{
	refused_close(s->refused);
	receivers_leave(&s->note);
	journal_close(s->journal);
	records_free(s->records);
	state_close(s->state);
	free(s);
}

struct store *
store_open(const char *path)
{
	struct store *s = calloc(1, sizeof(*s));
	char why[STATE_WHY_SIZE], journal[STATE_WHY_SIZE];
	int saved;

	if (s == NULL)
		return (NULL);
	s->note.fd = -1;
	snprintf(journal, sizeof(journal), "%s/%s", path, layout_path(LAYOUT_JOURNAL));
	/* Files that root writes would lock out the receiver that runs as the owner. */
	if (owner_become(path)) {
		saved = errno;
		log_errno(LOG_LEVEL_ERROR, "state directory cannot be used", "state_dir", path,
		    NULL);
		goto err;
	}
	if ((s->state = state_open(path, why)) == NULL) {
		saved = errno;
		log_line(LOG_LEVEL_ERROR, "state directory cannot be used", "error", why, NULL);
		goto err;
	}
	if ((s->records = records_new(s->state->installations)) == NULL ||
	    (s->journal = journal_open(s->state->journal, journal)) == NULL ||
	    (s->refused = refused_open(s->state->dir)) == NULL) {
		saved = errno;
		log_errno(LOG_LEVEL_ERROR, "state directory cannot be used", NULL);
		goto err;
	}
	s->users = 1;
	return (s);

err:
	store_free(s);
	errno = saved;
	return (NULL);
}

struct store *
store_hold(struct store *s)
{
	atomic_fetch_add(&s->users, 1);
	return (s);
}

void
store_release(struct store *s)
{
	if (s && atomic_fetch_sub(&s->users, 1) == 1)
		store_free(s);
}
