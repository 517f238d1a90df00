#include "cli/lib/secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/utf8.h"
#include "cli/lib/cli.h"
#include "store/durable.h"
#include "store/lock.h"

enum { FILE_MAX = 64 * 1024, FRESH_BYTES = 32 };

/* Longer than any edit takes. */
enum { LOCK_WAIT_SECRETS_MS = 10000 };

int
secret_fresh(char out[FRESH_SECRET_SIZE])
{
	unsigned char random[FRESH_BYTES];
	char *p = out;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		return (-1);
	p += snprintf(p, FRESH_SECRET_SIZE, "dws_");
	for (size_t i = 0; i < sizeof(random); i++)
		p += snprintf(p, 3, "%02x", random[i]);
	explicit_bzero(random, sizeof(random));
	return (0);
}

const struct conf_droplet *
secret_droplet(const struct conf *conf, const char *name)
{
	const struct conf_droplet *found = NULL;

	if (conf->n_droplets == 0) {
		cli_fail("%s: no [droplet] with \"secrets = FILE\"; add one", conf->file);
		return (NULL);
	}
	if (name == NULL && conf->n_droplets > 1) {
		cli_fail("%s has several droplets: say which with --droplet NAME", conf->file);
		return (NULL);
	}
	for (size_t i = 0; i < conf->n_droplets; i++)
		if (name == NULL || strcmp(conf->droplets[i].name, name) == 0)
			found = &conf->droplets[i];
	if (found == NULL)
		cli_fail("%s: no [droplet %s]", conf->file, name);
	else if (found->secrets == NULL)
		cli_fail("%s: [droplet%s%s] names no file of secrets; add \"secrets = FILE\"",
		    conf->file, *found->name ? " " : "", found->name);
	return (found && found->secrets ? found : NULL);
}

struct secret_list *
secret_file_read(const char *path)
{
	struct secret_list *l = secret_list_read(path);

	if (l)
		return (l);
	if (errno == ENOENT || errno == ENODATA) {
		if ((l = calloc(1, sizeof(*l))) == NULL)
			cli_fail("out of memory");
	} else {
		cli_fail("%s: %s", path, secrets_problem(path, errno));
	}
	return (l);
}

/* A secrets file that is being changed. */
struct editing {
	char path[PATH_MAX]; /* where a link leads to, so that the link stays one */
	char *name;          /* its last part; the directory is open as dir */
	int dir;
	bool exists;
	struct stat st;
	struct buf text;
};

static int
say(const struct editing *e)
{
	cli_fail("%s: %s", e->path, strerror(errno));
	return (-1);
}

/* Open the file's directory, lock it against another such change, and read the file. */
static int
begin(struct editing *e, const char *path)
{
	size_t mark;

	*e = (struct editing){ .dir = -1 };
	if (realpath(path, e->path) == NULL) {
		if (errno != ENOENT || strlen(path) >= sizeof(e->path)) {
			cli_fail("%s: %s", path, strerror(errno));
			return (-1);
		}
		memcpy(e->path, path, strlen(path) + 1);
	}
	e->name = strrchr(e->path, '/') + 1;
	e->name[-1] = '\0';
	e->dir = open(*e->path ? e->path : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e->dir == -1) {
		say(e);
		return (-1);
	}
	e->name[-1] = '/';
	if (lock_file(e->dir, LOCK_WAIT_SECRETS_MS)) {
		if (errno != ETIMEDOUT)
			return (say(e));
		cli_fail(
		    "%s: another process has had its directory locked for %d s: another \"fluidhook "
		    "secret\" or \"register\", or a backup? Run this again when it has ended",
		    e->path, LOCK_WAIT_SECRETS_MS / 1000);
		return (-1);
	}
	if (fstatat(e->dir, e->name, &e->st, AT_SYMLINK_NOFOLLOW)) {
		if (errno != ENOENT)
			return (say(e));
		return (0);
	}
	e->exists = true;
	if (S_ISLNK(e->st.st_mode)) {
		cli_fail(
		    "%s: a link to a file that does not exist; create that file first, or remove the link",
		    e->path);
		return (-1);
	}
	if (e->st.st_mode & S_IRWXO) {
		cli_fail("%s: open to others (mode %04o); chmod 0640 it first", e->path,
		    (unsigned)e->st.st_mode & 07777);
		return (-1);
	}
	if (file_read_at(e->dir, e->name, FILE_MAX, &e->text))
		return (say(e));
	/* Behind a new first line, a byte order mark would be part of the next secret. */
	mark = utf8_mark(e->text.data, e->text.len);
	if (mark) {
		memmove(e->text.data, e->text.data + mark, e->text.len - mark);
		e->text.len -= mark;
	}
	return (0);
}

/* The group that the receiver reads a new file with: the state directory's. */
static gid_t
group_of_receiver(const struct conf *conf)
{
	struct stat st;

	return (geteuid() == 0 && stat(conf->state_dir, &st) == 0 ? st.st_gid : (gid_t)-1);
}

/* Put the new text in the file's place, with owner, group and mode as they were. */
static int
finish(struct editing *e, const struct conf *conf)
{
	char tmp[NAME_MAX + 1];
	uid_t uid = e->exists ? e->st.st_uid : (uid_t)-1;
	gid_t gid = e->exists ? e->st.st_gid : group_of_receiver(conf);
	mode_t mode = e->exists ? e->st.st_mode & 07777 : 0640;
	int fd, saved;

	if (snprintf(tmp, sizeof(tmp), ".%s.new", e->name) >= (int)sizeof(tmp)) {
		errno = ENAMETOOLONG;
		return (say(e));
	}
	if (unlinkat(e->dir, tmp, 0) && errno != ENOENT)
		return (say(e));
	fd = openat(e->dir, tmp, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd == -1)
		return (say(e));
	/* Where nobody but the owner may give files away, the owner is who we are already. */
	if ((fchown(fd, uid, gid) && (e->exists || errno != EPERM)) || fchmod(fd, mode) ||
	    file_write_all(fd, e->text.data, e->text.len) || fsync(fd)) {
		saved = errno;
		close(fd);
		goto fail;
	}
	if (close(fd) || renameat(e->dir, tmp, e->dir, e->name) || sync_directory(e->dir)) {
		saved = errno;
		goto fail;
	}
	return (0);

fail:
	unlinkat(e->dir, tmp, 0);
	errno = saved;
	return (say(e));
}

static void
end(struct editing *e)
{
	if (e->dir != -1)
		close(e->dir);
	buf_wipe(&e->text);
}

/*
 * Where the next line with a secret begins, from `at` on (the end of the text: there is none), and its
 * length with the newline. secret: only a line with this one; NULL is any.
 */
static size_t
find_secret(const struct buf *text, size_t at, const char *secret, size_t *len)
{
	const char *end, *found;
	size_t n;

	for (*len = 0; at < text->len; at += *len) {
		end = memchr(text->data + at, '\n', text->len - at);
		n = end ? (size_t)(end - (text->data + at)) : text->len - at;
		*len = n + (end != NULL);
		found = secret_of_line(text->data + at, &n);
		if (n && (secret == NULL || (n == strlen(secret) && memcmp(found, secret, n) == 0)))
			return (at);
	}
	*len = 0;
	return (text->len);
}

/* Replace `len` bytes at `at` by others. Returns 0, or -1 when out of memory. */
static int
replace_part(struct buf *text, size_t at, size_t len, const char *other)
{
	struct buf out = { 0 };

	buf_add(&out, text->data, at);
	buf_adds(&out, other);
	buf_add(&out, text->len ? text->data + at + len : "", text->len - at - len);
	buf_wipe(text);
	*text = out;
	if (out.failed)
		cli_fail("out of memory");
	return (out.failed ? -1 : 0);
}

static size_t
count(const struct buf *text)
{
	size_t n = 0, at = 0, len;

	while ((at = find_secret(text, at, NULL, &len)) < text->len) {
		at += len;
		n++;
	}
	return (n);
}

int
secret_file_add(const struct conf *conf, const char *path, const char *secret)
{
	struct editing e;
	char line[SECRET_LEN_MAX + 3];
	size_t at, len;
	int result = -1;

	if (begin(&e, path))
		goto out;
	if (count(&e.text) >= SECRETS_MAX) {
		cli_fail(
		    "%s: already holds %d secrets, the most that are possible; retire one first "
		    "(fluidhook secret retire)",
		    e.path, SECRETS_MAX);
		goto out;
	}
	at = find_secret(&e.text, 0, NULL, &len);
	/* Behind a remark that does not end its line it would be part of that. */
	snprintf(line, sizeof(line), "%s%s\n",
	    len == 0 && at && e.text.data[at - 1] != '\n' ? "\n" : "", secret);
	if (e.text.len + strlen(line) > FILE_MAX) {
		errno = EFBIG;
		say(&e);
	} else if (replace_part(&e.text, at, 0, line) == 0) {
		result = finish(&e, conf);
	}
	explicit_bzero(line, sizeof(line));
out:
	end(&e);
	return (result);
}

int
secret_file_remove(const struct conf *conf, const char *path, const char *secret, bool last_too)
{
	struct editing e;
	size_t at, len, before;
	int result = begin(&e, path);

	before = e.text.len;
	while (result == 0 && (at = find_secret(&e.text, 0, secret, &len)) < e.text.len)
		result = replace_part(&e.text, at, len, "");
	if (result)
		goto out;
	result = -1;
	if (e.text.len == before)
		cli_fail("%s: another process has changed it; run \"fluidhook secret list\" again",
		    e.path);
	else if (count(&e.text) == 0 && !last_too)
		cli_fail("%s: this is the last secret; without it every install is refused. Add "
			 "another first, or use --force",
		    path);
	else
		result = finish(&e, conf);
out:
	end(&e);
	return (result);
}
