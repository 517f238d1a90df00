#include "cli/installation_arg.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "store/index.h"

/* Shops with more installations than this are looked through only so far. */
enum { LOOK_MAX = 10000, NAMED_MAX = 8 };

struct looking {
	const struct conf *conf;
	int installations;
	bool failed;			/* something cannot be read, which was said */
	struct installation *only;	/* the only one so far, or the only active one */
	unsigned active, all;
	struct buf names;
};

const char *
installation_problem(int error)
{
	if (error == EBADMSG)
		return ("damaged: it is no installation record");
	return (error == EINVAL ? "is no regular file" : strerror(error));
}

static int
look_at(void *user, const char *record)
{
	struct looking *l = user;
	struct installation *i = installation_load(l->installations, record);

	if (i == NULL) {
		if (errno != ENOENT) {
			cli_fail("%s/installations/%s.json: %s", l->conf->state_dir, record,
			    installation_problem(errno));
			l->failed = true;
		}
		return (0);
	}
	l->all++;
	if (l->all <= NAMED_MAX)
		buf_addf(&l->names, "\n  %s  %s", record, installation_status_name(i->status));
	if (i->status == INSTALLATION_ACTIVE)
		l->active++;
	if ((i->status == INSTALLATION_ACTIVE && l->active == 1) || l->only == NULL) {
		installation_free(l->only);
		l->only = i;
	} else {
		installation_free(i);
	}
	return (0);
}

/* The installation of a shop. NULL after saying what is wrong. */
static struct installation *
of_shop(const struct conf *conf, int installations, const char *word, const char *shop)
{
	struct looking l = { .conf = conf, .installations = installations };
	int shops = cli_folder(conf, "shops");

	if (shops == -1)
		return (NULL);
	if (index_each(shops, shop, LOOK_MAX, look_at, &l)) {
		cli_fail("%s/shops/%s: %s", conf->state_dir, shop, strerror(errno));
		l.failed = true;
	}
	close(shops);
	if (l.all == 0 && !l.failed)
		cli_fail("%s: no installation and no shop of that name (\"fluidhook list\" shows all)",
		    word);
	if (l.all > 1 && l.active != 1) {
		cli_fail("%s: several installations; name one of them:%s%s", word,
		    l.names.data ? l.names.data : "", l.all > NAMED_MAX ? "\n  ..." : "");
		installation_free(l.only);
		l.only = NULL;
	}
	buf_free(&l.names);
	return (l.only);
}

struct installation *
installation_arg(const struct conf *conf, const char *word)
{
	int dir = cli_folder(conf, "installations");
	struct installation *i = NULL;
	char shop[NAME_SIZE];

	if (dir == -1)
		return (NULL);
	if (!name_is_safe(word, strlen(word)))
		cli_fail("\"%s\" is neither an installation nor a shop", word);
	else if ((i = installation_load(dir, word)) == NULL && errno != ENOENT)
		cli_fail("%s/installations/%s.json: %s", conf->state_dir, word,
		    installation_problem(errno));
	else if (i == NULL && name_of_shop(shop, word, strlen(word)) == 0)
		i = of_shop(conf, dir, word, shop);
	close(dir);
	return (i);
}
