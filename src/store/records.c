#include "store/records.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/cache.h"
#include "store/durable.h"
#include "store/glance.h"
#include "store/index.h"
#include "store/wait.h"

/*
 * A record needs some 750 bytes, and the entries of a shop 200. So this is enough for 20,000 installations, and
 * the receiver stays below 32 MB.
 */
enum { BUDGET = 20 << 20 };

/* Nanoseconds. The kernel keeps the inode of a file that was looked at this recently. */
static const int64_t in_memory = INT64_C(10000000000);

struct records {
	int dir;
	struct cache *cache;
};

/* A record in the cache. The texts follow it. */
struct kept_record {
	struct cache_entry entry;
	struct record record; /* what callers hold */
	struct installation installation;
	atomic_bool settled;
};

/* The entries of a key. The names follow it, each with its NUL. */
struct kept_list {
	struct cache_entry entry;
	size_t len;
	char names[];
};

struct records *
records_new(int dir)
{
	struct records *r = calloc(1, sizeof(*r));

	if (r == NULL || (r->cache = cache_new(BUDGET)) == NULL) {
		free(r);
		return (NULL);
	}
	r->dir = dir;
	return (r);
}

void
records_free(struct records *r)
{
	if (r == NULL)
		return;
	cache_free(r->cache);
	free(r);
}

static struct kept_record *
kept_of(const struct record *record)
{
	return ((struct kept_record *)((uintptr_t)record - offsetof(struct kept_record, record)));
}

/* What is kept of the texts of a record. */
static const size_t texts[] = {
	offsetof(struct installation, reason),
	offsetof(struct installation, droplet_installation_uuid),
	offsetof(struct installation, droplet_uuid),
	offsetof(struct installation, fluid_company_id),
	offsetof(struct installation, fluid_shop),
	offsetof(struct installation, webhook_verification_token),
	offsetof(struct installation, subscription_auth_token),
	offsetof(struct installation, delivery),
	offsetof(struct installation, install_digests),
};

enum { N_TEXTS = sizeof(texts) / sizeof(texts[0]) };

static char *
text_of(const struct installation *i, size_t n)
{
	return (*(char *const *)((const char *)i + texts[n]));
}

static void
set_text(struct installation *i, size_t n, char *text)
{
	*(char **)((char *)i + texts[n]) = text;
}

/* Put what is needed of it into one block of memory. NULL: ENOMEM. */
static struct kept_record *
pack(const struct installation *i, const struct stat *st, int64_t now)
{
	static char some[] = "";
	size_t size = sizeof(struct kept_record), len;
	struct kept_record *k;
	struct installation *to;
	char *at;

	for (size_t n = 0; n < N_TEXTS; n++)
		size += text_of(i, n) ? strlen(text_of(i, n)) + 1 : 0;
	if ((k = (struct kept_record *)(void *)cache_entry_new(i->record, size, st, now)) == NULL)
		return (NULL);
	at = (char *)(k + 1);
	to = &k->installation;
	k->record.installation = to;
	to->record = (char *)(uintptr_t)k->entry.key;
	to->status = i->status;
	to->fluid_company_id_number = i->fluid_company_id_number;
	to->exchange_token = i->exchange_token ? some : NULL;
	to->installed_at = i->installed_at;
	to->install_received_at = i->install_received_at;
	to->credentials_installed_at = i->credentials_installed_at;
	to->uninstalled_at = i->uninstalled_at;
	to->last_uninstalled_at = i->last_uninstalled_at;
	to->updated_at = i->updated_at;
	for (size_t n = 0; n < N_TEXTS; n++) {
		if (text_of(i, n) == NULL)
			continue;
		len = strlen(text_of(i, n)) + 1;
		set_text(to, n, memcpy(at, text_of(i, n), len));
		at += len;
	}
	return (k);
}

/* The rest of an open file that has `size` bytes. Returns 0, or -1 with errno set. */
static int
read_open(int fd, off_t size, struct buf *out)
{
	ssize_t n;

	if (size > INSTALLATION_FILE_MAX) {
		errno = EFBIG;
		return (-1);
	}
	do {
		if (buf_reserve(out, (off_t)out->len < size ? (size_t)size - out->len : 4096))
			return (-1);
		n = wait_read(fd, out->data + out->len, out->cap - out->len - 1, (off_t)out->len);
		if (n == -1 && errno != EINTR)
			return (-1);
		if (n > 0)
			out->len += (size_t)n;
	} while (n != 0 && (off_t)out->len != size && out->len <= INSTALLATION_FILE_MAX);
	out->data[out->len] = '\0';
	return (0);
}

/* Read the open file of a record, and keep it. NULL with errno set. */
static struct kept_record *
read_record(struct records *r, const char *name, int fd, const struct stat *st, int64_t now)
{
	struct installation *i = NULL;
	struct kept_record *k = NULL;
	struct buf text = { 0 };
	int saved;

	if (!S_ISREG(st->st_mode))
		errno = EINVAL;
	else if (read_open(fd, st->st_size, &text) == 0)
		i = installation_parse(name, text.data, text.len);
	if (i && (k = pack(i, st, now)) != NULL)
		cache_add(r->cache, &k->entry);
	saved = errno;
	installation_free(i);
	buf_wipe(&text);
	errno = saved;
	return (k);
}

/* Open the file; it may still be what is kept of it, which the caller holds (or NULL). NULL with errno set. */
static struct kept_record *
open_record(struct records *r, const char *name, struct kept_record *kept, int64_t now)
{
	char file[NAME_SIZE + 8];
	struct kept_record *k = NULL;
	struct stat st;
	int fd;

	snprintf(file, sizeof(file), "%s.json", name);
	if ((fd = wait_open(r->dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)) == -1)
		return (NULL);
	if (fstat(fd, &st) == 0) {
		if (kept && cache_confirm(&kept->entry, &st, now))
			k = kept;
		else
			k = read_record(r, name, fd, &st, now);
	}
	file_close(fd);
	return (k);
}

/* Whether what is kept is right, by a look at the file's inode, which is in memory. */
static bool
is_unchanged(struct records *r, struct kept_record *k, int64_t now)
{
	char file[NAME_SIZE + 8];
	struct stat st;

	if (cache_is_recent(&k->entry, now))
		return (true);
	if (!k->entry.rested || now - atomic_load(&k->entry.seen.at) > in_memory)
		return (false);
	snprintf(file, sizeof(file), "%s.json", k->entry.key);
	return (fstatat(r->dir, file, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    cache_confirm(&k->entry, &st, now));
}

const struct record *
records_get(struct records *r, const char *name)
{
	int64_t now = glance_now();
	struct kept_record *kept = (struct kept_record *)(void *)cache_find(r->cache, name), *k;
	int saved;

	if (kept && is_unchanged(r, kept, now))
		return (&kept->record);
	k = open_record(r, name, kept, now);
	if (k != kept) {
		saved = errno;
		/* Keys are not kept longer than the file has them. */
		if (k == NULL && saved != EAGAIN)
			cache_drop(r->cache, name);
		if (kept)
			cache_release(r->cache, &kept->entry);
		errno = saved;
	}
	return (k ? &k->record : NULL);
}

void
records_release(struct records *r, const struct record *record)
{
	if (record)
		cache_release(r->cache, &kept_of(record)->entry);
}

bool
records_is_settled(struct records *r, const struct record *record)
{
	(void)r;
	return (atomic_load(&kept_of(record)->settled));
}

void
records_settle(struct records *r, const char *name)
{
	char file[NAME_SIZE + 8];
	const struct record *record;
	struct stat st;

	/* Of a file that changed just now the note would be lost at once. */
	snprintf(file, sizeof(file), "%s.json", name);
	if (fstatat(r->dir, file, &st, AT_SYMLINK_NOFOLLOW) || !stat_settled(&st) ||
	    (record = records_get(r, name)) == NULL)
		return;
	atomic_store(&kept_of(record)->settled, true);
	records_release(r, record);
}

static int
add_name(void *names, const char *name)
{
	buf_add(names, name, strlen(name) + 1);
	return (0);
}

/* Read the open directory of a key, and keep its names. NULL with errno set. */
static struct kept_list *
read_list(struct records *r, const char *key, int fd, const struct stat *st, int64_t now)
{
	struct kept_list *l = NULL;
	struct buf names = { 0 };

	if (index_each_in(fd, add_name, &names) == 0) {
		errno = ENOMEM;
		if (!names.failed)
			l = (struct kept_list *)(void *)cache_entry_new(key, sizeof(*l) + names.len,
			    st, now);
	}
	if (l) {
		l->len = names.len;
		if (names.len)
			memcpy(l->names, names.data, names.len);
		cache_add(r->cache, &l->entry);
	}
	buf_free(&names);
	return (l);
}

/* The same as open_record() for the directory of a key, of which `path` is the name in the cache. */
static struct kept_list *
open_list(struct records *r, int index, const char *path, const char *key, struct kept_list *kept,
    int64_t now)
{
	struct kept_list *l = NULL;
	struct stat st;
	int fd;

	if ((fd = wait_open(index, key, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) == -1)
		return (NULL);
	if (fstat(fd, &st) == 0) {
		if (kept && cache_confirm(&kept->entry, &st, now))
			l = kept;
		else
			l = read_list(r, path, fd, &st, now);
	}
	file_close(fd);
	return (l);
}

/* The names in the directory of a key, to be given back with cache_release(). NULL with errno set. */
static struct kept_list *
get_list(struct records *r, int index, const char *path, const char *key)
{
	int64_t now = glance_now();
	struct kept_list *kept = (struct kept_list *)(void *)cache_find(r->cache, path), *l;
	struct stat st;
	int saved;

	if (kept && cache_is_recent(&kept->entry, now))
		return (kept);
	if (kept && now - atomic_load(&kept->entry.seen.at) <= in_memory &&
	    fstatat(index, key, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    cache_confirm(&kept->entry, &st, now))
		return (kept);
	l = open_list(r, index, path, key, kept, now);
	if (kept && l != kept) {
		saved = errno;
		cache_release(r->cache, &kept->entry);
		errno = saved;
	}
	return (l);
}

int
records_each(struct records *r, const struct state *s, int index, const char *key,
    int (*each)(void *user, const char *record), void *user)
{
	char path[NAME_SIZE + 2];
	struct kept_list *l;

	if (!name_is_safe(key, strlen(key)))
		return (0);
	/* No record can be called so. */
	snprintf(path, sizeof(path), "%c/%s", index == s->shops ? 's' : 'c', key);
	if ((l = get_list(r, index, path, key)) == NULL)
		return (errno == ENOENT ? 0 : -1);
	for (size_t at = 0; at < l->len; at += strlen(l->names + at) + 1)
		if (each(user, l->names + at))
			break;
	cache_release(r->cache, &l->entry);
	return (0);
}
