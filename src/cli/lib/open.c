#include "cli/lib/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/owner.h"
#include "store/seal.h"

struct conf *
cli_conf(const char *conf_file)
{
	char *file = conf_find(conf_file);
	struct buf errors = { 0 };
	struct conf *conf = file ? conf_load(file, &errors) : NULL;

	if (conf == NULL) {
		fputs(errors.data ? errors.data : "fluidhook: out of memory\n", stderr);
		if (file && access(file, F_OK) && errno == ENOENT)
			fputs("\"fluidhook init\" makes a configuration; -c FILE names another.\n",
			    stderr);
	}
	buf_free(&errors);
	free(file);
	if (conf)
		seal_use(conf->seal_key);
	return (conf);
}

int
cli_become_owner(const struct conf *conf)
{
	return (cli_become_owner_of(conf->state_dir));
}

int
cli_become_owner_of(const char *path)
{
	if (owner_become(path) == 0)
		return (0);
	if (errno == ENOENT)
		cli_fail("%s: %s; \"fluidhook init\" makes the state directory", path,
		    strerror(errno));
	else
		cli_fail("cannot become the owner of %s: %s", path, strerror(errno));
	return (-1);
}

/* Nobody but the owner gets in (and root, who has become the owner): say who that is, if it is not us. */
static void
say_cannot_open(const struct conf *conf, const char *name)
{
	int saved = errno;
	const struct passwd *pw;
	struct stat st;

	if (saved == ENOENT && name) {
		cli_fail("%s/%s is missing; put it back, or run \"fluidhook repair\"",
		    conf->state_dir, name);
	} else if (saved == EACCES && stat(conf->state_dir, &st) == 0 && st.st_uid != geteuid()) {
		if ((pw = getpwuid(st.st_uid)) != NULL)
			cli_fail("%s%s%s: %s; it belongs to %s: try \"sudo -u %s fluidhook ...\"",
			    conf->state_dir, name ? "/" : "", name ? name : "", strerror(saved),
			    pw->pw_name, pw->pw_name);
		else
			cli_fail(
			    "%s%s%s: %s; it belongs to user %lu, who has no name here: try \"sudo -u '#%lu' "
			    "fluidhook ...\" or \"docker exec --user %lu\"",
			    conf->state_dir, name ? "/" : "", name ? name : "", strerror(saved),
			    (unsigned long)st.st_uid, (unsigned long)st.st_uid,
			    (unsigned long)st.st_uid);
	} else {
		cli_fail("%s%s%s: %s", conf->state_dir, name ? "/" : "", name ? name : "",
		    strerror(saved));
	}
}

int
cli_directory(const struct conf *conf, const char *name)
{
	char why[STATE_WHY_SIZE];
	int top, fd;

	if (state_is_marked(conf->state_dir, why) && errno != EACCES) {
		cli_fail("%s", why);
		return (-1);
	}
	if ((top = open(conf->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) == -1) {
		say_cannot_open(conf, NULL);
		return (-1);
	}
	if ((fd = openat(top, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) == -1)
		say_cannot_open(conf, name);
	close(top);
	return (fd);
}

struct state *
cli_state(const struct conf *conf)
{
	char why[STATE_WHY_SIZE];
	struct state *s;

	umask(077);
	if (cli_become_owner(conf))
		return (NULL);
	if ((s = state_open(conf->state_dir, why)) != NULL)
		return (s);
	if (errno == EACCES)
		say_cannot_open(conf, NULL);
	else
		cli_fail("%s", why);
	return (NULL);
}

int
cli_open(struct cli *c)
{
	const unsigned flags = c->command->flags;

	if ((flags & COMMAND_CONF) && (c->conf = cli_conf(c->conf_file)) == NULL)
		return (CLI_USAGE);
	if ((flags & COMMAND_STATE) == COMMAND_STATE)
		return ((c->state = cli_state(c->conf)) ? CLI_DONE : CLI_FAILED);
	if ((flags & COMMAND_OWNER) == COMMAND_OWNER && cli_become_owner(c->conf))
		return (CLI_FAILED);
	return (CLI_DONE);
}

void
cli_close(struct cli *c)
{
	state_close(c->state);
	conf_free(c->conf);
	free(c->options);
	c->state = NULL;
	c->conf = NULL;
	c->options = NULL;
}
