#include "worker/runs_line.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "store/journal_files.h"

static const char *const results[] = { "", "done", "given_up", "discarded", "failed" };

const char *
runs_result_name(enum runs_result result)
{
	return (results[result]);
}

enum runs_result
runs_result_named(const char *text, size_t len)
{
	for (size_t i = RUNS_DONE; i < sizeof(results) / sizeof(results[0]); i++)
		if (strlen(results[i]) == len && memcmp(results[i], text, len) == 0)
			return ((enum runs_result)i);
	return (RUNS_NOT);
}

/* The members that are texts, and where in struct runs_line they go. */
static const struct {
	const char *key;
	size_t offset;
} texts[] = {
	{ "at", offsetof(struct runs_line, at) },
	{ "delivery", offsetof(struct runs_line, run.delivery) },
	{ "event", offsetof(struct runs_line, run.event) },
	{ "installation", offsetof(struct runs_line, run.installation) },
	{ "target", offsetof(struct runs_line, run.target) },
	{ "key", offsetof(struct runs_line, run.key) },
	{ "why", offsetof(struct runs_line, run.why) },
};

_Static_assert(sizeof(texts) / sizeof(texts[0]) == RUNS_TEXTS, "a place for each");

static void
on_member(void *user, const char *key, size_t key_len, enum json_kind kind, const char *text,
    size_t len)
{
	struct runs_line *l = user;
	char name[32] = "", number[24] = "";

	memcpy(name, key, key_len < sizeof(name) ? key_len : sizeof(name) - 1);
	if (kind == JSON_NUMBER) {
		memcpy(number, text, len < sizeof(number) ? len : sizeof(number) - 1);
		if (strcmp(name, "attempt") == 0)
			l->run.attempt = (unsigned)strtoul(number, NULL, 10);
		else if (strcmp(name, "ms") == 0)
			l->run.ms = strtoll(number, NULL, 10);
	}
	if (kind != JSON_STRING)
		return;
	if (strcmp(name, "result") == 0)
		l->run.result = runs_result_named(text, len);
	for (size_t i = 0; i < RUNS_TEXTS; i++)
		if (strcmp(texts[i].key, name) == 0) {
			l->places[i] = l->texts.len + 1;
			buf_add(&l->texts, text, len);
			buf_addc(&l->texts, '\0');
		}
}

bool
runs_line_read(struct runs_line *l, const char *data, size_t len)
{
	const char *text;

	buf_reset(&l->texts);
	l->run = (struct run){ .result = RUNS_NOT };
	memset(l->places, 0, sizeof(l->places));
	if (json_read_members(data, len, on_member, l) || l->texts.failed)
		return (false);
	for (size_t i = 0; i < RUNS_TEXTS; i++) {
		text = l->places[i] ? l->texts.data + l->places[i] - 1 : "";
		memcpy((char *)l + texts[i].offset, &text, sizeof(text));
	}
	return (*l->run.delivery && *l->run.target && l->run.result != RUNS_NOT);
}

static void
add_text(struct json_writer *w, const char *key, const char *text)
{
	json_key(w, key);
	json_string(w, *text ? text : NULL);
}

char *
runs_line_make(const struct run *run)
{
	char at[TIMEFMT_MICROS_SIZE];
	struct timespec now;
	struct buf line = { 0 };
	struct json_writer *w = json_writer_new(&line, false);

	if (w == NULL)
		return (NULL);
	clock_gettime(CLOCK_REALTIME, &now);
	timefmt_micros(at, &now);
	json_object(w);
	add_text(w, "at", at);
	add_text(w, "delivery", run->delivery);
	add_text(w, "event", run->event);
	add_text(w, "installation", run->installation);
	add_text(w, "target", run->target);
	add_text(w, "key", run->key);
	json_key(w, "attempt");
	json_int(w, run->attempt);
	json_key(w, "ms");
	json_int(w, run->ms);
	add_text(w, "result", runs_result_name(run->result));
	add_text(w, "why", run->why);
	json_object_end(w);
	if (json_writer_end(w) == 0)
		buf_addc(&line, '\n');
	buf_addc(&line, '\0');
	if (line.failed) {
		buf_free(&line);
		errno = ENOMEM;
		return (NULL);
	}
	return (line.data);
}

void
runs_file_name(char file[RUNS_FILE_SIZE], const char *day)
{
	snprintf(file, RUNS_FILE_SIZE, "%.*s.jsonl", JOURNAL_DAY_LEN, day);
}

int
runs_line_each(int dir, const char *day, int (*each)(void *user, struct runs_line *l), void *user)
{
	char file[RUNS_FILE_SIZE], *text = NULL;
	struct runs_line l = { .at = NULL };
	size_t size = 0;
	ssize_t len;
	FILE *fp;
	int fd, result = 0, error = 0;

	runs_file_name(file, day);
	if ((fd = openat(dir, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) == -1)
		return (errno == ENOENT ? 0 : -1);
	if ((fp = fdopen(fd, "r")) == NULL) {
		close(fd);
		return (-1);
	}
	while (result == 0 && (len = getline(&text, &size, fp)) > 0)
		if (text[len - 1] == '\n' && runs_line_read(&l, text, (size_t)len - 1))
			result = each(user, &l);
	if (result)
		error = errno;
	else if (ferror(fp))
		error = errno ? errno : EIO;
	free(text);
	buf_free(&l.texts);
	fclose(fp);
	errno = error;
	return (error ? -1 : result);
}

/* What runs_each() looks for. */
struct looking {
	const char *delivery;
	void (*each)(void *user, const struct run *run, const char *at);
	void *user;
};

static int
on_line(void *user, struct runs_line *l)
{
	const struct looking *k = user;

	if (strcmp(l->run.delivery, k->delivery) == 0)
		k->each(k->user, &l->run, l->at);
	return (0);
}

int
runs_each(int dir, const char *file, const char *delivery,
    void (*each)(void *user, const struct run *run, const char *at), void *user)
{
	struct looking k = { delivery, each, user };

	return (runs_line_each(dir, file, on_line, &k));
}
