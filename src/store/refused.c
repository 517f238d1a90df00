#include "store/refused.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/dir.h"
#include "base/file.h"
#include "base/json.h"
#include "base/number.h"
#include "base/timefmt.h"
#include "base/utf8.h"
#include "base/uuid.h"
#include "store/durable.h"
#include "store/layout.h"
#include "store/seal.h"

enum {
	BLOCK = 4096,         /* what a file takes at least */
	FILE_MAX = 256 << 20, /* far above max_body */
	TEXT_MAX = 1024,      /* of a header */
	COUNT_AT = sizeof("{\"count\":") -
	    1, /* the count is changed in place, in this many digits */
	COUNT_DIGITS = 10,
	LEFTOVER_SECONDS = 600,
	/* Room is made for this part of the space at once, so that the directory is not read each time. */
	PART = 8,
};

/* What is authenticated with a sealed body beside the id. */
static const char body_field[] = "body";

struct refused_store {
	int dir;
	pthread_mutex_t mutex;
	uint64_t room; /* bytes that can be added before the directory is read again */
};

/* One file of the directory. */
struct file {
	char id[REFUSED_ID_SIZE];
	struct timespec received_at; /* its time of modification */
	uint64_t size;
};

struct files {
	struct file *items;
	size_t n, cap;
	uint64_t total;
};

struct refused_store *
refused_open(int top)
{
	struct refused_store *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return (NULL);
	s->dir = layout_open(top, LAYOUT_REFUSED);
	if (s->dir == -1) {
		free(s);
		return (NULL);
	}
	pthread_mutex_init(&s->mutex, NULL);
	return (s);
}

void
refused_close(struct refused_store *s)
{
	if (s == NULL)
		return;
	close(s->dir);
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

int
refused_dir(const struct refused_store *s)
{
	return (s->dir);
}

static bool
is_id(const char *name)
{
	return (strlen(name) == REFUSED_ID_SIZE - 1 &&
	    strspn(name, "0123456789abcdef") == REFUSED_ID_SIZE - 1);
}

static uint64_t
space_of(uint64_t size)
{
	return ((size + BLOCK - 1) / BLOCK * BLOCK);
}

/* A file that a crash left unfinished. */
static void
remove_leftover(int dir, const char *name, const struct stat *st)
{
	if (name[0] == '.' && strstr(name, ".new") &&
	    st->st_mtim.tv_sec < clock_wall_s() - LEFTOVER_SECONDS)
		unlinkat(dir, name, 0);
}

/* Returns 0, or -1 with errno set. */
static int
add_file(struct files *f, int dir, const char *name)
{
	struct file *more;
	struct stat st;
	size_t cap;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return (errno == ENOENT ? 0 : -1);
	if (!S_ISREG(st.st_mode))
		return (0);
	if (!is_id(name)) {
		remove_leftover(dir, name, &st);
		return (0);
	}
	if (f->n == f->cap) {
		cap = f->cap ? f->cap * 2 : 64;
		if ((more = reallocarray(f->items, cap, sizeof(*more))) == NULL)
			return (-1);
		f->items = more;
		f->cap = cap;
	}
	f->items[f->n] = (struct file){ .received_at = st.st_mtim,
		.size = space_of((uint64_t)st.st_size) };
	memcpy(f->items[f->n].id, name, REFUSED_ID_SIZE);
	f->total += f->items[f->n++].size;
	return (0);
}

static int
compare_files(const void *a, const void *b)
{
	const struct file *one = a, *other = b;
	const struct timespec *x = &one->received_at, *y = &other->received_at;

	if (x->tv_sec != y->tv_sec)
		return (x->tv_sec < y->tv_sec ? -1 : 1);
	if (x->tv_nsec != y->tv_nsec)
		return (x->tv_nsec < y->tv_nsec ? -1 : 1);
	return (strcmp(one->id, other->id));
}

/* All files, the oldest first. Returns 0, or -1 with errno set; the caller frees f->items in any case. */
static int
read_files(int dir, struct files *f)
{
	const char *name;
	struct dir d;
	int more;

	*f = (struct files){ 0 };
	if (dir_open(&d, dir, "."))
		return (-1);
	while ((more = dir_next(&d, &name)) == 1 && add_file(f, dir, name) == 0)
		;
	dir_close(&d);
	if (more)
		return (-1);
	if (f->n)
		qsort(f->items, f->n, sizeof(*f->items), compare_files);
	return (0);
}

/* Remove the oldest, so that `size` more bytes fit. The caller holds the mutex. 0, or -1 with errno. */
static int
make_room(struct refused_store *s, uint64_t most, uint64_t size)
{
	uint64_t wanted = size > most / PART ? size : most / PART;
	struct files f;
	int result = -1;

	if (s->room >= size) {
		s->room -= size;
		return (0);
	}
	if (read_files(s->dir, &f))
		goto out;
	for (size_t i = 0; i < f.n && f.total > most - wanted; i++) {
		if (unlinkat(s->dir, f.items[i].id, 0) && errno != ENOENT)
			goto out;
		f.total -= f.items[i].size;
	}
	s->room = wanted - size;
	result = 0;
out:
	free(f.items);
	return (result);
}

/* A header's text as JSON can hold it. */
static const char *
text_of(const char *header)
{
	size_t len = header ? strlen(header) : 0;

	return (header && len <= TEXT_MAX && utf8_is_valid(header, len) ? header : NULL);
}

static void
member(struct json_writer *w, const char *key, const char *text)
{
	json_key(w, key);
	json_string(w, text);
}

/* Returns 0, or -1 with errno ENOMEM. */
static int
write_head(const struct refused *r, bool sealed, struct buf *out)
{
	struct json_writer *w = json_writer_new(out, false);
	char received_at[TIMEFMT_MICROS_SIZE], count[COUNT_DIGITS + 1];

	if (w == NULL)
		return (-1);
	timefmt_micros(received_at, &r->received_at);
	snprintf(count, sizeof(count), "%*d", COUNT_DIGITS, 1);
	json_object(w);
	json_key(w, "count");
	json_number(w, count);
	member(w, "refused", r->id);
	member(w, "received_at", received_at);
	json_key(w, "status");
	json_int(w, r->status);
	member(w, "reason", r->reason);
	member(w, "method", r->method);
	member(w, "x_fluid_shop", text_of(r->shop));
	member(w, "x_fluid_timestamp", text_of(r->timestamp));
	member(w, "x_fluid_signature", text_of(r->signature));
	json_key(w, "body_length");
	json_int(w, (long long)r->body_len);
	if (sealed) {
		json_key(w, "sealed");
		json_int(w, 1);
	}
	json_object_end(w);
	if (json_writer_end(w)) {
		errno = ENOMEM;
		return (-1);
	}
	buf_addc(out, '\n');
	return (out->failed ? -1 : 0);
}

static void
on_count(void *user, const char *key, size_t key_len, enum json_kind kind, const char *text,
    size_t len)
{
	if (kind == JSON_NUMBER && key_len == 5 && memcmp(key, "count", 5) == 0)
		number_parse_len(text, len, 0, UINT64_MAX, user);
}

/*
 * The same request once more. Its time stays that of the first. Another process that counts at the same
 * moment can hide this one: the count is for people.
 */
static int
count_again(int fd)
{
	char head[COUNT_AT + COUNT_DIGITS + 1], count[COUNT_DIGITS + 1];
	struct timespec times[2];
	uint64_t n = 0;
	struct stat st;

	if (fstat(fd, &st) || pread(fd, head, sizeof(head), 0) != (ssize_t)sizeof(head))
		return (-1);
	head[sizeof(head) - 1] = '}';
	if (json_read_members(head, sizeof(head), on_count, &n) || n == 0 || n >= 9999999999u)
		return (0);
	snprintf(count, sizeof(count), "%*" PRIu64, COUNT_DIGITS, n + 1);
	times[0] = times[1] = st.st_mtim;
	return (pwrite(fd, count, COUNT_DIGITS, COUNT_AT) != COUNT_DIGITS || futimens(fd, times) ?
		-1 :
		0);
}

/* Write it under another name first, so that it is whole under its own. Returns 0, or -1 with errno. */
static int
write_file(int dir, const struct refused *r, const struct buf *head, const char *body,
    size_t body_len)
{
	const struct timespec times[2] = { r->received_at, r->received_at };
	char unique[UUID_SIZE], tmp[REFUSED_ID_SIZE + UUID_SIZE + 8];
	int fd;

	uuid_v7(unique, &r->received_at);
	snprintf(tmp, sizeof(tmp), ".%s.new", unique);
	if ((fd = openat(dir, tmp, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600)) ==
	    -1)
		return (-1);
	if (file_write_all(fd, head->data, head->len) || file_write_all(fd, body, body_len) ||
	    futimens(fd, times) || renameat(dir, tmp, dir, r->id)) {
		file_close(fd);
		file_unlink(dir, tmp);
		return (-1);
	}
	return (close(fd));
}

int
refused_keep(struct refused_store *s, uint64_t most, const struct refused *r)
{
	struct buf head = { 0 }, sealed = { 0 };
	const char *body;
	size_t body_len;
	uint64_t size;
	int fd, result;

	if (most == 0)
		return (0);
	if ((fd = openat(s->dir, r->id, O_RDWR | O_NOFOLLOW | O_CLOEXEC)) != -1) {
		result = count_again(fd);
		close(fd);
		return (result);
	}
	if (errno != ENOENT || write_head(r, seal_is_on(), &head) ||
	    (seal_is_on() && seal_add(&sealed, r->id, body_field, r->body, r->body_len))) {
		buf_free(&head);
		return (-1);
	}
	body = sealed.data ? sealed.data : r->body;
	body_len = sealed.data ? sealed.len : r->body_len;
	size = space_of(head.len + body_len);
	result = 0;
	if (size <= most) {
		pthread_mutex_lock(&s->mutex);
		result = make_room(s, most, size);
		pthread_mutex_unlock(&s->mutex);
		if (result == 0)
			result = write_file(s->dir, r, &head, body, body_len);
	}
	buf_free(&head);
	buf_free(&sealed);
	return (result);
}

char (*refused_list(const struct refused_store *s, size_t *n))[REFUSED_ID_SIZE]
{
	char(*ids)[REFUSED_ID_SIZE] = NULL;
	struct files f;

	*n = 0;
	if (read_files(s->dir, &f) == 0 && (ids = calloc(f.n + 1, sizeof(*ids))) != NULL) {
		for (size_t i = 0; i < f.n; i++)
			memcpy(ids[i], f.items[i].id, REFUSED_ID_SIZE);
		*n = f.n;
	}
	free(f.items);
	return (ids);
}

/* The texts of a head, which lie in a buffer that moves while it grows; so where they begin. */
enum text {
	RECEIVED_AT,
	REASON,
	METHOD,
	SHOP,
	TIMESTAMP,
	SIGNATURE,
	COUNT,
	STATUS,
	BODY_LENGTH,
	SEALED,
	N_TEXTS
};

static const char *const text_keys[N_TEXTS] = { "received_at", "reason", "method", "x_fluid_shop",
	"x_fluid_timestamp", "x_fluid_signature", "count", "status", "body_length", "sealed" };

struct reading {
	struct buf *texts;
	size_t at[N_TEXTS];
	bool found[N_TEXTS];
};

static void
on_member(void *user, const char *key, size_t key_len, enum json_kind kind, const char *text,
    size_t len)
{
	struct reading *r = user;

	if (kind != JSON_STRING && kind != JSON_NUMBER)
		return;
	for (size_t k = 0; k < N_TEXTS; k++) {
		if (strlen(text_keys[k]) != key_len || memcmp(text_keys[k], key, key_len) != 0)
			continue;
		r->at[k] = r->texts->len;
		r->found[k] = true;
		buf_add(r->texts, text, len);
		buf_addc(r->texts, '\0');
	}
}

static const char *
text_at(const struct reading *r, enum text k)
{
	return (r->found[k] ? r->texts->data + r->at[k] : NULL);
}

/* The number of a member, or `otherwise` where it has none of at most `most`. */
static uint64_t
number_at(const struct reading *r, enum text m, uint64_t most, uint64_t otherwise)
{
	uint64_t n = otherwise;

	if (r->found[m])
		number_parse(text_at(r, m), 0, most, &n);
	return (n);
}

static int
read_head(struct refused *r, bool *sealed, const char *line, size_t len, struct buf *texts)
{
	struct reading reading = { .texts = texts };
	const char *received_at;

	if (json_read_members(line, len, on_member, &reading) || texts->failed)
		return (-1);
	if ((received_at = text_at(&reading, RECEIVED_AT)) == NULL ||
	    timefmt_parse(received_at, &r->received_at) || !reading.found[BODY_LENGTH])
		return (-1);
	r->reason = text_at(&reading, REASON);
	r->method = text_at(&reading, METHOD);
	r->shop = text_at(&reading, SHOP);
	r->timestamp = text_at(&reading, TIMESTAMP);
	r->signature = text_at(&reading, SIGNATURE);
	r->count = number_at(&reading, COUNT, UINT64_MAX, 1);
	r->status = (int)number_at(&reading, STATUS, 999, 0);
	r->body_len = number_at(&reading, BODY_LENGTH, SIZE_MAX, 0);
	*sealed = reading.found[SEALED];
	return (0);
}

/* Put the bytes of a sealed body into `file`, in place of what was read. 0, or -1 with errno set. */
static int
open_body(struct refused *r, const char *text, size_t len, struct buf *file)
{
	struct buf body = { 0 };
	int error = 0;

	if (seal_open(&body, r->id, body_field, text, len))
		error = errno;
	else if (body.len != r->body_len)
		error = EBADMSG;
	if (error) {
		buf_wipe(&body);
		errno = error;
		return (-1);
	}
	buf_wipe(file);
	*file = body;
	r->body = body.data;
	return (0);
}

int
refused_read(const struct refused_store *s, const char *id, struct refused *r, struct buf *texts,
    struct buf *file)
{
	bool sealed = false;
	const char *end;
	size_t left;

	*r = (struct refused){ 0 };
	if (!is_id(id)) {
		errno = EINVAL;
		return (-1);
	}
	memcpy(r->id, id, REFUSED_ID_SIZE);
	if (file_read_at(s->dir, id, FILE_MAX, file))
		return (-1);
	end = file->len ? memchr(file->data, '\n', file->len) : NULL;
	left = end ? file->len - (size_t)(end + 1 - file->data) : 0;
	if (end == NULL || read_head(r, &sealed, file->data, (size_t)(end - file->data), texts) ||
	    (!sealed && r->body_len != left)) {
		errno = EBADMSG;
		return (-1);
	}
	if (sealed)
		return (open_body(r, end + 1, left, file));
	r->body = end + 1;
	return (0);
}

int
refused_remove(const struct refused_store *s, const char *id)
{
	return (unlinkat(s->dir, id, 0) && errno != ENOENT ? -1 : 0);
}
