/* The position on disk: what was saved is read again, and what is damaged is not taken for nothing. */
#include "support.h"
#include "wrap.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/position.h"
#include "worker/queue.h"

#define ONE "01a20b4e-0000-7000-8000-000000000001"

static int64_t ahead; /* how far the date is ahead, in seconds */

time_t __real_time(time_t *out) AS_TIME("__real_");
time_t __wrap_time(time_t *out) AS_TIME("__wrap_");

time_t
__wrap_time(time_t *out)
{
	time_t t = __real_time(NULL) + ahead;

	if (out)
		*out = t;
	return (t);
}

/* How many names a directory gives before an error; negative: no error. */
static int names_left = -1;

struct dirent *__real_readdir(DIR *directory);
struct dirent *__wrap_readdir(DIR *directory);
struct dirent64 *__real_readdir64(DIR *directory);
struct dirent64 *__wrap_readdir64(DIR *directory);

static bool
is_broken(void)
{
	if (names_left) {
		names_left -= names_left > 0;
		return (false);
	}
	errno = EIO;
	return (true);
}

struct dirent *
__wrap_readdir(DIR *directory)
{
	return (is_broken() ? NULL : __real_readdir(directory));
}

/* What readdir() is where a file's size has 64 bits by a macro. */
struct dirent64 *
__wrap_readdir64(DIR *directory)
{
	return (is_broken() ? NULL : __real_readdir64(directory));
}

struct place {
	char *path;
	int dir;
	struct queue *queue;
};

static int
setup(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	ahead = 0;
	names_left = -1;
	p->path = directory_make();
	p->dir = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mkdirat(p->dir, "waiting", 0700);
	mkdirat(p->dir, "dead", 0700);
	p->queue = queue_open(p->dir, false);
	*state = p;
	return (p->queue == NULL);
}

static int
teardown(void **state)
{
	struct place *p = *state;

	queue_close(p->queue);
	close(p->dir);
	directory_remove(p->path);
	free(p);
	return (0);
}

/* Goal: a position is read as it was saved. */
static void
test_saved(void **state)
{
	struct place *p = *state;
	static const struct follow_file files[] = {
		{ .name = "2026-11-01.jsonl", .is_old = true },
		{ .name = "2026-11-22.12.jsonl", .offset = 500, .last = 100, .delivery = ONE },
		{ .name = "2026-11-23.jsonl", .offset = UINT64_MAX / 2, .last = 0 },
	};
	struct follow_file *read;
	unsigned n;
	bool complete = false;

	assert_null(position_load(queue_directory(p->queue), &n, &complete));
	assert_int_equal(n, 0);
	assert_int_equal(position_save(queue_directory(p->queue), files, LENGTH(files)), 0);
	assert_non_null(read = position_load(queue_directory(p->queue), &n, &complete));
	assert_true(complete);
	assert_int_equal(n, LENGTH(files));
	for (size_t i = 0; i < LENGTH(files); i++) {
		assert_string_equal(read[i].name, files[i].name);
		assert_string_equal(read[i].delivery, files[i].delivery);
		assert_int_equal(read[i].offset, files[i].offset);
		assert_int_equal(read[i].last, files[i].last);
		assert_int_equal(read[i].is_old, files[i].is_old);
	}
	free(read);
	assert_int_equal(position_save(queue_directory(p->queue), NULL, 0), 0);
	assert_non_null(read = position_load(queue_directory(p->queue), &n, &complete));
	assert_int_equal(n, 0);
	assert_true(complete);
	free(read);
}

/* Goal: numbers are the position of a version before 0.2; anything else is damage. */
static void
test_other_forms(void **state)
{
	static const struct {
		const char *text;
		bool good, complete;
	} cases[] = {
		{ "{\"2026-11-23.jsonl\":12}", true, false },
		{ "{\"2026-11-23.jsonl\":12,\"2026-11-24.jsonl\":\"1 0\"}", true, false },
		{ "{\"2026-11-23.jsonl\":\"1 0\"}", true, true },
		{ "{}", true, true },
		{ "", false, false },
		{ "[]", false, false },
		{ "{", false, false },
		{ "{\"2026-11-23.jsonl\":-12}", false, false },
		{ "{\"2026-11-23.jsonl\":null}", false, false },
		{ "{\"2026-11-23.jsonl\":\"\"}", false, false },
		{ "{\"2026-11-23.jsonl\":\"1\"}", false, false },
		{ "{\"2026-11-23.jsonl\":\"-1 0\"}", false, false },
		{ "{\"2026-11-23.jsonl\":\"1 0x\"}", false, false },
		{ "{\"2026-11-23.jsonl\":\"1 0 01a20b4e-0000-7000-8000-000000000001-and-more\"}",
		    false, false },
		{ "{\"../any\":\"1 0\"}", false, false },
	};
	struct place *p = *state;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct follow_file *read;
		bool complete = !cases[i].complete;
		unsigned n;

		file_text(p->path, "position.json", cases[i].text, 0600);
		read = position_load(queue_directory(p->queue), &n, &complete);
		CHECK((read != NULL) == cases[i].good, "%s", cases[i].text);
		if (read)
			CHECK(complete == cases[i].complete, "%s", cases[i].text);
		else
			CHECK(n == 1 && errno == EBADMSG, "%s", cases[i].text);
		free(read);
	}
}

/* Goal: without a position all is read, but for days that a version before 0.2 dealt with. */
static void
test_beginning(void **state)
{
	struct place *p = *state;
	struct follow_file *read;
	bool complete;
	unsigned n;

	assert_non_null(read = position_beginning(queue_directory(p->queue), &n, &complete));
	assert_int_equal(n, 0);
	assert_true(complete);
	free(read);
	assert_int_equal(position_note_beginning(queue_directory(p->queue), "2026-11-23.jsonl"), 0);
	assert_non_null(read = position_beginning(queue_directory(p->queue), &n, &complete));
	assert_int_equal(n, 1);
	assert_false(complete);
	assert_string_equal(read->name, "2026-11-23.jsonl");
	assert_int_equal(read->offset, 0);
	free(read);
	file_text(p->path, "beginning", "nonsense\n", 0600);
	assert_non_null(read = position_beginning(queue_directory(p->queue), &n, &complete));
	assert_int_equal(n, 0);
	free(read);
	/* Not to be read is not the same as not there. */
	assert_int_equal(unlinkat(p->dir, "beginning", 0), 0);
	assert_int_equal(mkdirat(p->dir, "beginning", 0700), 0);
	assert_null(position_beginning(queue_directory(p->queue), &n, &complete));
}

/* What a worker that starts now has. */
static void
again(struct place *p)
{
	queue_close(p->queue);
	p->queue = queue_open(p->dir, true);
	assert_non_null(p->queue);
}

/* An item that another start of the worker reads, as seconds from now. */
static int64_t
wait_of(struct place *p, const char *delivery)
{
	const struct queue_item *item;

	again(p);
	assert_non_null(item = queue_get(p->queue, delivery, "order"));
	return (item->next - queue_clock());
}

static bool
about(int64_t a, int64_t b)
{
	return (a - b <= 2 && b - a <= 2);
}

/* Goal: a wait lasts as long as it was meant to, and an hour at most, whatever the date was or is. */
static void
test_waits(void **state)
{
	static const struct {
		int64_t wait, ahead_then, ahead_now, want;
	} cases[] = {
		{ 100, 0, 0, 100 },
		{ -100, 0, 0, -100 },
		{ 3500, 0, 0, 3500 },
		{ 5000, 0, 0, 3600 },
		{ 100, 864000, 0, 3600 },
		{ 100, 0, 864000, 100 - 864000 },
		{ 100, 864000, 864000, 100 },
	};
	struct place *p = *state;
	struct queue_item item = { .delivery = ONE,
		.place.name = "2026-11-23.jsonl",
		.target = "order",
		.event = "order.created" };
	struct queue_item *items;
	unsigned n, damaged;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		item.next = queue_clock() + cases[i].wait;
		ahead = cases[i].ahead_then;
		CHECK(about(queue_unix(item.next), time(NULL) + cases[i].wait), "case %zu", i);
		assert_int_equal(queue_put(p->queue, &item), 0);
		ahead = cases[i].ahead_now;
		CHECK(about(wait_of(p, ONE), cases[i].want), "case %zu: %lld", i,
		    (long long)wait_of(p, ONE));
		assert_non_null(items = queue_items(p->queue, false, &n, &damaged));
		assert_int_equal(n, 1);
		CHECK(about(items->next - queue_clock(), cases[i].want), "case %zu", i);
		free(items);
	}
	/* A dead letter says when it was given up, and one that is taken back is due. */
	ahead = 0;
	assert_int_equal(queue_dead_letter(p->queue, &item), 0);
	assert_non_null(items = queue_items(p->queue, true, &n, &damaged));
	assert_true(about(items->next, time(NULL)));
	assert_int_equal(queue_requeue(p->queue, items), 0);
	assert_true(about(wait_of(p, ONE), 0));
	free(items);
}

/* Goal: a directory that cannot be read to its end is an error, and not one with less in it. */
static void
test_listed_partly(void **state)
{
	struct place *p = *state;
	struct queue_item item = { .event = "order.created",
		.target = "order",
		.place.name = "2026-11-22.jsonl" };
	unsigned n, damaged;

	for (unsigned i = 0; i < 9; i++) {
		snprintf(item.delivery, sizeof(item.delivery), "%.*s%u", (int)strlen(ONE) - 1, ONE,
		    i);
		assert_int_equal(queue_put(p->queue, &item), 0);
		assert_int_equal(queue_dead_letter(p->queue, &item), 0);
		assert_int_equal(queue_put(p->queue, &item), 0);
	}
	for (int dead = 0; dead < 2; dead++)
		for (int most = 1; most < 9; most++) {
			names_left = most;
			errno = 0;
			assert_null(queue_items(p->queue, dead, &n, &damaged));
			CHECK(n == 1 && errno == EIO, "%d names, then %s", most, strerror(errno));
		}
	names_left = -1;
}

static struct queue_item
item_of(unsigned number, const char *target, const char *key, int64_t next)
{
	struct queue_item item = { .event = "order.created",
		.place.name = "2026-11-22.jsonl",
		.attempts = 1,
		.next = next };

	snprintf(item.delivery, sizeof(item.delivery), "01a20b4e-0000-7000-8000-%012u", number);
	snprintf(item.target, sizeof(item.target), "%s", target);
	snprintf(item.key, sizeof(item.key), "%s", key);
	return (item);
}

/* Goal: a delivery waits for each target by itself; the most specific hooks are one. */
static void
test_each_target(void **state)
{
	struct place *p = *state;
	static const char *const targets[] = { "order", "order.d/a", "order.d/b", "" };
	struct queue_item item;
	unsigned n, damaged;

	again(p);
	for (size_t i = 0; i < LENGTH(targets); i++) {
		item = item_of(1, targets[i], "key", queue_clock());
		assert_int_equal(queue_put(p->queue, &item), 0);
	}
	for (int turn = 0; turn < 2; turn++) {
		for (size_t i = 0; i < LENGTH(targets); i++)
			assert_string_equal(queue_get(p->queue, item.delivery, targets[i])->target,
			    targets[i]);
		assert_non_null(queue_get(p->queue, item.delivery, "order.created"));
		assert_null(queue_get(p->queue, item.delivery, "any.d/a"));
		assert_true(queue_has(p->queue, "other", "key", "any"));
		assert_false(queue_has(p->queue, "other", "key", "any.d/a"));
		assert_false(queue_has(p->queue, "other", "", "any"));
		again(p);
	}
	/* Given up at one of them. */
	item = item_of(1, "order.d/a", "key", queue_clock());
	assert_int_equal(queue_dead_letter(p->queue, &item), 0);
	assert_null(queue_get(p->queue, item.delivery, "order.d/a"));
	assert_int_equal(queue_remove(p->queue, item.delivery, "order.d/b"), 0);
	for (int turn = 0; turn < 2; turn++) {
		assert_true(queue_has(p->queue, item.delivery, "", "order.d/a"));
		assert_true(queue_has(p->queue, "other", "key", "order.d/a"));
		assert_false(queue_has(p->queue, item.delivery, "key", "order.d/b"));
		free(queue_items(p->queue, false, &n, &damaged));
		assert_int_equal(n, 2);
		again(p);
	}
	/* Taken back by another process. */
	assert_int_equal(queue_requeue(p->queue, &item), 0);
	assert_int_equal(queue_requeue(p->queue, &item), -1);
	assert_int_equal(errno, ENOENT);
	assert_null(queue_get(p->queue, item.delivery, "order.d/a"));
	queue_refresh(p->queue);
	assert_int_equal(queue_get(p->queue, item.delivery, "order.d/a")->attempts, 0);
	assert_int_equal(queue_remove(p->queue, item.delivery, "order.d/a"), 0);
	assert_false(queue_has(p->queue, item.delivery, "key", "order.d/a"));
}

/* Goal: of many items, those that are due come one after the other, by time and then by delivery; each once. */
static void
test_due(void **state)
{
	struct place *p = *state;
	int64_t now = queue_clock(), last = 0;
	const struct queue_item *item;
	struct queue_item one;
	unsigned n = 0;

	again(p);
	assert_int_equal(queue_next(p->queue), 0);
	for (unsigned i = 0; i < 600; i++) {
		one = item_of(i, "order", "", now - (i * 7919 % 600) / 2);
		if (i % 6 == 5)
			one.next = now + 100 + i;
		one.for_credentials = i == 599;
		assert_int_equal(queue_put(p->queue, &one), 0);
	}
	for (unsigned i = 0; i < 600; i += 4)
		assert_int_equal(queue_remove(p->queue, item_of(i, "", "", 0).delivery, "any"), 0);
	while ((item = queue_due(p->queue, now)) != NULL) {
		assert_true(item->next >= last && item->next <= now);
		last = item->next;
		n++;
	}
	assert_int_equal(n, 350);
	assert_true(queue_next(p->queue) > now);
	queue_postpone(p->queue, queue_get(p->queue, item_of(1, "", "", 0).delivery, "any"),
	    now - 9);
	assert_int_equal(queue_next(p->queue), now - 9);
	assert_string_equal(queue_due(p->queue, now)->delivery, item_of(1, "", "", 0).delivery);
	assert_null(queue_due(p->queue, now));
	queue_wake_credentials(p->queue, now);
	assert_string_equal(queue_due(p->queue, now)->delivery, item_of(599, "", "", 0).delivery);
	assert_null(queue_due(p->queue, now));
}

/* Goal: what cannot be written waits in memory, and is written later. */
static void
test_in_memory_alone(void **state)
{
	struct place *p = *state;
	struct queue_item item = item_of(1, "order", "key", queue_clock());
	char blocked[64];

	again(p);
	/* Where the file would be made is a directory. */
	snprintf(blocked, sizeof(blocked), "waiting/.%s.json.new", item.delivery);
	assert_int_equal(mkdirat(p->dir, blocked, 0700), 0);
	assert_int_equal(queue_put(p->queue, &item), -1);
	assert_true(queue_get(p->queue, item.delivery, "any")->unsaved);
	assert_int_equal(queue_save_again(p->queue, NULL), -1);
	assert_int_equal(unlinkat(p->dir, blocked, AT_REMOVEDIR), 0);
	assert_int_equal(queue_save_again(p->queue, NULL), 0);
	assert_false(queue_get(p->queue, item.delivery, "any")->unsaved);
	again(p);
	assert_non_null(queue_get(p->queue, item.delivery, "any"));
}

/* Goal: items of versions without targets wait for the most specific hook, or for all if for credentials. */
static void
test_without_targets(void **state)
{
	struct place *p = *state;

	file_text(p->path, "waiting/" ONE ".json",
	    "{\"delivery\":\"" ONE "\",\"event\":\"order.created\",\"file\":\"2026-11-22.jsonl\","
	    "\"attempts\":2,\"next\":0,\"for_credentials\":0}",
	    0600);
	again(p);
	assert_string_equal(queue_get(p->queue, ONE, "any")->target, "order.created");
	assert_int_equal(queue_get(p->queue, ONE, "any")->attempts, 2);
	file_text(p->path, "waiting/" ONE ".json",
	    "{\"delivery\":\"" ONE
	    "\",\"event\":\"droplet.installed\",\"file\":\"2026-11-22.jsonl\","
	    "\"attempts\":0,\"next\":0,\"for_credentials\":1}",
	    0600);
	again(p);
	assert_null(queue_get(p->queue, ONE, "any"));
	assert_true(queue_get(p->queue, ONE, "")->for_credentials);
	assert_true(file_exists(p->path, "waiting/" ONE ".all.json"));
	assert_int_equal(queue_remove(p->queue, ONE, ""), 0);
	assert_int_equal(directory_count(path_in(p->path, "waiting")), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_saved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_beginning, setup, teardown),
		cmocka_unit_test_setup_teardown(test_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listed_partly, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each_target, setup, teardown),
		cmocka_unit_test_setup_teardown(test_due, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_memory_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_targets, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
