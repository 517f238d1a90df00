#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/timefmt.h"
#include "cli/check.h"
#include "store/layout.h"
#include "store/refused.h"
#include "worker/position.h"
#include "worker/unread.h"

/*
 * What waits to be handed on, and whether a worker does it: the journal behind the worker's position, and the queue.
 */

/* What waits longer than this without a worker waits in vain (contract section 5). */
enum { LATE_SECONDS = 5 * 60, SHOWN = 10 };

#define START \
	"Start the worker: \"systemctl enable --now fluidhook-worker\", or \"fluidhook work --once\" from " \
	"cron every\nminute, or \"fluidhook work\" as a service of your own."

struct looking {
	struct checklist *list;
	const struct conf *conf;
	struct queue *queue;
	int top, dir, journal;
	bool worked; /* a worker runs */
	bool never;  /* none ever did */
	unsigned long unread;
	int64_t oldest;         /* of these; INT64_MAX: not known */
	unsigned unreadable;    /* files of the journal */
	unsigned waiting, late; /* items that wait, and of these, that are due for a while */
	unsigned given_up;
	bool dead; /* dead letters are read now */
	unsigned damaged;
};

static void
on_unread(void *user, const struct unread *file)
{
	struct looking *k = user;

	/* What is under way is nothing to complain about: a hook has it, or another one of its installation. */
	k->unread += file->lines;
	if (file->oldest < k->oldest)
		k->oldest = file->oldest;
	if (file->error == 0)
		return;
	k->unreadable++;
	checklist_bad(k->list, "journal",
	    "Its deliveries wait: put the file back, or make it readable for its owner.",
	    "%s/journal/%s: %s", k->conf->state_dir, file->name, follow_problem(file->error));
}

static void
check_journal(struct looking *k)
{
	if (unread_each(k->journal, k->queue, on_unread, k) == 0) {
		if (k->unreadable == 0)
			checklist_good(k->list, "journal", "all of its files can be read");
		return;
	}
	if (errno == EBADMSG)
		checklist_bad(k->list, "journal",
		    "The next worker reads the journal from its beginning; what was "
		    "dealt with does not run again.",
		    "%s/queue/position.json: damaged", k->conf->state_dir);
	else
		checklist_bad(k->list, "journal", "Its owner has to be able to read it.",
		    "%s/journal: %s", k->conf->state_dir, strerror(errno));
}

/* "5 deliveries are unread, the first since 2026-11-23T08:30:50Z" */
static void
say_unread(const struct looking *k, char *out, size_t size)
{
	char since[TIMEFMT_SECONDS_SIZE];
	int n;

	n = snprintf(out, size, "%lu deliver%s unread", k->unread,
	    k->unread == 1 ? "y is" : "ies are");
	if (k->oldest == INT64_MAX || n < 0 || (size_t)n >= size)
		return;
	timefmt_seconds(since, k->oldest);
	snprintf(out + n, size - (size_t)n, "%s since %s", k->unread == 1 ? "" : ", the first",
	    since);
}

/* While all hooks that may run at once do, a worker reads on only when one of them ends. */
static bool
is_late(const struct looking *k)
{
	int64_t limit = LATE_SECONDS + (k->worked ? (int64_t)k->conf->hook_timeout : 0);

	return (k->unread && (k->oldest == INT64_MAX || (int64_t)time(NULL) - k->oldest > limit));
}

static void
check_worker(struct looking *k, unsigned pending)
{
	char unread[128];

	say_unread(k, unread, sizeof(unread));
	if (k->worked && is_late(k))
		checklist_bad(k->list, "worker", "Its log says why. Restart it.", "runs, but %s",
		    unread);
	else if (k->worked)
		checklist_good(k->list, "worker", "runs");
	else if (k->unread && k->never)
		checklist_bad(k->list, "worker", START, "never ran, and %s", unread);
	else if (is_late(k))
		checklist_bad(k->list, "worker", START, "does not run, and %s", unread);
	else if (pending)
		checklist_bad(k->list, "worker", START "\nTheir tokens expire within minutes.",
		    "does not run, and %u installation%s for credentials", pending,
		    pending == 1 ? " waits" : "s wait");
	else if (k->late)
		checklist_bad(k->list, "worker", START,
		    "does not run, and %u deliver%s due for more than 5 minutes", k->late,
		    k->late == 1 ? "y is" : "ies are");
	else if (k->unread)
		checklist_good(k->list, "worker", "does not run now; %s", unread);
	else
		checklist_good(k->list, "worker", "does not run now; nothing waits for it");
}

static void
on_damaged(void *user, const char *name, int error)
{
	struct looking *k = user;

	if (++k->damaged > SHOWN)
		return;
	checklist_bad(k->list, "queue",
	    "The file's name is that of the delivery, which the journal still has: "
	    "\"fluidhook delivery UUID\".\nPut the file back from a backup, or remove it: then nothing runs for this "
	    "delivery.",
	    "%s/%s/%s: %s", k->conf->state_dir, layout_path(k->dead ? LAYOUT_DEAD : LAYOUT_WAITING),
	    name, error == EBADMSG ? "damaged" : strerror(error));
}

/* Read what waits and what was given up. Returns 0, or -1 with errno set. */
static int
read_items(struct looking *k)
{
	int64_t late = queue_clock() - LATE_SECONDS;
	struct queue_item *items = queue_items_and(k->queue, false, &k->waiting, on_damaged, k);

	if (items == NULL && k->waiting)
		return (-1);
	for (unsigned i = 0; i < k->waiting; i++)
		if (!items[i].for_credentials && items[i].next < late)
			k->late++;
	free(items);
	k->dead = true;
	items = queue_items_and(k->queue, true, &k->given_up, on_damaged, k);
	if (items == NULL && k->given_up)
		return (-1);
	free(items);
	return (0);
}

static void
check_items(struct looking *k)
{
	if (read_items(k)) {
		checklist_bad(k->list, "queue", "Its owner needs all rights on it.", "%s/%s: %s",
		    k->conf->state_dir, layout_path(k->dead ? LAYOUT_DEAD : LAYOUT_WAITING),
		    strerror(errno));
		return;
	}
	if (k->damaged > SHOWN)
		checklist_bad(k->list, "queue", "\"fluidhook queue\" names them all.",
		    "%u more items are damaged", k->damaged - SHOWN);
	if (k->given_up)
		checklist_bad(k->list, "queue",
		    "\"fluidhook queue --dead\" says what failed. After that is mended, "
		    "\"fluidhook retry\" runs\nthem again.",
		    "%u deliver%s given up", k->given_up, k->given_up == 1 ? "y was" : "ies were");
	else if (k->damaged == 0)
		checklist_good(k->list, "queue", "%u deliver%s for another try; none was given up",
		    k->waiting, k->waiting == 1 ? "y waits" : "ies wait");
}

/* Requests for an installation whose key is not there yet: nothing is lost as long as they are kept. */
static void
check_refused(struct looking *k)
{
	struct refused_store *s = refused_open(k->top);
	char(*ids)[REFUSED_ID_SIZE];
	struct buf texts = { 0 }, file = { 0 };
	struct refused r;
	size_t n = 0, keyless = 0;

	/* A directory that is missing has a line of its own. */
	if (s == NULL)
		return;
	if ((ids = refused_list(s, &n)) == NULL && errno)
		checklist_bad(k->list, "refused", "Its owner needs all rights on it.",
		    "%s/refused: %s", k->conf->state_dir, strerror(errno));
	for (size_t i = 0; ids && i < n; i++) {
		buf_reset(&texts);
		buf_reset(&file);
		if (refused_read(s, ids[i], &r, &texts, &file) == 0 && r.status == 503)
			keyless++;
	}
	if (keyless)
		checklist_note(k->list, "refused",
		    "The worker accepts them once the key is there. \"fluidhook list\" "
		    "shows installations that are pending or failed.",
		    "%zu kept request%s for the key of %s installation", keyless,
		    keyless == 1 ? " waits" : "s wait", keyless == 1 ? "its" : "their");
	free(ids);
	buf_wipe(&texts);
	buf_wipe(&file);
	refused_close(s);
}

void
check_queue(struct checklist *l, const struct conf *conf, int top, unsigned pending)
{
	struct looking k = { .list = l, .conf = conf, .top = top, .oldest = INT64_MAX };

	k.dir = layout_open(top, LAYOUT_QUEUE);
	k.journal = layout_open(top, LAYOUT_JOURNAL);
	/* Directories that are missing have lines of their own. */
	if (k.dir != -1 && k.journal != -1 && (k.queue = queue_open(k.dir, false)) != NULL) {
		k.worked = queue_has_worker(k.queue);
		k.never = position_is_new(k.dir);
		check_journal(&k);
		check_items(&k);
		check_worker(&k, pending);
		check_refused(&k);
	}
	queue_close(k.queue);
	if (k.dir != -1)
		close(k.dir);
	if (k.journal != -1)
		close(k.journal);
}
