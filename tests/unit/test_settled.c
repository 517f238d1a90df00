/*
 * Repeated events that need no lock: known to change nothing, and known to be on stable storage.
 * Time is moved instead of waited for. Link with: -Wl,--wrap=clock_gettime
 */
#include "lifecycles.h"
#include "wrap.h"

#include <time.h>

int __real_clock_gettime(clockid_t clock, struct timespec *out) AS_CLOCK_GETTIME("__real_");
int __wrap_clock_gettime(clockid_t clock, struct timespec *out) AS_CLOCK_GETTIME("__wrap_");

/* An hour ahead of the files' times, so that what was read of them is kept. */
int
__wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	int result = __real_clock_gettime(clock, out);

	out->tv_sec += 3600;
	return (result);
}

static bool
is_settled(struct world *w, const struct lifecycle_event *e, enum installation_status want)
{
	enum installation_status status = INSTALLATION_FAILED;
	bool settled = lifecycle_is_settled(w->records, e, &status);

	if (settled)
		assert_int_equal(status, want);
	return (settled);
}

/* Goal: an event is settled once it was applied whole, until a newer one comes. */
static void
test_repeated(void **state)
{
	struct world *w = *state;
	struct lifecycle_event install = install_of("one", 0), end = uninstall_of("two", 10);
	struct lifecycle_event again = install_of("three", 20);

	assert_false(is_settled(w, &install, INSTALLATION_ACTIVE));
	apply(w, &install);
	assert_true(is_settled(w, &install, INSTALLATION_ACTIVE));
	assert_false(is_settled(w, &end, INSTALLATION_UNINSTALLED));
	assert_false(is_settled(w, &again, INSTALLATION_ACTIVE));
	apply(w, &end);
	assert_true(is_settled(w, &end, INSTALLATION_UNINSTALLED));
	assert_true(is_settled(w, &install, INSTALLATION_UNINSTALLED));
	assert_false(is_settled(w, &again, INSTALLATION_ACTIVE));
}

/*
 * Goal: a record that this process did not write, or apply to again, may not be on stable storage.
 */
static void
test_of_another_process(void **state)
{
	struct world *w = *state;
	struct lifecycle_event install = install_of("one", 0);
	struct records *ours = w->records;

	w->records = NULL;
	apply(w, &install);
	w->records = ours;
	assert_false(is_settled(w, &install, INSTALLATION_ACTIVE));
	apply(w, &install);
	assert_true(is_settled(w, &install, INSTALLATION_ACTIVE));
}

/* Goal: what another process changed is not settled, though it was before. */
static void
test_changed_elsewhere(void **state)
{
	struct world *w = *state;
	struct lifecycle_event install = install_of("one", 0), again = install_of("three", 20);
	struct installation *i;

	apply(w, &install);
	assert_true(is_settled(w, &install, INSTALLATION_ACTIVE));
	assert_non_null(i = record_of(w, "dri_a"));
	i->status = INSTALLATION_FAILED;
	installation_drop_credentials(i);
	assert_int_equal(installation_save(w->state->installations, i), 0);
	installation_free(i);
	assert_false(is_settled(w, &install, INSTALLATION_FAILED));
	assert_false(is_settled(w, &again, INSTALLATION_FAILED));
	file_text(w->directory, "state/installations/dri_a.json", "{", 0600);
	assert_false(is_settled(w, &install, INSTALLATION_FAILED));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_repeated, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_of_another_process, world_setup,
		    world_teardown),
		cmocka_unit_test_setup_teardown(test_changed_elsewhere, world_setup,
		    world_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
