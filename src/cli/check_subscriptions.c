#include "cli/check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "store/installation.h"
#include "store/installations.h"

/* How many failures are shown one by one. */
enum { SHOWN = 10, PATH_SIZE = 4096 + 32 };

struct looking {
	struct checklist *list;
	unsigned failed;
};

static int
look_at(void *user, const char *file, struct installation *i)
{
	struct looking *k = user;

	(void)file;
	if (i && i->status == INSTALLATION_ACTIVE && i->subscription_errors && ++k->failed <= SHOWN)
		checklist_bad(k->list, "subscriptions",
		    "The worker tries again. \"fluidhook subscribe "
		    "INSTALLATION\" tries now; without them, Fluid delivers nothing for these events.",
		    "%s: %s", i->record, i->subscription_errors);
	installation_free(i);
	return (0);
}

void
check_subscriptions(struct checklist *l, const struct conf *conf)
{
	struct looking k = { .list = l };
	char path[PATH_SIZE];
	int dir;

	snprintf(path, sizeof(path), "%s/installations", conf->state_dir);
	/* Whether the records can be read is another check's concern. */
	if ((dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) == -1)
		return;
	installations_each(dir, look_at, &k);
	close(dir);
	if (k.failed > SHOWN)
		checklist_bad(l, "subscriptions",
		    "\"fluidhook list\" and \"fluidhook show INSTALLATION\" show "
		    "them.",
		    "and of %u more installations", k.failed - SHOWN);
	else if (k.failed == 0 && conf->n_subscribe)
		checklist_good(l, "subscriptions", "none has failed");
}
