/*
 * Business events that came before the key of their installation, and are accepted later. No extra link
 * flags.
 */
#include "lifecycles.h"

#include <unistd.h>

#include "delivery/accept.h"
#include "evidence.h"
#include "store/entry.h"
#include "store/journal_reader.h"

struct site {
	struct world *w;
	struct conf *conf;
	struct accepting a;
};

static const char configuration[] =
    "state_dir = state\n[droplet]\nuuid = drp_a\nsecrets = secrets\n";

static int
setup(void **state)
{
	struct site *s = calloc(1, sizeof(*s));
	void *w = NULL;

	assert_non_null(s);
	world_setup(&w);
	s->w = w;
	file_text(s->w->directory, "secrets", "dws_a\n", 0600);
	s->conf = conf_make(s->w->directory, configuration);
	s->a = (struct accepting){
		.authority = { .conf = s->conf,
		    .secrets = secrets_new(),
		    .records = s->w->records,
		    .state = s->w->state },
		.journal = journal_open(s->w->state->journal,
		    path_in(s->w->directory, "state/journal")),
		.refused = refused_open(s->w->state->dir),
	};
	assert_non_null(s->a.journal);
	assert_non_null(s->a.refused);
	*state = s;
	return (0);
}

static int
teardown(void **state)
{
	struct site *s = *state;
	void *w = s->w;

	refused_close(s->a.refused);
	journal_close(s->a.journal);
	secrets_free(s->a.authority.secrets);
	conf_free(s->conf);
	world_teardown(&w);
	free(s);
	return (0);
}

static const char first[] = "{\"resource\":\"order\",\"event\":\"created\",\"order\":{\"id\":1}}";
static const char second[] = "{\"resource\":\"order\",\"event\":\"created\",\"order\":{\"id\":2}}";

/* Keep a request of the shop acme, signed with `key` at T0 + signed_at, received at T0 + at. */
static void
keep(struct site *s, const char *body, const char *key, int signed_at, int at)
{
	char hex[SIGNATURE_HEX_SIZE], timestamp[24];
	struct fluid_headers h = {
		.shop = { "acme.fluid.app", 1 },
		.timestamp = { timestamp, 1 },
		.signature = { hex, 1 },
		.token = { "raw_key", 1 },
		.auth_token = { "raw_key", 1 },
	};
	struct refusal r = { .method = "POST",
		.status = 503,
		.reason = "no_key_yet",
		.headers = &h,
		.body = body,
		.body_len = strlen(body),
		.received_at = { .tv_sec = T0 + at } };

	snprintf(timestamp, sizeof(timestamp), "%d", T0 + signed_at);
	sign(hex, key, timestamp, body);
	assert_int_equal(accept_later(s->a.refused, 1 << 20, &r), 0);
}

static size_t
n_kept(struct site *s)
{
	size_t n;

	free(refused_list(s->a.refused, &n));
	return (n);
}

static int
run(struct site *s)
{
	size_t n;
	char(*ids)[REFUSED_ID_SIZE] = refused_list(s->a.refused, &n);
	int result = accept_kept(&s->a, (const char(*)[REFUSED_ID_SIZE])ids, n);

	free(ids);
	return (result);
}

/* The bodies in the journal, the newest first, with a newline after each; and the newest line. */
static const char *
journal_of(struct site *s, struct buf *bodies, struct entry *newest)
{
	static struct buf texts;
	struct journal_reader *r = journal_reader_new(s->w->state->journal);
	struct buf line = { 0 }, other = { 0 };
	struct entry e;

	assert_non_null(r);
	buf_reset(bodies);
	buf_reset(&texts);
	buf_adds(bodies, "");
	*newest = (struct entry){ 0 };
	while (journal_reader_previous(r, &line) == 1) {
		bool is_newest = newest->delivery == NULL;

		buf_reset(&other);
		assert_int_equal(entry_read(&e, line.data, line.len, is_newest ? &texts : &other),
		    0);
		if (is_newest)
			*newest = e;
		buf_addf(bodies, "%s\n", e.body);
	}
	buf_free(&line);
	buf_free(&other);
	journal_reader_free(r);
	return (bodies->len ? bodies->data : "");
}

/* Goal: once the key is there, what was kept is accepted in the order received, as the contract says. */
static void
test_accepted(void **state)
{
	struct site *s = *state;
	struct lifecycle_event waits = install_v2_of("one", 0), works = install_of("two", 10);
	struct buf bodies = { 0 };
	char want[256];
	struct entry e;

	apply(s->w, &waits);
	keep(s, second, "wvt_a", 1, 3);
	keep(s, first, "wvt_a", 2, 2);
	assert_int_equal(run(s), 0);
	assert_int_equal(n_kept(s), 2);
	apply(s->w, &works);
	assert_int_equal(run(s), 2);
	assert_int_equal(n_kept(s), 0);
	snprintf(want, sizeof(want), "%s\n%s\n", second, first);
	assert_string_equal(journal_of(s, &bodies, &e), want);
	assert_string_equal(e.installation, "dri_a");
	assert_string_equal(e.event, "order.created");
	assert_string_equal(e.verified_by, "signature");
	assert_string_equal(e.key, "installation");
	assert_string_equal(e.droplet, "drp_a");
	assert_string_equal(e.fluid_shop, "Acme.fluid.app");
	assert_string_equal(e.timestamp, "1700000001");
	assert_string_equal(e.refused_at, "2023-11-14T22:13:23.000000Z");
	assert_int_equal(strlen(e.refused), REFUSED_ID_SIZE - 1);
	assert_true(strcmp(e.received_at, e.refused_at) > 0);
	assert_int_equal(strlen(e.delivery), UUID_SIZE - 1);
	assert_int_equal(run(s), 0);
	buf_free(&bodies);
}

/* Goal: no raw key is stored, and identical requests are kept once. */
static void
test_kept(void **state)
{
	struct site *s = *state;
	struct buf texts = { 0 }, file = { 0 };
	char(*ids)[REFUSED_ID_SIZE];
	struct refused r;
	size_t n;

	keep(s, first, "wvt_a", 1, 1);
	keep(s, first, "wvt_a", 1, 2);
	keep(s, first, "wvt_a", 2, 3);
	ids = refused_list(s->a.refused, &n);
	assert_int_equal(n, 2);
	assert_int_equal(refused_read(s->a.refused, ids[0], &r, &texts, &file), 0);
	assert_int_equal(r.count, 2);
	assert_null(memmem(file.data, file.len, "raw_key", 7));
	free(ids);
	buf_free(&texts);
	buf_free(&file);
}

/* Goal: only what an installation's key verifies, and was fresh when it was received, is accepted. */
static void
test_not_accepted(void **state)
{
	static const struct {
		const char *body, *key;
		int signed_at, at;
	} cases[] = {
		{ first, "wvt_other", 0, 0 },
		{ first, "wvt_a", 0, 301 },
		{ first, "wvt_a", 301, 0 },
		/* left to a later command, or to Fluid, which sends it again */
		{ first, "dws_a", 0, 0 },
		{ "{\"resource\":\"droplet\",\"event\":\"uninstalled\",\"company\":"
		  "{\"droplet_installation_uuid\":\"dri_a\"}}",
		    "wvt_a", 0, 0 },
		/* the receiver would answer 400 */
		{ "{\"resource\":\"order\",\"event\":", "wvt_a", 0, 0 },
		{ "{\"order\":{}}", "wvt_a", 0, 0 },
		{ "{\"resource\":\"fluidhook\",\"event\":\"given_up\"}", "wvt_a", 0, 0 },
	};
	struct site *s = *state;
	struct lifecycle_event works = install_of("one", 0);
	struct buf bodies = { 0 };
	struct entry e;

	apply(s->w, &works);
	for (size_t i = 0; i < LENGTH(cases); i++)
		keep(s, cases[i].body, cases[i].key, cases[i].signed_at, cases[i].at);
	assert_int_equal(run(s), 0);
	assert_int_equal(n_kept(s), LENGTH(cases));
	assert_string_equal(journal_of(s, &bodies, &e), "");
	keep(s, first, "wvt_a", 300, 0);
	keep(s, second, "wvt_a", 0, 300);
	assert_int_equal(run(s), 2);
	buf_free(&bodies);
}

/*
 * Goal: what the journal has already (a kill before it was removed, or Fluid's own retry) is not repeated;
 * the same bytes of another installation are.
 */
static void
test_no_duplicates(void **state)
{
	struct site *s = *state;
	struct lifecycle_event a = install_of("one", 0), b = install_of("two", 0);
	struct buf bodies = { 0 };
	struct entry e;
	char want[256];

	apply(s->w, &a);
	keep(s, first, "wvt_a", 1, 1);
	assert_int_equal(run(s), 1);
	/* as a kill between the journal and the removal leaves it; and signed anew */
	keep(s, first, "wvt_a", 1, 1);
	keep(s, first, "wvt_a", 2, 2);
	assert_int_equal(run(s), 0);
	assert_int_equal(n_kept(s), 0);
	snprintf(want, sizeof(want), "%s\n", first);
	assert_string_equal(journal_of(s, &bodies, &e), want);
	/* twice in one batch */
	keep(s, second, "wvt_a", 3, 3);
	keep(s, second, "wvt_a", 4, 4);
	assert_int_equal(run(s), 1);
	b.record = b.droplet_installation_uuid = "dri_b";
	b.droplet_uuid = "drp_b";
	b.webhook_verification_token = "wvt_b";
	apply(s->w, &b);
	keep(s, first, "wvt_b", 5, 5);
	assert_int_equal(run(s), 1);
	journal_of(s, &bodies, &e);
	assert_string_equal(e.installation, "dri_b");
	buf_free(&bodies);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_accepted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_accepted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_duplicates, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
