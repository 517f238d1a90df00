#include "worker/position.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "store/durable.h"

enum {
	FILE_MAX = 1 << 20,
	FILES_MAX = 8192,
	PLACE_SIZE = 96 + UUID_SIZE,
	RECENT_SECONDS = 2 * 60,
};

/* A number in JSON, whose text is not terminated. */
static uint64_t
offset_of(const char *text, size_t len)
{
	char copy[24] = "";

	memcpy(copy, text, len < sizeof(copy) ? len : sizeof(copy) - 1);
	return (strtoull(copy, NULL, 10));
}

/* position.json, while it is read. */
struct positions {
	struct follow_file *files;
	unsigned n;
	bool damaged, is_old;
};

/* "<offset> <last> <delivery> <read> <under way>", where what ends it may be missing; or "read". Returns 0, or -1. */
static int
parse_place(struct follow_file *file, const char *text, size_t len)
{
	unsigned long long offset, last, read = 0;
	char copy[PLACE_SIZE], *delivery, *rest;
	int end = 0;

	if (len >= sizeof(copy))
		return (-1);
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (strcmp(copy, "read") == 0) {
		file->is_old = true;
		return (0);
	}
	if (*copy < '0' || *copy > '9' ||
	    sscanf(copy, "%20llu %20llu%n", &offset, &last, &end) != 2 ||
	    (copy[end] && copy[end] != ' '))
		return (-1);
	delivery = copy + end + (copy[end] == ' ');
	rest = delivery + strcspn(delivery, " ");
	if (rest - delivery >= UUID_SIZE ||
	    (*rest && sscanf(rest, " %20llu %10lu", &read, &file->under_way) != 2))
		return (-1);
	*rest = '\0';
	file->offset = offset;
	file->last = last;
	file->read = read;
	snprintf(file->delivery, sizeof(file->delivery), "%s", delivery);
	return (0);
}

static void
on_position(void *user, const char *key, size_t key_len, enum json_kind kind, const char *text,
    size_t len)
{
	struct positions *p = user;
	struct follow_file *file = &p->files[p->n];

	if (key_len >= sizeof(file->name) || p->n == FILES_MAX) {
		p->damaged = true;
		return;
	}
	memcpy(file->name, key, key_len);
	file->name[key_len] = '\0';
	if (journal_file_number(file->name) < 0) {
		p->damaged = true;
	} else if (kind == JSON_NUMBER && *text != '-') {
		file->offset = offset_of(text, len);
		p->is_old = true;
	} else if (kind != JSON_STRING || parse_place(file, text, len)) {
		p->damaged = true;
	}
	p->n++;
}

struct follow_file *
position_load(int dir, unsigned *n, bool *complete)
{
	struct positions p = { .files = calloc(FILES_MAX, sizeof(*p.files)) };
	struct buf text = { 0 };

	*n = 1;
	if (p.files == NULL)
		return (NULL);
	if (file_read_at(dir, "position.json", FILE_MAX, &text)) {
		*n = errno != ENOENT;
		goto none;
	}
	if (json_read_members(text.data, text.len, on_position, &p) || p.damaged) {
		errno = EBADMSG;
		goto none;
	}
	buf_free(&text);
	*n = p.n;
	*complete = !p.is_old;
	return (p.files);

none:
	free(p.files);
	buf_free(&text);
	return (NULL);
}

int
position_save(int dir, const struct follow_file *files, unsigned n)
{
	struct buf text = { 0 };
	struct json_writer *w = json_writer_new(&text, true);
	char place[PLACE_SIZE];
	int len;
	int result = -1;

	if (w == NULL)
		return (-1);
	json_object(w);
	for (unsigned i = 0; i < n; i++) {
		len = snprintf(place, sizeof(place), "%llu %llu%s%s",
		    (unsigned long long)files[i].offset, (unsigned long long)files[i].last,
		    files[i].delivery[0] ? " " : "", files[i].delivery);
		if (files[i].under_way)
			snprintf(place + len, sizeof(place) - (size_t)len, " %llu %lu",
			    (unsigned long long)files[i].read, files[i].under_way);
		json_key(w, files[i].name);
		json_string(w, files[i].is_old ? "read" : place);
	}
	json_object_end(w);
	if (json_writer_end(w) == 0)
		result = durable_replace(dir, "position.json", text.data, text.len, 0600);
	buf_free(&text);
	return (result);
}

struct follow_file *
position_beginning(int dir, unsigned *n, bool *complete)
{
	struct follow_file *file = calloc(1, sizeof(*file));
	struct buf text = { 0 };

	*n = 1;
	*complete = false;
	if (file == NULL)
		return (NULL);
	if (file_read_at(dir, "beginning", sizeof(file->name), &text) == 0 && text.len > 0 &&
	    text.data[text.len - 1] == '\n' && text.len <= sizeof(file->name)) {
		memcpy(file->name, text.data, text.len - 1);
	} else if (text.len == 0 && errno != ENOENT) {
		free(file);
		file = NULL;
	}
	if (file && journal_file_number(file->name) < 0) {
		*n = 0;
		*complete = true;
	}
	buf_free(&text);
	return (file);
}

bool
position_is_recent(int dir)
{
	struct stat st;

	return (fstatat(dir, "position.json", &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    clock_wall_s() - st.st_mtim.tv_sec < RECENT_SECONDS);
}

bool
position_is_new(int dir)
{
	return (faccessat(dir, "position.json", F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT &&
	    faccessat(dir, "beginning", F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT);
}

int
position_note_beginning(int dir, const char *file)
{
	char line[JOURNAL_NAME_SIZE + 1];

	snprintf(line, sizeof(line), "%s\n", file);
	return (durable_replace(dir, "beginning", line, strlen(line), 0600));
}

struct follow *
position_follow(int dir, int journal)
{
	unsigned n;
	bool complete = true;
	struct follow_file *files = position_load(dir, &n, &complete);
	struct follow *f;

	if (files == NULL && n && errno == EBADMSG)
		log_line(LOG_LEVEL_ERROR,
		    "position is damaged: reading the journal from its beginning; what was "
		    "dealt with does not run again",
		    "file", "queue/position.json", NULL);
	else if (files == NULL && n)
		return (NULL);
	if (files && !complete && n && position_note_beginning(dir, files[0].name))
		log_errno(LOG_LEVEL_ERROR, "beginning of the journal not noted", NULL);
	if (files == NULL && (files = position_beginning(dir, &n, &complete)) == NULL)
		return (NULL);
	f = follow_new(journal, files, n, complete);
	free(files);
	return (f);
}
