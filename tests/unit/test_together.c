/*
 * Installs that come at the same time are applied one after the other, and synced together.
 * Link with: -Wl,--wrap=fsync -Wl,--wrap=flock
 */
#include "lifecycles.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/index.h"

enum { THREADS = 24 };

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);

static atomic_uint synced;

/* How many events have to wait before the first thread gets the lock of the records; 0: none. */
static struct state *gathering;
static unsigned gathered;

int
__wrap_fsync(int fd)
{
	synced++;
	return (__real_fsync(fd));
}

/* The lock is there once all threads have handed in what they have. */
int
__wrap_flock(int fd, int operation)
{
	unsigned n;

	while (gathering && (operation & LOCK_EX)) {
		pthread_mutex_lock(&gathering->queue_of_events.mutex);
		n = gathering->queue_of_events.n;
		pthread_mutex_unlock(&gathering->queue_of_events.mutex);
		if (n == gathered)
			gathering = NULL;
		else
			usleep(100);
	}
	return (__real_flock(fd, operation));
}

/* One thread's install. */
struct install {
	struct world *world;
	struct lifecycle_event event;
	char name[16], company[16], shop[16];
	int result, error;
	enum installation_status status;
	pthread_t thread;
};

static void *
apply_one(void *arg)
{
	struct install *i = arg;

	i->result = lifecycle_apply_shared(i->world->state, i->world->records, &i->event,
	    &i->status);
	i->error = errno;
	return (NULL);
}

/* Apply n installs at the same time: of one company, or each of its own. */
static void
apply_all(struct world *w, struct install *all, unsigned n, bool one_company)
{
	for (unsigned k = 0; k < n; k++) {
		struct install *i = &all[k];

		*i = (struct install){ .world = w };
		snprintf(i->name, sizeof(i->name), "dri_%u", k);
		snprintf(i->company, sizeof(i->company), "%u", one_company ? 7 : 100 + k);
		snprintf(i->shop, sizeof(i->shop), "shop%s", i->company);
		i->event = install_of(i->name, (int)k);
		i->event.record = i->event.droplet_installation_uuid = i->name;
		i->event.fluid_company_id = i->company;
		i->event.fluid_shop = i->shop;
	}
	synced = 0;
	gathered = n;
	gathering = w->state;
	for (unsigned k = 0; k < n; k++)
		assert_int_equal(pthread_create(&all[k].thread, NULL, apply_one, &all[k]), 0);
	for (unsigned k = 0; k < n; k++)
		pthread_join(all[k].thread, NULL);
}

static enum installation_status
status_of(struct world *w, const char *record)
{
	struct installation *i = record_of(w, record);
	enum installation_status status;

	assert_non_null(i);
	status = i->status;
	installation_free(i);
	return (status);
}

static bool
is_indexed(int directory, const char *key, const char *record)
{
	char path[2 * NAME_SIZE];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", key, record);
	return (fstatat(directory, path, &st, AT_SYMLINK_NOFOLLOW) == 0);
}

/* Goal: of companies that are new, each install needs a sync of its file and of two directories, no more. */
static void
test_companies(void **state)
{
	struct world *w = *state;
	struct install all[THREADS];

	apply_all(w, all, THREADS, false);
	for (unsigned k = 0; k < THREADS; k++) {
		CHECK(all[k].result == 0 && all[k].status == INSTALLATION_ACTIVE, "%s: %d",
		    all[k].name, all[k].result);
		assert_int_equal(status_of(w, all[k].name), INSTALLATION_ACTIVE);
		assert_true(is_indexed(w->state->shops, all[k].shop, all[k].name));
		assert_true(is_indexed(w->state->companies, all[k].company, all[k].name));
	}
	CHECK(synced == 3 * THREADS + 3, "%u syncs", synced);
}

/* Goal: of one company, the newest is active in the end, and the others gave way, whatever the order. */
static void
test_one_company(void **state)
{
	struct world *w = *state;
	struct install all[THREADS];

	apply_all(w, all, THREADS, true);
	for (unsigned k = 0; k < THREADS; k++) {
		bool newest = k == THREADS - 1;
		struct installation *i = record_of(w, all[k].name);

		assert_int_equal(all[k].result, 0);
		assert_non_null(i);
		CHECK(i->status == (newest ? INSTALLATION_ACTIVE : INSTALLATION_SUPERSEDED),
		    "%s is %s", all[k].name, installation_status_name(i->status));
		CHECK((i->authentication_token != NULL) == newest, "token of %s", all[k].name);
		CHECK(is_indexed(w->state->companies, "7", all[k].name) == newest,
		    "index entry of %s", all[k].name);
		installation_free(i);
	}
	CHECK(synced <= 2 * THREADS + 6, "%u syncs", synced);
}

/* Goal: two events of one installation are both applied, in their order. */
static void
test_one_record(void **state)
{
	struct world *w = *state;
	struct install all[3];

	apply_all(w, all, 3, true);
	all[1].event.record = all[1].event.droplet_installation_uuid = "dri_0";
	all[1].event.at += 100;
	all[1].event.body_sha256 = "again";
	all[2].event = uninstall_of("end", 200);
	all[2].event.record = all[2].event.droplet_installation_uuid = "dri_0";
	gathered = 2;
	gathering = w->state;
	for (unsigned k = 1; k < 3; k++)
		assert_int_equal(pthread_create(&all[k].thread, NULL, apply_one, &all[k]), 0);
	for (unsigned k = 1; k < 3; k++) {
		pthread_join(all[k].thread, NULL);
		assert_int_equal(all[k].result, 0);
	}
	assert_int_equal(status_of(w, "dri_0"), INSTALLATION_UNINSTALLED);
}

/* Goal: what is wrong with one of them is no trouble for the others. */
static void
test_one_fails(void **state)
{
	struct world *w = *state;
	struct install all[THREADS];

	file_text(w->directory, "state/installations/dri_3.json", "{", 0600);
	assert_int_equal(mkdir(path_in(w->directory, "state/installations/.dri_5.json.new"), 0700),
	    0);
	assert_int_equal(mkdir(path_in(w->directory, "state/installations/.dri_5.json.new/x"),
			     0700),
	    0);
	apply_all(w, all, THREADS, false);
	for (unsigned k = 0; k < THREADS; k++)
		CHECK(all[k].result == (k == 3 || k == 5 ? -1 : 0), "%s: %d", all[k].name,
		    all[k].result);
	assert_int_equal(all[3].error, EBADMSG);
	assert_int_equal(all[5].error, EISDIR);
	assert_int_equal(status_of(w, "dri_4"), INSTALLATION_ACTIVE);
	assert_false(file_exists(w->directory, "state/installations/dri_5.json"));
}

/* Goal: without the lock, all of them fail, and none is forgotten. */
static void
test_no_lock(void **state)
{
	struct world *w = *state;
	struct install all[2];
	int fd = w->state->lock_fd;

	w->state->lock_fd = -1;
	apply_all(w, all, 2, false);
	w->state->lock_fd = fd;
	for (unsigned k = 0; k < 2; k++) {
		assert_int_equal(all[k].result, -1);
		assert_int_equal(all[k].error, EBADF);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_companies, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_one_company, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_one_record, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_one_fails, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_no_lock, world_setup, world_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
