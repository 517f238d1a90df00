/*
 * What was seen of a file counts for 10 ms where a thread permits that, and never otherwise. The clock is
 * the test's. Link with: -Wl,--wrap=clock_gettime
 */
#include "support.h"
#include "wrap.h"

#include <pthread.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "delivery/secrets.h"
#include "store/glance.h"
#include "store/index.h"
#include "store/lifecycle.h"
#include "store/records.h"

int __real_clock_gettime(clockid_t clock, struct timespec *out) AS_CLOCK_GETTIME("__real_");
int __wrap_clock_gettime(clockid_t clock, struct timespec *out) AS_CLOCK_GETTIME("__wrap_");

/* The clock that does not jump, in microseconds. All files have rested for an hour. */
static long at_us;

int
__wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	int result = __real_clock_gettime(clock, out);

	out->tv_sec += 3600;
	if (clock == CLOCK_MONOTONIC)
		*out = (struct timespec){ .tv_sec = 1, .tv_nsec = at_us * 1000 };
	return (result);
}

struct world {
	char *directory;
	struct state *state;
	struct records *records;
	struct secrets *secrets;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	at_us = 0;
	w->directory = directory_make();
	w->state = state_make(path_in(w->directory, "state"));
	w->records = records_new(w->state->installations);
	w->secrets = secrets_new();
	file_text(w->directory, "secrets", "dws_one\n", 0600);
	file_text(w->directory, "state/installations/dri_a.json", quoted("{'status':'active'}"),
	    0600);
	glance_permit(true);
	*state = w;
	return (0);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	glance_permit(false);
	secrets_free(w->secrets);
	records_free(w->records);
	state_close(w->state);
	directory_remove(w->directory);
	free(w);
	return (0);
}

static bool
is_secret(struct world *w, const char *secret)
{
	struct secret_list *l = secrets_get(w->secrets, path_in(w->directory, "secrets"));
	bool is = l && strcmp(l->secrets[0], secret) == 0;

	if (l)
		secrets_release(w->secrets, l);
	return (is);
}

static bool
is_active(struct world *w)
{
	const struct record *r = records_get(w->records, "dri_a");
	bool is = r && r->installation->status == INSTALLATION_ACTIVE;

	records_release(w->records, r);
	return (is);
}

static bool
has_room(struct world *w)
{
	return (state_has_room(w->state, 1) == 0);
}

static bool
is_in_place(struct world *w)
{
	return (state_in_place(w->state));
}

static bool
is_complete(struct world *w)
{
	return (index_is_complete(w->state));
}

static bool
has_first_secret(struct world *w)
{
	return (is_secret(w, "dws_one"));
}

/* Each check whose result counts for a while, and what makes it fail. */
static void
remove_secrets(struct world *w)
{
	unlink(path_in(w->directory, "secrets"));
}

static void
end_record(struct world *w)
{
	file_text(w->directory, "state/installations/dri_a.json",
	    quoted("{'status':'uninstalled'}"), 0600);
}

static void
move_journal(struct world *w)
{
	assert_int_equal(rename(path_in(w->directory, "state/journal"),
			     path_in(w->directory, "away")),
	    0);
}

static void
remove_mark(struct world *w)
{
	unlink(path_in(w->directory, "state/shops/+complete"));
}

static const struct check {
	const char *name;
	bool (*holds)(struct world *w);
	void (*end)(struct world *w);
} checks[] = {
	{ "secrets", has_first_secret, remove_secrets },
	{ "record", is_active, end_record },
	{ "state directory", is_in_place, move_journal },
	{ "marks", is_complete, remove_mark },
};

/* Goal: a change is noticed after 10 ms, not before; at once without permission, and by a fresh look. */
static void
test_time(void **state)
{
	struct world *w;

	for (size_t i = 0; i < LENGTH(checks); i++) {
		const struct check *c = &checks[i];

		teardown(state);
		setup(state);
		w = *state;
		index_mark(w->state);
		CHECK(c->holds(w), "%s does not hold", c->name);
		CHECK(!glance_relied(), "%s: relied on nothing", c->name);
		c->end(w);
		at_us += GLANCE_MS * 1000 - 1;
		CHECK(c->holds(w), "%s: looked again too soon", c->name);
		CHECK(glance_relied(), "%s: does not say that it relied on a look", c->name);
		glance_permit(false);
		CHECK(!c->holds(w), "%s: no fresh look", c->name);
		CHECK(!glance_relied(), "%s: relied on an old look without permission", c->name);
		glance_permit(true);
		at_us++;
		CHECK(!c->holds(w), "%s: holds for more than 10 ms", c->name);
	}
}

/* Goal: what was looked for in vain is looked for again at once. */
static void
test_found_at_once(void **state)
{
	struct world *w = *state;

	remove_secrets(w);
	assert_false(has_first_secret(w));
	file_text(w->directory, "secrets", "dws_one\n", 0600);
	assert_true(has_first_secret(w));
	remove_mark(w);
	assert_false(is_complete(w));
	index_mark(w->state);
	assert_true(is_complete(w));
	assert_false(glance_relied());
}

/* Goal: free space is asked for once in 10 ms, and less than enough is never from memory. */
static void
test_room(void **state)
{
	struct world *w = *state;

	assert_true(has_room(w));
	assert_true(has_room(w));
	assert_true(glance_relied());
	glance_permit(false);
	assert_int_equal(state_has_room(w->state, UINT64_MAX), -1);
	glance_permit(true);
	at_us += GLANCE_MS * 1000;
	assert_int_equal(state_has_room(w->state, UINT64_MAX), -1);
	assert_int_equal(state_has_room(w->state, UINT64_MAX), -1);
	assert_false(glance_relied());
}

/* Goal: our own change of a record counts at once, in all threads. */
static void
test_own_change(void **state)
{
	struct world *w = *state;
	struct installation *i = installation_load(w->state->installations, "dri_a");

	assert_true(is_active(w));
	at_us += 10;
	i->status = INSTALLATION_UNINSTALLED;
	assert_int_equal(lifecycle_save(w->state, i), 0);
	installation_free(i);
	assert_false(is_active(w));
	assert_false(glance_relied());
}

static void *
look(void *arg)
{
	return (is_active(arg) ? arg : NULL);
}

/* Goal: a thread that did not ask for it looks afresh, whatever other threads do. */
static void
test_other_thread(void **state)
{
	struct world *w = *state;
	pthread_t thread;
	void *result;

	assert_true(is_active(w));
	end_record(w);
	assert_int_equal(pthread_create(&thread, NULL, look, w), 0);
	pthread_join(thread, &result);
	assert_null(result);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_found_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_thread, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
