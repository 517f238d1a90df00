/*
 * Installs that come at the same time are applied one after the other, and synced together.
 * Link with: -Wl,--wrap=fsync -Wl,--wrap=flock -Wl,--wrap=renameat
 */
#include "lifecycles.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/changes.h"
#include "store/index.h"

enum { THREADS = 24 };

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_flock(int fd, int operation);
int __wrap_flock(int fd, int operation);
int __real_renameat(int from, const char *name, int to, const char *new);
int __wrap_renameat(int from, const char *name, int to, const char *new);

static atomic_uint synced;

/* The lock whose turns are looked at, the turn at the last sync, and how often it was the one before. */
static struct state *watched;
static int64_t turn;
static unsigned same_turns;

/* How much was synced before each of these records had its new text. */
static const char *const renamed[] = { "dri_0.json", "dri_1.json" };
static unsigned synced_before[2];

/* How many events have to wait before the first thread gets the lock of the records; 0: none. */
static struct state *gathering;
static unsigned gathered;

int
__wrap_fsync(int fd)
{
	int64_t last = turn;

	synced++;
	if (watched) {
		assert_int_equal(pread(watched->lock_fd, &turn, sizeof(turn), 0), sizeof(turn));
		same_turns += turn == last;
	}
	return (__real_fsync(fd));
}

int
__wrap_renameat(int from, const char *name, int to, const char *new)
{
	for (unsigned k = 0; k < LENGTH(renamed); k++)
		if (strcmp(new, renamed[k]) == 0)
			synced_before[k] = synced;
	return (__real_renameat(from, name, to, new));
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

/* Hand in what each of them has, in this order, and apply all of it at once. */
static void
apply_ready(struct world *w, struct install *all, unsigned n)
{
	unsigned handed_in;

	gathered = n;
	gathering = w->state;
	for (unsigned k = 0; k < n; k++) {
		assert_int_equal(pthread_create(&all[k].thread, NULL, apply_one, &all[k]), 0);
		/* The last one sets off the rest. */
		do {
			pthread_mutex_lock(&w->state->queue_of_events.mutex);
			handed_in = w->state->queue_of_events.n;
			pthread_mutex_unlock(&w->state->queue_of_events.mutex);
		} while (k + 1 < n && handed_in < k + 1);
	}
	for (unsigned k = 0; k < n; k++)
		pthread_join(all[k].thread, NULL);
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
	apply_ready(w, all, n);
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

/* A small random number: the same ones in each run. */
static unsigned
any(unsigned below)
{
	static uint64_t x = 88172645463325252;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return ((unsigned)(x % below));
}

/* Some event of one of a few installations of two companies, which move from one to the other at times. */
static void
make_any(struct world *w, struct install *i, unsigned number)
{
	unsigned one = any(6), company = any(8) ? one % 2 : !(one % 2);
	static char tags[4096][16];
	char *tag = tags[number % LENGTH(tags)];

	*i = (struct install){ .world = w };
	snprintf(tag, sizeof(tags[0]), "tag%u", any(10) ? number : any(number + 1));
	snprintf(i->name, sizeof(i->name), "dri_%u", one);
	snprintf(i->company, sizeof(i->company), "%u", company);
	snprintf(i->shop, sizeof(i->shop), "shop%u", any(8) ? company : 7);
	i->event = any(10) < 3 ? uninstall_of(tag, 0) :
	    any(4)             ? install_of(tag, 0) :
				 install_v2_of(tag, 0);
	i->event.trust = any(10) ? TRUST_DROPLET : any(2) ? TRUST_INSTALLATION : TRUST_NONE;
	i->event.at = T0 + any(12);
	i->event.received_at.tv_sec = T0 + number;
	i->event.record = i->event.droplet_installation_uuid = i->name;
	i->event.fluid_company_id = i->company;
	i->event.fluid_shop = i->shop;
	i->event.authority = any(3) ? "drp_a" : NULL;
	i->event.droplet_uuid = any(12) ? "drp_a" : "drp_b";
}

/* What an index has of a key, in the order of the installations. */
static void
list_key(int directory, const char *key, char out[8])
{
	char name[16];

	for (unsigned k = 0; k < 6; k++) {
		snprintf(name, sizeof(name), "dri_%u", k);
		*out++ = is_indexed(directory, key, name) ? (char)('0' + k) : '-';
	}
	*out = '\0';
}

static void
compare_worlds(struct world *together, struct world *single, unsigned round)
{
	static const char *const keys[] = { "0", "1" },
				 *const shops[] = { "shop0", "shop1", "shop7" };
	char name[32], got[8], want[8];

	for (unsigned k = 0; k < 6; k++) {
		snprintf(name, sizeof(name), "dri_%u", k);
		CHECK_TEXT(record_text(together, name), record_text(single, name), name);
		snprintf(name, sizeof(name), "queue/pending/dri_%u", k);
		CHECK(in_state(together, name) == in_state(single, name), "round %u: %s", round,
		    name);
		snprintf(name, sizeof(name), "queue/unconfirmed/dri_%u", k);
		CHECK(in_state(together, name) == in_state(single, name), "round %u: %s", round,
		    name);
	}
	for (unsigned k = 0; k < LENGTH(keys); k++) {
		list_key(together->state->companies, keys[k], got);
		list_key(single->state->companies, keys[k], want);
		CHECK_TEXT(got, want, keys[k]);
	}
	for (unsigned k = 0; k < LENGTH(shops); k++) {
		list_key(together->state->shops, shops[k], got);
		list_key(single->state->shops, shops[k], want);
		CHECK_TEXT(got, want, shops[k]);
	}
}

/* Goal: what is applied together leaves the same records, entries and markers as one after the other. */
static void
test_as_in_order(void **state)
{
	enum { ROUNDS = 60, SOME = 7 };
	struct world *together = *state, *single;
	enum installation_status status;
	struct install all[SOME];
	unsigned number = 0, n;
	void *made;
	int result;

	assert_int_equal(world_setup(&made), 0);
	single = made;
	for (unsigned round = 0; round < ROUNDS; round++) {
		n = 1 + any(SOME);
		for (unsigned k = 0; k < n; k++)
			make_any(together, &all[k], number++);
		apply_ready(together, all, n);
		for (unsigned k = 0; k < n; k++) {
			assert_int_equal(state_lock(single->state), 0);
			result = lifecycle_apply(single->state, single->records, &all[k].event,
			    &status);
			state_unlock(single->state);
			CHECK(all[k].result == result && (result || all[k].status == status),
			    "round %u, %u of %u, %s: %d, %d", round, k, n, all[k].name,
			    all[k].result, result);
		}
		compare_worlds(together, single, round);
	}
	assert_int_equal(world_teardown(&made), 0);
}

/* Goal: the credentials of an installation go when those of the newer one are on stable storage, not before. */
static void
test_newer_first(void **state)
{
	struct world *w = *state;
	struct install all[2];

	/* It works, and moves to another company, which has a newer one by then. */
	apply_all(w, all, 1, true);
	all[1] = all[0];
	memcpy(all[0].name, "dri_1", sizeof("dri_1"));
	for (unsigned k = 0; k < 2; k++) {
		memcpy(all[k].company, "8", sizeof("8"));
		all[k].event = install_of(k ? "moved" : "newer", k ? 1 : 2);
		all[k].event.record = all[k].event.droplet_installation_uuid = all[k].name;
		all[k].event.fluid_company_id = all[k].company;
	}
	apply_ready(w, all, 2);
	assert_int_equal(status_of(w, "dri_1"), INSTALLATION_ACTIVE);
	assert_int_equal(status_of(w, "dri_0"), INSTALLATION_SUPERSEDED);
	CHECK(synced_before[1] < synced_before[0], "%u, %u", synced_before[1], synced_before[0]);
}

/* Goal: other processes see before each sync that the lock is in use, however long all of them take. */
static void
test_turns(void **state)
{
	struct world *w = *state;
	struct install all[THREADS];

	watched = w->state;
	same_turns = 0;
	apply_all(w, all, THREADS, false);
	watched = NULL;
	/* One for each of the two indexes. */
	CHECK(same_turns <= 2, "%u of %u", same_turns, synced);
}

/* Goal: one installation supersedes any number of others, with few descriptors. */
static void
test_many_older(void **state)
{
	enum { MANY = 120 };
	struct world *w = *state;
	struct rlimit limit, few;
	struct install one;
	char name[64];

	for (unsigned k = 0; k < MANY; k++) {
		snprintf(name, sizeof(name), "state/installations/old_%u.json", k);
		file_text(w->directory, name,
		    "{\"status\":\"pending\",\"droplet_uuid\":\"drp_a\",\"fluid_company_id\":7}",
		    0600);
		snprintf(name, sizeof(name), "old_%u", k);
		assert_int_equal(index_link(w->state->companies, "7", name), 0);
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	few = (struct rlimit){ .rlim_cur = CHANGES_MAX + 40, .rlim_max = limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	apply_all(w, &one, 1, true);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	CHECK(one.result == 0, "%s", strerror(one.error));
	for (unsigned k = 0; k < MANY; k++) {
		snprintf(name, sizeof(name), "old_%u", k);
		assert_int_equal(status_of(w, name), INSTALLATION_SUPERSEDED);
		assert_false(is_indexed(w->state->companies, "7", name));
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
		cmocka_unit_test_setup_teardown(test_as_in_order, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_newer_first, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_turns, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_many_older, world_setup, world_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
