/* Requests that were refused, kept as files within a bound. No extra link flags. */
#include "lifecycles.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/refused.h"

enum { SPACE = 1 << 20 };

/* A request whose id and time follow from n. */
static struct refused
request_of(unsigned n)
{
	struct refused r = {
		.received_at = { .tv_sec = T0 + n, .tv_nsec = 123456000 },
		.status = 503,
		.reason = "no_key_yet",
		.method = "POST",
		.shop = "acme",
		.timestamp = "1700000000",
		.signature = "00ff",
		.body = "{}",
		.body_len = 2,
	};

	snprintf(r.id, sizeof(r.id), "%032x", n);
	return (r);
}

static void
keep(struct refused_store *s, uint64_t most, const struct refused *r)
{
	assert_int_equal(refused_keep(s, most, r), 0);
}

static const char *
path_of(struct world *w, const char *id)
{
	char name[128];

	snprintf(name, sizeof(name), "state/refused/%s", id);
	return (path_in(w->directory, name));
}

/* Goal: what was kept is read as it was: any bytes of a body, headers that are absent. */
static void
test_round_trip(void **state)
{
	static const struct {
		const char *body;
		size_t len;
		const char *shop;
	} cases[] = {
		{ "{\"a\":1}", 7, "acme.fluid.app" },
		{ "", 0, NULL },
		{ "a\nb\0c\xff\n", 7, "with \"quotes\" and \\" },
		{ "\n\n", 2, "" },
	};
	struct world *w = *state;
	struct refused_store *s = refused_open(w->state->dir);
	struct buf texts = { 0 }, file = { 0 };
	struct refused back;
	struct stat st;

	assert_non_null(s);
	for (unsigned n = 0; n < LENGTH(cases); n++) {
		struct refused r = request_of(n);

		r.body = cases[n].body;
		r.body_len = cases[n].len;
		r.shop = cases[n].shop;
		keep(s, SPACE, &r);
		assert_int_equal(refused_read(s, r.id, &back, &texts, &file), 0);
		assert_int_equal(back.body_len, r.body_len);
		assert_memory_equal(back.body, r.body, r.body_len);
		assert_int_equal(back.received_at.tv_sec, r.received_at.tv_sec);
		assert_int_equal(back.received_at.tv_nsec, r.received_at.tv_nsec);
		assert_int_equal(back.status, 503);
		assert_int_equal(back.count, 1);
		CHECK_TEXT(back.shop, r.shop, "shop");
		CHECK_TEXT(back.id, r.id, "id");
		CHECK_TEXT(back.reason, "no_key_yet", "reason");
		CHECK_TEXT(back.method, "POST", "method");
		CHECK_TEXT(back.timestamp, "1700000000", "timestamp");
		CHECK_TEXT(back.signature, "00ff", "signature");
		assert_int_equal(lstat(path_of(w, r.id), &st), 0);
		assert_int_equal(st.st_mode & 07777, 0600);
		buf_reset(&texts);
		buf_reset(&file);
	}
	buf_free(&texts);
	buf_free(&file);
	refused_close(s);
}

/* Goal: a header that JSON cannot hold, or that is too long, is left out; the request is kept. */
static void
test_odd_headers(void **state)
{
	struct world *w = *state;
	struct refused_store *s = refused_open(w->state->dir);
	struct refused r = request_of(1), back;
	struct buf texts = { 0 }, file = { 0 };
	char *longest = calloc(1, 4097);

	assert_non_null(longest);
	memset(longest, 'x', 4096);
	r.shop = "\xff";
	r.signature = longest;
	keep(s, SPACE, &r);
	assert_int_equal(refused_read(s, r.id, &back, &texts, &file), 0);
	assert_null(back.shop);
	assert_null(back.signature);
	assert_string_equal(back.timestamp, "1700000000");
	free(longest);
	buf_free(&texts);
	buf_free(&file);
	refused_close(s);
}

/* Goal: identical requests are one file, which counts them and keeps the time of the first. */
static void
test_counted(void **state)
{
	struct world *w = *state;
	struct refused_store *s = refused_open(w->state->dir);
	struct refused r = request_of(1), back;
	struct buf texts = { 0 }, file = { 0 };
	struct stat first, last;

	keep(s, SPACE, &r);
	assert_int_equal(lstat(path_of(w, r.id), &first), 0);
	for (int n = 0; n < 11; n++) {
		r.received_at.tv_sec++;
		keep(s, SPACE, &r);
	}
	assert_int_equal(directory_count(path_in(w->directory, "state/refused")), 1);
	assert_int_equal(refused_read(s, r.id, &back, &texts, &file), 0);
	assert_int_equal(back.count, 12);
	assert_int_equal(back.received_at.tv_sec, T0 + 1);
	assert_int_equal(lstat(path_of(w, r.id), &last), 0);
	assert_int_equal(first.st_mtim.tv_sec, last.st_mtim.tv_sec);
	assert_int_equal(first.st_size, last.st_size);
	buf_free(&texts);
	buf_free(&file);
	refused_close(s);
}

static uint64_t
space_used(struct refused_store *s, struct world *w)
{
	size_t n;
	char(*ids)[REFUSED_ID_SIZE] = refused_list(s, &n);
	uint64_t used = 0;
	struct stat st;

	assert_non_null(ids);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(lstat(path_of(w, ids[i]), &st), 0);
		used += (uint64_t)st.st_size;
	}
	free(ids);
	return (used);
}

/* Goal: the space is never exceeded; the oldest go first, also where another process has added some. */
static void
test_bounded(void **state)
{
	enum { SMALL = 64 * 1024, BODY = 5000 };
	struct world *w = *state;
	struct refused_store *one = refused_open(w->state->dir),
			     *other = refused_open(w->state->dir);
	char *body = calloc(1, SMALL + 1), (*ids)[REFUSED_ID_SIZE];
	struct refused r;
	size_t n;

	assert_non_null(body);
	for (unsigned k = 0; k < 100; k++) {
		r = request_of(k);
		r.body = body;
		r.body_len = BODY;
		keep(k % 10 == 9 ? other : one, SMALL, &r);
		/* each process makes room in steps of an eighth */
		CHECK(space_used(one, w) <= SMALL + SMALL / 8, "after %u: %llu", k,
		    (unsigned long long)space_used(one, w));
	}
	ids = refused_list(one, &n);
	assert_true(n >= 4);
	for (size_t i = 0; i < n; i++) {
		snprintf(r.id, sizeof(r.id), "%032x", (unsigned)(100 - n + i));
		assert_string_equal(ids[i], r.id);
	}
	free(ids);
	/* one that is larger than all the space displaces nothing */
	r = request_of(200);
	r.body = body;
	r.body_len = SMALL + 1;
	keep(one, SMALL, &r);
	assert_int_equal(access(path_of(w, r.id), F_OK), -1);
	assert_true(space_used(one, w) > 0);
	/* 0 keeps none */
	r = request_of(201);
	keep(one, 0, &r);
	assert_int_equal(access(path_of(w, r.id), F_OK), -1);
	free(body);
	refused_close(one);
	refused_close(other);
}

/* Goal: a file that is cut short is no request, and what is no file of ours is left alone. */
static void
test_damaged(void **state)
{
	struct world *w = *state;
	struct refused_store *s = refused_open(w->state->dir);
	struct refused r = request_of(1), back;
	struct buf texts = { 0 }, file = { 0 };
	char(*ids)[REFUSED_ID_SIZE];
	struct stat st;
	size_t n;

	keep(s, SPACE, &r);
	assert_int_equal(lstat(path_of(w, r.id), &st), 0);
	for (off_t size = st.st_size - 1; size >= 0; size -= 7) {
		assert_int_equal(truncate(path_of(w, r.id), size), 0);
		errno = 0;
		CHECK(refused_read(s, r.id, &back, &texts, &file) == -1 && errno == EBADMSG,
		    "%d bytes", (int)size);
		buf_reset(&texts);
		buf_reset(&file);
	}
	assert_int_equal(refused_read(s, "../VERSION", &back, &texts, &file), -1);
	file_text(w->directory, "state/refused/README", "mine", 0600);
	assert_int_equal(symlink("/etc/passwd",
			     path_in(w->directory,
				 "state/refused/ffffffffffffffffffffffffffffffff")),
	    0);
	ids = refused_list(s, &n);
	assert_int_equal(n, 1);
	assert_int_equal(refused_remove(s, r.id), 0);
	assert_int_equal(refused_remove(s, r.id), 0);
	assert_int_equal(directory_count(path_in(w->directory, "state/refused")), 2);
	free(ids);
	buf_free(&texts);
	buf_free(&file);
	refused_close(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_odd_headers, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_counted, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_bounded, world_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_damaged, world_setup, world_teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
