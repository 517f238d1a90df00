#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/check.h"
#include "worker/unread.h"

/* Files of the journal that cannot be read: their deliveries wait, and nothing else says so. */

struct looking {
	struct checklist *list;
	const char *state_dir;
	unsigned bad;
};

static void
look_at(void *user, const char *name, unsigned long lines, int error)
{
	struct looking *k = user;

	(void)lines;
	if (error == 0)
		return;
	k->bad++;
	checklist_bad(k->list, "journal", "Its deliveries wait: put the file back, or make it readable for its owner.",
	    "%s/journal/%s: %s", k->state_dir, name, follow_problem(error));
}

void
check_journal(struct checklist *l, const char *state_dir, int top)
{
	struct looking k = { .list = l, .state_dir = state_dir };
	int journal = openat(top, "journal", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int dir = openat(top, "queue", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct queue *q = dir == -1 ? NULL : queue_open(dir, false);

	/* Missing directories have lines of their own. */
	if (journal != -1 && q) {
		if (unread_each(journal, q, look_at, &k))
			checklist_bad(l, "journal", errno == EBADMSG ? "The next worker reads the journal from its beginning; "
			    "what was dealt with does not run again." : "Its owner has to be able to read it.", "%s/%s: %s",
			    state_dir, errno == EBADMSG ? "queue/position.json" : "journal", errno == EBADMSG ?
			    "damaged" : strerror(errno));
		else if (k.bad == 0)
			checklist_good(l, "journal", "all of its files can be read");
	}
	queue_close(q);
	if (dir != -1)
		close(dir);
	if (journal != -1)
		close(journal);
}
