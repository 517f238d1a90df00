#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "cli/lib/cli.h"
#include "cli/commands.h"
#include "cli/lib/secret_file.h"
#include "config.h"
#include "store/durable.h"
#include "store/seal.h"
#include "store/state.h"

/* The first set-up: state directory, configuration, secrets. Nothing that is there is changed. */

/* The user that a web server's programs have: on Debian, Fedora (two), Arch and Alpine. */
static const char *const web_users[] = { "www-data", "nginx", "apache", "http" };

/* Where the unit of the receiver can be installed, the one that counts first. */
static const char *const unit_directories[] = { "/etc/systemd/system",
	"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system" };

static const char template[] =
    "; fluidhook: man 5 fluidhook.conf. Lines that begin with ; show the defaults.\n"
    "\n"
    "state_dir         = %s\n"
    ";max_body         = 1M        ; larger bodies: 413\n"
    ";tolerance        = 300       ; seconds a signed timestamp may be away from now\n"
    ";legacy_tokens    = yes       ; accept a bare token where no signature was sent\n"
    ";unsigned_installs = refuse   ; or confirm: ask Fluid whether an unsigned install is genuine\n"
    "%s"
    ";min_free         = 16M       ; below this much free disk deliveries get 503\n"
    ";log              = stderr    ; or syslog, or a file\n"
    ";log_level        = info      ; error, warn, info or debug\n"
    "\n"
    "[droplet]\n"
    ";uuid             = drp_...   ; yours; with it, installs of other droplets are refused\n"
    "secrets           = %s\n"
    "\n"
    "[fluid]\n"
    ";api              = https://api.fluid.app\n"
    ";webhooks         = https://fluid.app/api/webhooks https://api.fluid.app/api/company/webhooks\n"
    "company_token     = %s   ; file; or $FLUID_COMPANY_TOKEN\n"
    ";timeout          = 20\n"
    ";ca_file          =\n"
    "\n"
    "[worker]\n"
    "hooks             = %s\n"
    ";attempts         = 12\n"
    ";hook_timeout     = 60\n"
    ";concurrency      = 4\n"
    ";public_url       =           ; with subscribe: where Fluid shall deliver\n"
    ";subscribe        =           ; e.g. order.created subscription.started\n";

static const char seal_line[] =
    "seal_key          = seal.key  ; credentials are stored encrypted under it: back it up elsewhere\n";
static const char no_seal_line[] =
    ";seal_key         =           ; a file with a key: credentials are stored encrypted (init --seal)\n";

struct setup {
	char conf[PATH_MAX], directory[PATH_MAX], state[PATH_MAX];
	struct conf *existing; /* the configuration, if there is one already */
	bool seal;             /* a key for stored credentials is made, too */
	uid_t uid;
	gid_t gid;
};

/* The user that the installed unit names. Returns whether there is one. */
static bool
user_of_unit(char *user, size_t size)
{
	char path[PATH_MAX], line[256];
	bool found = false;
	FILE *fp;

	for (size_t i = 0; !found && i < sizeof(unit_directories) / sizeof(unit_directories[0]);
	     i++) {
		snprintf(path, sizeof(path), "%s/fluidhook.service", unit_directories[i]);
		if ((fp = fopen(path, "re")) == NULL)
			continue;
		while (fgets(line, sizeof(line), fp))
			if (strncmp(line, "User=", 5) == 0) {
				snprintf(user, size, "%.*s", (int)strcspn(line + 5, " \t\r\n"),
				    line + 5);
				found = *user != '\0';
			}
		fclose(fp);
	}
	return (found);
}

/* As root, if no user is named: the unit's, else the web server's. Returns 0, or -1 after saying what is wrong. */
static int
default_user(char *user, size_t size)
{
	if (user_of_unit(user, size)) {
		if (getpwnam(user))
			return (0);
		cli_fail(
		    "the unit fluidhook.service runs as %s, and there is no such user: make it (useradd "
		    "--system %s), or name another with --user",
		    user, user);
		return (-1);
	}
	for (size_t i = 0; i < sizeof(web_users) / sizeof(web_users[0]); i++)
		if (getpwnam(web_users[i])) {
			snprintf(user, size, "%s", web_users[i]);
			return (0);
		}
	cli_fail(
	    "there is no user of a web server here (www-data, nginx, apache, http): name the receiver's user "
	    "with --user");
	return (-1);
}

/* Whether a directory is in a git work tree. One that does not exist yet is, if its parent is. */
static bool
is_in_git(const char *directory)
{
	char path[PATH_MAX + 40], real[PATH_MAX], git[PATH_MAX + 48], *slash;
	bool found = false;

	snprintf(path, sizeof(path), "%s", directory);
	while (
	    realpath(path, real) == NULL && (slash = strrchr(path, '/')) != NULL && slash != path)
		*slash = '\0';
	if (realpath(path, real))
		memcpy(path, real, sizeof(real));
	while (!found && *path == '/') {
		snprintf(git, sizeof(git), "%s/.git", path);
		found = access(git, F_OK) == 0;
		if ((slash = strrchr(path, '/')) != NULL)
			*slash = '\0';
	}
	return (found);
}

/* What is a link to nothing cannot be made: the programs would not find it. */
static int
say_link(const char *path)
{
	return (cli_fail(
	    "%s: a link to a file that does not exist; create that file first, or remove the link",
	    path));
}

static bool
is_dangling(const char *path)
{
	struct stat st;

	return (lstat(path, &st) == 0 && S_ISLNK(st.st_mode) && stat(path, &st) != 0);
}

/* Whose it shall be. Who has no entry in the user database has no home directory: *home is NULL then. */
static int
find_user(struct setup *s, const char *user, const char **home)
{
	bool named = user || geteuid() == 0;
	const struct passwd *pw;
	char other[64];

	if (named && user == NULL) {
		if (default_user(other, sizeof(other)))
			return (CLI_FAILED);
		user = other;
	}
	pw = named ? getpwnam(user) : getpwuid(geteuid());
	if (named && pw == NULL)
		return (cli_fail("--user: no user \"%s\"", user));
	*home = pw ? pw->pw_dir : NULL;
	s->uid = pw ? pw->pw_uid : geteuid();
	s->gid = pw ? pw->pw_gid : getegid();
	if (geteuid() != 0 && s->uid != geteuid())
		return (cli_fail("--user: only root can set up for another user"));
	return (CLI_DONE);
}

/* What the configuration can say in one value: a blank and a semicolon begin a remark there. */
static bool
can_be_value(const char *path)
{
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f ||
		    (*p == ' ' && (p[1] == ';' || p[1] == '\0')))
			return (false);
	return (true);
}

/* Where things go: into the system as root, else below the home directory. */
static int
find_places(struct setup *s, const struct cli *c, const char *state_dir, const char *user)
{
	const char *env = getenv("FLUIDHOOK_CONF"), *home = NULL;
	const char *file = c->conf_file ? c->conf_file : env && *env ? env : NULL;
	bool root = geteuid() == 0;

	if (find_user(s, user, &home))
		return (CLI_FAILED);
	if (!root && home == NULL && (file == NULL || state_dir == NULL))
		return (cli_fail(
		    "user %lu has no home directory: say where with -c FILE and --state-dir DIR",
		    (unsigned long)geteuid()));
	if (file)
		snprintf(s->conf, sizeof(s->conf), "%s%s", strchr(file, '/') ? "" : "./", file);
	else
		snprintf(s->conf, sizeof(s->conf), "%s/fluidhook/fluidhook.conf",
		    root ? SYSCONFDIR : home);
	snprintf(s->directory, sizeof(s->directory), "%.*s", (int)(strrchr(s->conf, '/') - s->conf),
	    s->conf);
	if (*s->directory == '\0')
		memcpy(s->directory, "/", sizeof("/"));
	if (state_dir)
		snprintf(s->state, sizeof(s->state), "%s", state_dir);
	else if (root)
		snprintf(s->state, sizeof(s->state), "%s", DEFAULT_STATE_DIR);
	else
		snprintf(s->state, sizeof(s->state), "%s/fluidhook/state", home);
	if (*s->state != '/')
		return (cli_fail("--state-dir: \"%s\" has to be an absolute path", s->state));
	if (!can_be_value(s->state))
		return (cli_fail(
		    "--state-dir: a control character, \" ;\" or a blank at the end cannot be "
		    "part of it"));
	return (CLI_DONE);
}

/* What an existing configuration names is what the programs use: so it is made, and nothing else. */
static int
read_existing(struct setup *s, const char *state_dir)
{
	if (is_dangling(s->conf))
		return (say_link(s->conf));
	if (access(s->conf, F_OK))
		return (errno == ENOENT ? CLI_DONE : cli_fail("%s: %s", s->conf, strerror(errno)));
	if ((s->existing = cli_conf(s->conf)) == NULL)
		return (CLI_USAGE);
	if (state_dir && strcmp(state_dir, s->existing->state_dir) != 0)
		return (cli_fail("--state-dir: %s says state_dir = %s; change it there", s->conf,
		    s->existing->state_dir));
	snprintf(s->state, sizeof(s->state), "%s", s->existing->state_dir);
	return (CLI_DONE);
}

/* Make a directory, unless it is there. Its owner is the receiver's user where `owned`. */
static int
make_dir(const struct setup *s, const char *path, mode_t mode, bool owned)
{
	struct stat st;

	if (stat(path, &st) == 0) {
		if (!S_ISDIR(st.st_mode))
			return (cli_fail("%s: not a directory; move it away, or name another place",
			    path));
		printf("kept  %s\n", path);
		return (CLI_DONE);
	}
	if (is_dangling(path))
		return (say_link(path));
	if (mkdir(path, mode))
		return (cli_fail("%s: %s", path,
		    errno != ENOENT ? strerror(errno) :
				      "its parent directory does not exist; create that first"));
	if (chmod(path, mode) || (owned && geteuid() == 0 && lchown(path, s->uid, s->gid)))
		return (cli_fail("%s: %s", path, strerror(errno)));
	printf("made  %s\n", path);
	return (CLI_DONE);
}

/* Write a file, unless it is there: then it stays as it is. */
static int
make_file(const char *path, const char *text, mode_t mode, gid_t gid)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

	if (fd == -1 && errno == EEXIST && is_dangling(path))
		return (say_link(path));
	if (fd == -1 && errno == EEXIST) {
		printf("kept  %s\n", path);
		return (CLI_DONE);
	}
	if (fd == -1)
		return (cli_fail("%s: %s", path, strerror(errno)));
	if ((geteuid() == 0 && fchown(fd, (uid_t)-1, gid)) || fchmod(fd, mode) ||
	    file_write_all(fd, text, strlen(text)) || fsync(fd) || close(fd)) {
		cli_fail("%s: %s", path, strerror(errno));
		unlink(path);
		return (CLI_FAILED);
	}
	printf("made  %s\n", path);
	return (CLI_DONE);
}

static int
make_secrets(const struct setup *s, const char *path)
{
	char text[FRESH_SECRET_SIZE + 1];
	int status;

	if (secret_fresh(text))
		return (cli_fail("no random bytes: %s", strerror(errno)));
	text[FRESH_SECRET_SIZE - 1] = '\n';
	text[FRESH_SECRET_SIZE] = '\0';
	status = make_file(path, text, 0640, s->gid);
	explicit_bzero(text, sizeof(text));
	return (status);
}

static int
make_conf(const struct setup *s)
{
	char hooks[PATH_MAX];
	char *text;
	int status;

	if (s->existing) {
		printf("kept  %s\n", s->conf);
		return (CLI_DONE);
	}
	if (snprintf(hooks, sizeof(hooks), "%s/hooks", s->directory) >= (int)sizeof(hooks) ||
	    asprintf(&text, template, s->state, s->seal ? seal_line : no_seal_line,
		"droplet.secrets", "company.token", "hooks") == -1)
		return (cli_fail("out of memory"));
	status = make_file(s->conf, text, 0644, (gid_t)-1);
	free(text);
	if (status == CLI_DONE)
		status = make_dir(s, hooks, 0755, false);
	return (status);
}

static void
print_made(void *user, const char *name)
{
	const struct setup *s = user;

	printf("made  %s/%s\n", s->state, name);
}

/* Make it a state directory, as its owner: what root makes, the receiver could not use. */
static int
make_state(struct setup *s)
{
	char why[STATE_WHY_SIZE];

	/* What was printed until now must not be printed by somebody else once more. */
	fflush(stdout);
	if (cli_become_owner_of(s->state))
		return (CLI_FAILED);
	umask(077);
	return (state_init(s->state, print_made, s, why) ? cli_fail("%s", why) : CLI_DONE);
}

/* The secrets: where an existing configuration wants them, else beside the new one. */
static int
make_all_secrets(const struct setup *s)
{
	char secrets[PATH_MAX + 32];

	if (s->existing == NULL) {
		snprintf(secrets, sizeof(secrets), "%s/droplet.secrets", s->directory);
		return (make_secrets(s, secrets));
	}
	for (size_t i = 0; i < s->existing->n_droplets; i++)
		if (s->existing->droplets[i].secrets &&
		    make_secrets(s, s->existing->droplets[i].secrets))
			return (CLI_FAILED);
	return (CLI_DONE);
}

/* A file of secrets that is about to be made in a git work tree is refused. */
static int
check_git(const struct setup *s)
{
	size_t n = s->existing ? s->existing->n_droplets : 1;
	char path[PATH_MAX + 32], *slash;

	for (size_t i = 0; i < n; i++) {
		if (s->existing == NULL)
			snprintf(path, sizeof(path), "%s/droplet.secrets", s->directory);
		else if (s->existing->droplets[i].secrets)
			snprintf(path, sizeof(path), "%s", s->existing->droplets[i].secrets);
		else
			continue;
		if (access(path, F_OK) == 0 || (slash = strrchr(path, '/')) == NULL)
			continue;
		*slash = '\0';
		if (is_in_git(*path ? path : "/"))
			return (cli_fail(
			    "%s is in a git work tree, where secrets get committed: choose another "
			    "place with -c FILE, or use --force and add %s to .gitignore",
			    path, slash + 1));
	}
	return (CLI_DONE);
}

/* The key that credentials are sealed under (store/seal.h). */
static int
make_seal_key(const struct setup *s)
{
	char path[PATH_MAX + 32];
	struct buf text = { 0 };
	int status;

	if (!s->seal)
		return (CLI_DONE);
	if (s->existing)
		snprintf(path, sizeof(path), "%s", s->existing->seal_key);
	else
		snprintf(path, sizeof(path), "%s/seal.key", s->directory);
	buf_reserve(&text, 2 * SEAL_KEY_SIZE + 1);
	random_add_hex(&text, SEAL_KEY_SIZE);
	buf_addc(&text, '\n');
	status = text.failed ? cli_fail("out of memory") : make_file(path, text.data, 0640, s->gid);
	buf_wipe(&text);
	if (status == CLI_DONE)
		printf(
		    "      Keep a copy of %s away from this machine and from its backups. Without it\n"
		    "      every stored token is lost, and whoever has it can read them.\n",
		    path);
	return (status);
}

static int
init(struct setup *s)
{
	if (s->seal && s->existing && s->existing->seal_key == NULL)
		return (cli_fail(
		    "--seal: %s names no seal_key; add \"seal_key = seal.key\" above its first "
		    "section, and run this again",
		    s->conf));
	if (make_dir(s, s->directory, 0755, false) || make_dir(s, s->state, 0700, true) ||
	    make_all_secrets(s) || make_seal_key(s) || make_conf(s) || make_state(s))
		return (CLI_FAILED);
	printf(
	    "\nNext:\n"
	    "  1. Mount the receiver in your web server: README, \"Behind your nginx\" and \"Behind your Apache\"\n"
	    "  2. Put your company's API token into %s/company.token (mode 0600)\n"
	    "  3. fluidhook -c %s check\n"
	    "  4. fluidhook -c %s register https://YOUR.SITE/webhook\n"
	    "     If Fluid gave your droplet a webhook secret instead: fluidhook -c %s secret add FILE\n"
	    "  5. fluidhook -c %s doctor https://YOUR.SITE/webhook\n"
	    "  6. fluidhook -c %s work, as a service: it exchanges tokens and runs your hooks in %s/hooks\n"
	    "  7. Install the droplet in a test company, then: fluidhook -c %s deliveries\n",
	    s->directory, s->conf, s->conf, s->conf, s->conf, s->conf, s->directory, s->conf);
	return (CLI_DONE);
}

struct init_options {
	const char *state_dir, *user;
	bool force, seal;
};

static const struct cli_option init_options[] = {
	CLI_VALUE(struct init_options, state_dir, "state-dir", '\0'),
	CLI_VALUE(struct init_options, user, "user", '\0'),
	CLI_FLAG(struct init_options, force, "force", '\0'),
	CLI_FLAG(struct init_options, seal, "seal", '\0'),
	CLI_END,
};

static int
run(struct cli *c)
{
	const struct init_options *o = c->options;
	struct setup s = { .seal = o->seal };
	int status;

	umask(022);
	if ((status = find_places(&s, c, o->state_dir, o->user)) == CLI_DONE &&
	    (status = read_existing(&s, o->state_dir)) == CLI_DONE)
		status = !o->force && check_git(&s) ? CLI_FAILED : init(&s);
	conf_free(s.existing);
	return (status);
}

const struct command init_command = {
	.name = "init",
	.args = "[--state-dir DIR] [--user NAME] [--seal] [--force]",
	.summary = "Make the state directory, a configuration and a first secret",
	.help =
	    "Never changes what is there: each file is made or kept. As root the configuration goes to\n" SYSCONFDIR
	    "/fluidhook and the state to " DEFAULT_STATE_DIR "; else both go below\n"
	    "~/fluidhook. -c FILE in front of the command puts the configuration elsewhere.\n"
	    "Where there is a configuration already, the state directory and the files of secrets that it\n"
	    "names are made. A directory that is missing in a state directory is not: see repair.\n"
	    "\n"
	    "      --state-dir DIR  an absolute path\n"
	    "      --user NAME      who the receiver runs as and the state belongs to (as root; default\n"
	    "                       the user of the installed fluidhook.service, else the web server's:\n"
	    "                       www-data, nginx, apache or http)\n"
	    "      --seal           also make a key: credentials are stored encrypted (seal_key)\n"
	    "      --force          also put secrets into a git work tree\n",
	.flags = COMMAND_CHANGES,
	.options = init_options,
	.options_size = sizeof(struct init_options),
	.run = run,
};
