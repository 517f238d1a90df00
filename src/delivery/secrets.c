#include "delivery/secrets.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/utf8.h"
#include "delivery/signature.h"
#include "store/durable.h"
#include "store/glance.h"

enum { FILE_MAX = 64 * 1024 };

/* One file and what was read from it, as long as it is unchanged. */
struct cached {
	char *path;
	struct stat st;
	struct glance seen; /* that the file still looks so */
	struct secret_list *list;
	struct cached *next;
};

struct secrets {
	pthread_mutex_t mutex;
	struct cached *files;
};

void
secret_list_free(struct secret_list *l)
{
	if (l == NULL)
		return;
	for (size_t i = 0; i < l->n; i++)
		secret_free(l->secrets[i]);
	free(l->secrets);
	free(l);
}

const char *
secret_of_line(const char *line, size_t *len)
{
	size_t n = *len;

	while (n && (line[n - 1] == ' ' || line[n - 1] == '\t' || line[n - 1] == '\r'))
		n--;
	while (n && (*line == ' ' || *line == '\t')) {
		line++;
		n--;
	}
	*len = n && *line == '#' ? 0 : n;
	return (line);
}

bool
secret_is_valid(const char *secret, size_t len)
{
	size_t n = len;

	if (len == 0 || len > SECRET_LEN_MAX || secret_of_line(secret, &n) != secret || n != len)
		return (false);
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)secret[i] < 0x20 || secret[i] == 0x7f)
			return (false);
	return (true);
}

void
secret_fingerprint(char out[FINGERPRINT_SIZE], const char *secret)
{
	char digest[SIGNATURE_HEX_SIZE];

	sha256_hex(digest, secret, strlen(secret));
	memcpy(out, digest, FINGERPRINT_SIZE - 1);
	out[FINGERPRINT_SIZE - 1] = '\0';
}

static int
add_line(struct secret_list *l, const char *line, size_t len)
{
	const char *secret = secret_of_line(line, &len);

	if (len == 0)
		return (0);
	errno = EBADMSG;
	if (!secret_is_valid(secret, len) || l->n == SECRETS_MAX)
		return (-1);
	if ((l->secrets[l->n] = strndup(secret, len)) == NULL)
		return (-1);
	l->n++;
	return (0);
}

struct secret_list *
secret_list_read(const char *path)
{
	struct secret_list *l = calloc(1, sizeof(*l));
	struct buf text = { 0 };
	struct stat st;
	const char *end;
	size_t len;
	int saved;

	if (l == NULL || (l->secrets = calloc(SECRETS_MAX, sizeof(char *))) == NULL)
		goto err;
	if (stat(path, &st))
		goto err;
	if (st.st_mode & S_IRWXO) {
		errno = EACCES;
		goto err;
	}
	/* The file may be a link: its name comes from the configuration. */
	if (file_read_path(path, FILE_MAX, &text))
		goto err;
	for (size_t at = utf8_mark(text.data, text.len); at < text.len; at += len + 1) {
		end = memchr(text.data + at, '\n', text.len - at);
		len = end ? (size_t)(end - text.data) - at : text.len - at;
		if (add_line(l, text.data + at, len))
			goto err;
	}
	errno = ENODATA;
	if (l->n == 0)
		goto err;
	buf_wipe(&text);
	return (l);

err:
	saved = errno;
	buf_wipe(&text);
	secret_list_free(l);
	errno = saved;
	return (NULL);
}

const char *
secrets_problem(const char *path, int error)
{
	struct stat st;

	/* secret_list_read() says EACCES for both; the hint is another. */
	if (error == EACCES && stat(path, &st) == 0 && (st.st_mode & S_IRWXO))
		return ("open to other users: chmod o= it");
	if (error == EINVAL)
		return ("not a regular file");
	if (error == ENODATA)
		return ("there is no secret in it");
	if (error == EBADMSG)
		return ("a line of it is no secret, or there are too many");
	return (strerror(error));
}

struct secrets *
secrets_new(void)
{
	struct secrets *s = calloc(1, sizeof(*s));

	if (s)
		pthread_mutex_init(&s->mutex, NULL);
	return (s);
}

static void
list_release(struct secret_list *l)
{
	if (l && --l->users == 0)
		secret_list_free(l);
}

void
secrets_free(struct secrets *s)
{
	struct cached *c;

	if (s == NULL)
		return;
	while ((c = s->files) != NULL) {
		s->files = c->next;
		list_release(c->list);
		free(c->path);
		free(c);
	}
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

static struct cached *
entry_of(struct secrets *s, const char *path)
{
	struct cached *c;

	for (c = s->files; c; c = c->next)
		if (strcmp(c->path, path) == 0)
			return (c);
	if ((c = calloc(1, sizeof(*c))) == NULL)
		return (NULL);
	if ((c->path = strdup(path)) == NULL) {
		free(c);
		return (NULL);
	}
	c->next = s->files;
	s->files = c;
	return (c);
}

struct secret_list *
secrets_get(struct secrets *s, const char *path)
{
	int64_t now = glance_now();
	struct secret_list *l = NULL;
	struct cached *c;
	struct stat st;
	bool settled;

	pthread_mutex_lock(&s->mutex);
	if ((c = entry_of(s, path)) == NULL)
		goto out;
	if (c->list == NULL || !glance_is_recent(&c->seen, now)) {
		if (stat(path, &st))
			goto out;
		settled = stat_settled(&st);
		glance_note(&c->seen, 0);
		if (c->list == NULL || !stat_same(&c->st, &st) || !settled) {
			if ((l = secret_list_read(path)) == NULL)
				goto out;
			list_release(c->list);
			c->list = l;
			c->st = st;
			l->users = 1;
		}
		/* A file that changed just now could change again and look the same. */
		if (settled)
			glance_note(&c->seen, now);
	}
	l = c->list;
	l->users++;
out:
	pthread_mutex_unlock(&s->mutex);
	return (l);
}

void
secrets_release(struct secrets *s, struct secret_list *l)
{
	pthread_mutex_lock(&s->mutex);
	list_release(l);
	pthread_mutex_unlock(&s->mutex);
}
