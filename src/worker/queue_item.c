#include "worker/queue_item.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "store/durable.h"

enum { FILE_MAX = 1 << 20 };

/* No wait is longer, whatever a file says: the clock may have been wrong when it was written. */
enum { WAIT_MAX = 3600 };

/* What an item's file says, in the order it is written. */
static const struct member {
	const char *key;
	size_t offset, size; /* of a text */
	bool number;
} members[] = {
#define TEXT(key, field) \
	{ \
		key, offsetof(struct queue_item, field), sizeof(((struct queue_item *)0)->field), \
		    false \
	}
	TEXT("delivery", delivery),
	TEXT("event", event),
	TEXT("target", target),
	TEXT("file", place.name),
	TEXT("key", key),
	TEXT("owner", owner),
	TEXT("installation", installation),
	TEXT("why", why),
#undef TEXT
	{ "offset", offsetof(struct queue_item, place.offset), 0, true },
	{ "attempts", offsetof(struct queue_item, attempts), 0, true },
	{ "next", offsetof(struct queue_item, next), 0, true },
	{ "for_credentials", offsetof(struct queue_item, for_credentials), 0, true },
};

enum { N_MEMBERS = sizeof(members) / sizeof(members[0]), OFFSET = 8, ATTEMPTS, NEXT, CREDENTIALS };

void
queue_item_file(char name[QUEUE_FILE_SIZE], const char *delivery, const char *target)
{
	uint64_t hash = 0xcbf29ce484222325;

	if (target_is_most_specific(target)) {
		snprintf(name, QUEUE_FILE_SIZE, "%s.json", delivery);
	} else if (*target == '\0') {
		snprintf(name, QUEUE_FILE_SIZE, "%s.all.json", delivery);
	} else {
		/* FNV-1a. A name of a target can be no file's name. */
		for (const char *c = target; *c; c++)
			hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
		snprintf(name, QUEUE_FILE_SIZE, "%s.%016llx.json", delivery,
		    (unsigned long long)hash);
	}
}

int64_t
queue_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return ((int64_t)t.tv_sec);
}

int64_t
queue_unix(int64_t next)
{
	return (time(NULL) + next - queue_clock());
}

/* The text of a number in JSON, which is not terminated. */
static long long
parse_number(const char *text, size_t len)
{
	char copy[24] = "";

	memcpy(copy, text, len < sizeof(copy) ? len : sizeof(copy) - 1);
	return (strtoll(copy, NULL, 10));
}

static long long
number_of(const struct queue_item *item, size_t m)
{
	switch (m) {
	case OFFSET:
		return ((long long)item->place.offset);
	case ATTEMPTS:
		return (item->attempts);
	case NEXT:
		return (item->next);
	default:
		return (item->for_credentials);
	}
}

static void
set_number(struct queue_item *item, size_t m, long long n)
{
	switch (m) {
	case OFFSET:
		item->place.offset = (uint64_t)n;
		return;
	case ATTEMPTS:
		item->attempts = (unsigned)n;
		return;
	case NEXT:
		item->next = n;
		return;
	default:
		item->for_credentials = n != 0;
		return;
	}
}

int
queue_item_write(int dir, const struct queue_item *item, int64_t when)
{
	struct queue_item written = *item;
	char name[QUEUE_FILE_SIZE];
	struct buf text = { 0 };
	struct json_writer *w = json_writer_new(&text, false);
	int result = -1;

	if (w == NULL)
		return (-1);
	written.next = when;
	json_object(w);
	for (size_t m = 0; m < N_MEMBERS; m++) {
		json_key(w, members[m].key);
		if (members[m].number)
			json_int(w, number_of(&written, m));
		else
			json_string(w, (const char *)item + members[m].offset);
	}
	json_object_end(w);
	queue_item_file(name, item->delivery, item->target);
	if (json_writer_end(w) == 0)
		result = durable_replace(dir, name, text.data, text.len, 0600);
	buf_free(&text);
	return (result);
}

/* An item, while it is read. */
struct reading {
	struct queue_item *item;
	bool has_target;
};

static void
on_member(void *user, const char *key, size_t key_len, enum json_kind kind, const char *text,
    size_t len)
{
	struct reading *r = user;
	struct queue_item *item = r->item;

	for (size_t m = 0; m < N_MEMBERS; m++) {
		if (strlen(members[m].key) != key_len || memcmp(members[m].key, key, key_len) != 0)
			continue;
		if (members[m].number && kind == JSON_NUMBER) {
			set_number(item, m, parse_number(text, len));
		} else if (!members[m].number && kind == JSON_STRING && len < members[m].size) {
			memcpy((char *)item + members[m].offset, text, len);
			((char *)item)[members[m].offset + len] = '\0';
			if (members[m].offset == offsetof(struct queue_item, target))
				r->has_target = true;
		}
	}
}

/* One that says nothing, or is called after another delivery, is damaged. */
int
queue_item_read(int dir, const char *name, struct queue_item *item)
{
	struct buf text = { 0 };
	struct reading r = { .item = item };
	int result = file_read_at(dir, name, FILE_MAX, &text);
	size_t len;

	*item = (struct queue_item){ .attempts = 0 };
	if (result == 0) {
		result = json_read_members(text.data, text.len, on_member, &r);
		len = strlen(item->delivery);
		if (result || len == 0 || strncmp(name, item->delivery, len) != 0 ||
		    name[len] != '.' || journal_file_number(item->place.name) < 0) {
			errno = EBADMSG;
			result = -1;
		}
	}
	/* Versions without targets ran the most specific hook alone. */
	item->is_old = result == 0 && !r.has_target;
	if (item->is_old && !item->for_credentials)
		memcpy(item->target, item->event, sizeof(item->event));
	buf_free(&text);
	return (result);
}

int
queue_item_read_waiting(int dir, const char *name, struct queue_item *item)
{
	int64_t wait;

	if (queue_item_read(dir, name, item))
		return (-1);
	wait = item->next - time(NULL);
	item->seen = queue_clock();
	item->next = item->seen + (wait < WAIT_MAX ? wait : WAIT_MAX);
	return (0);
}

int
queue_item_remove(int dir, const char *name)
{
	if (unlinkat(dir, name, 0) && errno != ENOENT)
		return (-1);
	return (sync_directory(dir));
}
