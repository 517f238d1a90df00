#include "cli/lib/installation_arg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/lib/cli.h"
#include "store/index.h"
#include "store/installations.h"

/* Shops with more installations than this are looked through only so far. */
enum { LOOK_MAX = 10000, NAMED_MAX = 8 };

struct looking {
	const struct conf *conf;
	const char *shop;
	int installations;
	bool failed;               /* something cannot be read, which was said */
	struct installation *only; /* the only one so far, or the only active one */
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

/* One installation of the shop. Takes `i` over. */
static void
add(struct looking *l, struct installation *i)
{
	l->all++;
	if (l->all <= NAMED_MAX)
		buf_addf(&l->names, "\n  %s  %s", i->record, installation_status_name(i->status));
	if (i->status == INSTALLATION_ACTIVE)
		l->active++;
	if ((i->status == INSTALLATION_ACTIVE && l->active == 1) || l->only == NULL) {
		installation_free(l->only);
		l->only = i;
	} else {
		installation_free(i);
	}
}

static void
cannot_read(struct looking *l, const char *file)
{
	cli_fail("%s/installations/%s: %s", l->conf->state_dir, file, installation_problem(errno));
	l->failed = true;
}

static int
look_at(void *user, const char *record)
{
	struct looking *l = user;
	struct installation *i = installation_load(l->installations, record);
	char file[NAME_SIZE + 8];

	if (i) {
		add(l, i);
	} else if (errno != ENOENT) {
		snprintf(file, sizeof(file), "%s.json", record);
		cannot_read(l, file);
	}
	return (0);
}

static int
look_at_any(void *user, const char *file, struct installation *i)
{
	struct looking *l = user;
	char shop[NAME_SIZE];

	if (i == NULL)
		cannot_read(l, file);
	else if (i->fluid_shop && name_of_shop(shop, i->fluid_shop, strlen(i->fluid_shop)) == 0 &&
	    strcmp(shop, l->shop) == 0)
		add(l, i);
	else
		installation_free(i);
	return (0);
}

/* The installation of a shop. NULL after saying what is wrong. */
static struct installation *
of_shop(const struct conf *conf, int installations, const char *word, const char *shop)
{
	struct looking l = { .conf = conf, .shop = shop, .installations = installations };
	int shops = cli_directory(conf, "shops");

	if (shops == -1)
		return (NULL);
	if (index_each(shops, shop, LOOK_MAX, look_at, &l)) {
		cli_fail("%s/shops/%s: %s", conf->state_dir, shop, strerror(errno));
		l.failed = true;
	}
	close(shops);
	/* The index has none that are over. */
	if (l.all == 0 && !l.failed && installations_each(installations, look_at_any, &l)) {
		cli_fail("%s/installations: %s", conf->state_dir, strerror(errno));
		l.failed = true;
	}
	if (l.all == 0 && !l.failed)
		cli_fail(
		    "%s: no installation and no shop of that name (\"fluidhook list\" shows all)",
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
	int dir = cli_directory(conf, "installations");
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
