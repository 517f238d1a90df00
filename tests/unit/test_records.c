/*
 * The cache of records, never staler than the file; the state directory and its room. Time is moved
 * instead of waited for. Link with: -Wl,--wrap=clock_gettime
 */
#include "support.h"
#include "wrap.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/records.h"
#include "store/state.h"

int __real_clock_gettime(clockid_t clock, struct timespec *out) AS_CLOCK_GETTIME("__real_");
int __wrap_clock_gettime(clockid_t clock, struct timespec *out) AS_CLOCK_GETTIME("__wrap_");

/* How far the program's clock goes ahead of the files' times. */
static time_t ahead;

int
__wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	int result = __real_clock_gettime(clock, out);

	out->tv_sec += ahead;
	return (result);
}

struct world {
	char *directory;
	struct state *state;
	struct records *records;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	ahead = 0;
	w->directory = directory_make();
	w->state = state_make(path_in(w->directory, "state"));
	assert_non_null(w->state);
	w->records = records_new(w->state->installations);
	*state = w;
	return (0);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	records_free(w->records);
	state_close(w->state);
	directory_remove(w->directory);
	free(w);
	return (0);
}

static void
put(struct world *w, const char *text)
{
	file_text(w->directory, "state/installations/dri_a.json", quoted(text), 0600);
}

static enum installation_status
status_now(struct world *w)
{
	const struct record *r = records_get(w->records, "dri_a");
	enum installation_status status;

	assert_non_null(r);
	status = r->installation->status;
	records_release(w->records, r);
	return (status);
}

/* Whether one reading of the file serves two callers. */
static bool
is_kept(struct world *w)
{
	const struct record *one = records_get(w->records, "dri_a"),
			    *two = records_get(w->records, "dri_a");
	bool kept = one == two;

	records_release(w->records, one);
	records_release(w->records, two);
	return (kept);
}

/* Goal: a file that rests is read once; each change of it is noticed at once. */
static void
test_changes(void **state)
{
	struct world *w = *state;

	put(w, "{'status':'active'}");
	ahead = 3600;
	assert_int_equal(status_now(w), INSTALLATION_ACTIVE);
	assert_true(is_kept(w));
	put(w, "{'status':'uninstalled'}");
	assert_int_equal(status_now(w), INSTALLATION_UNINSTALLED);
	file_text(w->directory, "next", quoted("{'status':'superseded' }"), 0600);
	assert_int_equal(rename(path_in(w->directory, "next"),
			     path_in(w->directory, "state/installations/dri_a.json")),
	    0);
	assert_int_equal(status_now(w), INSTALLATION_SUPERSEDED);
}

/* Goal: a file that changed just now could change again unseen, so it is read every time. */
static void
test_unsettled(void **state)
{
	struct world *w = *state;

	put(w, "{'status':'active'}");
	assert_int_equal(status_now(w), INSTALLATION_ACTIVE);
	assert_false(is_kept(w));
}

/* Goal: a file that went away or broke is not answered from memory. */
static void
test_gone(void **state)
{
	struct world *w = *state;

	put(w, "{'status':'active'}");
	ahead = 3600;
	assert_int_equal(status_now(w), INSTALLATION_ACTIVE);
	put(w, "{'status':'act");
	assert_null(records_get(w->records, "dri_a"));
	assert_int_equal(errno, EBADMSG);
	assert_int_equal(unlink(path_in(w->directory, "state/installations/dri_a.json")), 0);
	assert_null(records_get(w->records, "dri_a"));
	assert_int_equal(errno, ENOENT);
	assert_int_equal(symlink("/dev/null",
			     path_in(w->directory, "state/installations/dri_a.json")),
	    0);
	assert_null(records_get(w->records, "dri_a"));
}

/* Goal: what a caller holds stays valid while the cache moves on. */
static void
test_held(void **state)
{
	struct world *w = *state;
	const struct record *held;

	put(w, "{'status':'active','delivery':'held'}");
	ahead = 3600;
	assert_non_null(held = records_get(w->records, "dri_a"));
	put(w, "{'status':'uninstalled','delivery':'new'}");
	assert_int_equal(status_now(w), INSTALLATION_UNINSTALLED);
	assert_string_equal(held->installation->delivery, "held");
	/* A note about the record as it is now says nothing of what it was. */
	records_settle(w->records, "dri_a");
	assert_false(records_is_settled(w->records, held));
	records_release(w->records, held);
	records_release(w->records, NULL);
}

/* Goal: records do not stand in for each other, however many there are. */
static void
test_many(void **state)
{
	struct world *w = *state;
	char name[64], text[64];

	ahead = 3600;
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 3000; i++) {
			const struct record *r;

			snprintf(name, sizeof(name), "state/installations/dri_%d.json", i);
			snprintf(text, sizeof(text), "{\"status\":\"active\",\"delivery\":\"%d\"}",
			    i);
			if (round == 0)
				file_text(w->directory, name, text, 0600);
			snprintf(name, sizeof(name), "dri_%d", i);
			assert_non_null(r = records_get(w->records, name));
			snprintf(text, sizeof(text), "%d", i);
			assert_string_equal(r->installation->delivery, text);
			records_release(w->records, r);
		}
}

static void *
read_many(void *arg)
{
	struct world *w = arg;
	size_t bad = 0;

	for (int i = 0; i < 2000; i++) {
		const struct record *r = records_get(w->records, "dri_a");

		if (r == NULL ||
		    (strcmp(r->installation->delivery, "one") != 0 &&
			strcmp(r->installation->delivery, "two") != 0))
			bad++;
		records_release(w->records, r);
	}
	return ((void *)bad);
}

/* Goal: readers in several threads see the old or the new record while it is replaced. */
static void
test_threads(void **state)
{
	struct world *w = *state;
	struct installation *i;
	pthread_t threads[4];
	void *bad;

	put(w, "{'status':'active','delivery':'one'}");
	ahead = 3600;
	assert_non_null(i = installation_load(w->state->installations, "dri_a"));
	for (size_t t = 0; t < LENGTH(threads); t++)
		assert_int_equal(pthread_create(&threads[t], NULL, read_many, w), 0);
	for (int n = 0; n < 200; n++) {
		installation_set(&i->delivery, n % 2 ? "one" : "two");
		assert_int_equal(installation_save(w->state->installations, i), 0);
	}
	for (size_t t = 0; t < LENGTH(threads); t++) {
		pthread_join(threads[t], &bad);
		assert_null(bad);
	}
	installation_free(i);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unsettled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
