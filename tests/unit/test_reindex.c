/*
 * The indexes and markers are compared with the records, and put right.
 * Link with: -Wl,--wrap=fsync -Wl,--wrap=flock
 */
#include "support.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/index.h"
#include "store/lifecycle.h"
#include "store/reindex.h"

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);

/* Another process has the lock, and finishes an install and an uninstall before it gives the lock back. */
static const char *applying_in;

int
__wrap_flock(int fd, int operation)
{
	if (applying_in && (operation & LOCK_EX)) {
		file_text(applying_in, "state/installations/dri_new.json",
		    "{\"status\":\"active\",\"fluid_shop\":\"acme\"}", 0600);
		unlink(path_in(applying_in, "state/shops/acme/dri_gone"));
		applying_in = NULL;
	}
	return (__real_flock(fd, operation));
}

/* The directory that cannot be synced; 0: all can. */
static ino_t unsynced;

int
__wrap_fsync(int fd)
{
	struct stat st;

	if (unsynced && fstat(fd, &st) == 0 && st.st_ino == unsynced) {
		errno = EIO;
		return (-1);
	}
	return (__real_fsync(fd));
}

struct world {
	char *directory;
	struct state *state;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	unsynced = 0;
	w->directory = directory_make();
	stderr_capture(w->directory, "log");
	w->state = state_make(path_in(w->directory, "state"));
	*state = w;
	return (0);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	stderr_restore();
	state_close(w->state);
	directory_remove(w->directory);
	free(w);
	return (0);
}

static const char *
in_state(const struct world *w, const char *name)
{
	return (path_in(path_in(w->directory, "state"), name));
}

static bool
exists(const struct world *w, const char *name)
{
	struct stat st;

	return (lstat(in_state(w, name), &st) == 0);
}

/* A record, saved with all that belongs to it. */
static void
add(struct world *w, const char *name, enum installation_status status, const char *shop)
{
	struct installation *i = installation_new(name);

	assert_non_null(i);
	i->status = status;
	installation_set(&i->fluid_shop, shop);
	installation_set(&i->fluid_company_id, "7");
	if (status == INSTALLATION_PENDING)
		installation_set(&i->exchange_token, "dex");
	assert_int_equal(lifecycle_save(w->state, i), 0);
	installation_free(i);
}

static void
add_some(struct world *w)
{
	add(w, "dri_active", INSTALLATION_ACTIVE, "acme.fluid.app");
	add(w, "dri_pending", INSTALLATION_PENDING, "ACME");
	add(w, "dri_unconfirmed", INSTALLATION_UNCONFIRMED, "acme");
	add(w, "dri_gone", INSTALLATION_UNINSTALLED, "acme");
}

/* All links and markers are as lifecycle_save() made them. */
static void
check_right(struct world *w)
{
	static const char *const there[] = { "shops/acme/dri_active", "companies/7/dri_active",
		"shops/acme/dri_pending", "companies/7/dri_pending", "queue/pending/dri_pending",
		"queue/unconfirmed/dri_unconfirmed" };
	static const char *const not [] = { "shops/acme/dri_gone", "companies/7/dri_gone",
		"shops/acme/dri_unconfirmed", "queue/pending/dri_active",
		"queue/pending/dri_unconfirmed" };

	for (size_t n = 0; n < LENGTH(there); n++)
		CHECK(exists(w, there[n]), "%s is missing", there[n]);
	for (size_t n = 0; n < LENGTH(not ); n++)
		CHECK(!exists(w, not [n]), "%s is there", not [n]);
	assert_true(index_is_complete(w->state));
}

static void
check_reindex(struct world *w, unsigned long added, unsigned long removed)
{
	struct reindex r = { .stop = NULL };

	assert_int_equal(reindex(w->state, &r), 0);
	CHECK(r.added == added && r.removed == removed, "added %lu, removed %lu", r.added,
	    r.removed);
	assert_true(r.complete);
	check_right(w);
}

static void
remove_all(const char *path)
{
	directory_remove(strdup(path));
}

/* Goal: where all is right nothing is changed. */
static void
test_right(void **state)
{
	struct world *w = *state;

	assert_true(index_is_complete(w->state));
	add_some(w);
	check_reindex(w, 0, 0);
}

/* Goal: what was lost is made again: single links, all links, markers, marks. */
static void
test_lost(void **state)
{
	struct world *w = *state;

	add_some(w);
	assert_int_equal(unlink(in_state(w, "companies/7/dri_active")), 0);
	check_reindex(w, 1, 0);
	remove_all(in_state(w, "shops/acme"));
	remove_all(in_state(w, "companies/7"));
	assert_int_equal(unlink(in_state(w, "queue/pending/dri_pending")), 0);
	assert_int_equal(unlink(in_state(w, "queue/unconfirmed/dri_unconfirmed")), 0);
	check_reindex(w, 6, 0);
	assert_int_equal(unlink(in_state(w, "shops/+complete")), 0);
	assert_false(index_is_complete(w->state));
	check_reindex(w, 0, 0);
}

/* Goal: what does not belong there is removed: of records that ended, moved, or do not exist. */
static void
test_stale(void **state)
{
	struct reindex r = { .stop = NULL };
	struct world *w = *state;

	add_some(w);
	assert_int_equal(index_add(w->state->shops, "acme", "dri_gone"), 0);
	assert_int_equal(index_add(w->state->shops, "acme", "dri_never"), 0);
	assert_int_equal(index_add(w->state->shops, "other", "dri_active"), 0);
	assert_int_equal(index_add(w->state->companies, "8", "dri_active"), 0);
	assert_int_equal(index_add(w->state->companies, "7", "dri_unconfirmed"), 0);
	/* A link to somewhere else is none of the record's. */
	assert_int_equal(unlink(in_state(w, "shops/acme/dri_active")), 0);
	assert_int_equal(symlink("/dev/null", in_state(w, "shops/acme/dri_active")), 0);
	file_text(path_in(w->directory, "state"), "shops/a file", "", 0600);
	file_text(path_in(w->directory, "state"), "shops/notes", "", 0600);
	check_reindex(w, 1, 4);
	assert_false(exists(w, "shops/other/dri_active"));
	/* The record may be lost: only repair, which looks in the journal first, removes the entry. */
	assert_true(exists(w, "shops/acme/dri_never"));
	assert_int_equal(reindex(w->state, &r), 0);
	assert_int_equal(r.orphans, 1);
	r.remove_orphans = true;
	assert_int_equal(reindex(w->state, &r), 0);
	assert_int_equal(r.removed, 1);
	assert_false(exists(w, "shops/acme/dri_never"));
}

/* Goal: what an install or uninstall that is being applied has not done yet is no disagreement. */
static void
test_being_applied(void **state)
{
	struct reindex r = { .stop = NULL };
	struct world *w = *state;

	add_some(w);
	assert_int_equal(index_add(w->state->shops, "acme", "dri_gone"), 0);
	assert_int_equal(index_add(w->state->shops, "acme", "dri_new"), 0);
	applying_in = w->directory;
	assert_int_equal(reindex(w->state, &r), 0);
	assert_null(applying_in);
	assert_int_equal(r.orphans, 0);
	assert_int_equal(r.removed, 0);
	assert_true(exists(w, "shops/acme/dri_new"));
}

/* Goal: while a record cannot be read, indexes that lack something are not called complete. */
static void
test_unreadable(void **state)
{
	struct world *w = *state;
	struct reindex r = { .stop = NULL };

	add_some(w);
	file_text(path_in(w->directory, "state"), "installations/dri_damaged.json", "{", 0600);
	assert_int_equal(index_add(w->state->shops, "acme", "dri_damaged"), 0);
	assert_int_equal(reindex(w->state, &r), 0);
	assert_int_equal(r.unreadable, 1);
	/* Nothing was missing: the mark of before still holds, and what may be right stays. */
	assert_true(r.complete);
	assert_true(exists(w, "shops/acme/dri_damaged"));
	assert_int_equal(unlink(in_state(w, "shops/acme/dri_active")), 0);
	assert_int_equal(reindex(w->state, &r), 0);
	assert_false(r.complete);
	assert_false(index_is_complete(w->state));
	assert_true(exists(w, "shops/acme/dri_active"));
	assert_int_equal(unlink(in_state(w, "installations/dri_damaged.json")), 0);
	assert_int_equal(index_remove(w->state->shops, "acme", "dri_damaged"), 0);
	check_reindex(w, 0, 0);
}

static bool
stop_at_once(void *user)
{
	return (++*(int *)user > 0);
}

/* Goal: one that is stopped early has not called the indexes complete. */
static void
test_stopped(void **state)
{
	struct world *w = *state;
	int asked = 0;
	struct reindex r = { .stop = stop_at_once, .user = &asked };

	add_some(w);
	assert_int_equal(index_unmark(w->state), 0);
	assert_int_equal(reindex(w->state, &r), 1);
	assert_int_equal(asked, 1);
	assert_false(r.complete);
	check_reindex(w, 0, 0);
}

/* Goal: what cannot be listed is an error, never an empty directory. */
static void
test_not_listed(void **state)
{
	struct world *w = *state;
	struct reindex r = { .stop = NULL };
	int shops = w->state->shops;

	add_some(w);
	w->state->shops = -1;
	assert_int_equal(reindex(w->state, &r), -1);
	assert_false(r.complete);
	w->state->shops = shops;
	check_right(w);
}

/*
 * Goal: an index is complete only when its entries are on stable storage, also those that an earlier run has made
 * which then stopped.
 */
static void
test_synced(void **state)
{
	struct world *w = *state;
	struct reindex r = { .dry = false };
	struct stat st;

	add(w, "dri_a", INSTALLATION_ACTIVE, "acme");
	assert_int_equal(unlink(in_state(w, "shops/acme/dri_a")), 0);
	assert_int_equal(stat(in_state(w, "shops/acme"), &st), 0);
	unsynced = st.st_ino;
	for (int n = 0; n < 2; n++) {
		assert_int_equal(reindex(w->state, &r), -1);
		assert_int_equal(r.added, n == 0);
		assert_true(exists(w, "shops/acme/dri_a"));
		assert_false(index_is_complete(w->state));
	}
	unsynced = 0;
	assert_int_equal(reindex(w->state, &r), 0);
	assert_true(index_is_complete(w->state));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_right, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_being_applied, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_listed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_synced, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
