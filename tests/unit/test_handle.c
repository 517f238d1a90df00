/*
 * Requests handled one after the other by one process, while files change. The clock hardly moves, so that
 * all happens within 10 ms. Link with: -Wl,--wrap=clock_gettime -Wl,--wrap=syscall -Wl,--wrap=nanosleep
 */
#include "support.h"
#include "wrap.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "delivery/signature.h"
#include "receiver/handle.h"
#include "store/index.h"

int __real_clock_gettime(clockid_t clock, struct timespec *out) AS_CLOCK_GETTIME("__real_");
int __wrap_clock_gettime(clockid_t clock, struct timespec *out) AS_CLOCK_GETTIME("__wrap_");

long __wrap_syscall(long number, ...);
int __wrap_nanosleep(const struct timespec *pause, struct timespec *left);

enum { NOW = 2000000000 };

/* All files have rested for long. */
int
__wrap_clock_gettime(clockid_t clock, struct timespec *out)
{
	static long ns;

	(void)clock;
	*out = (struct timespec){ .tv_sec = NOW, .tv_nsec = ++ns };
	return (0);
}

/* Nothing is in the kernel's memory. */
long
__wrap_syscall(long number, ...)
{
	(void)number;
	errno = EAGAIN;
	return (-1);
}

/* Another process that has the lock, and makes the record dri_b while somebody waits for it. */
static struct state *installing;
static const char *installing_in;

int
__wrap_nanosleep(const struct timespec *pause, struct timespec *left)
{
	(void)pause;
	(void)left;
	if (installing) {
		file_text(installing_in, "state/installations/dri_b.json",
		    "{\"status\":\"pending\",\"droplet_uuid\":\"drp_x\",\"fluid_company_id\":1}",
		    0600);
		state_unlock(installing);
		installing = NULL;
	}
	return (0);
}

static const char install[] =
    "{\"resource\":\"droplet\",\"event\":\"installed\",\"company\":{"
    "\"droplet_installation_uuid\":\"dri_a\",\"droplet_uuid\":\"drp_x\",\"fluid_company_id\":1,"
    "\"fluid_shop\":\"a.fluid.app\",\"name\":\"A\",\"webhook_verification_token\":\"wvt_a\","
    "\"authentication_token\":\"cat_a\"}}";
static const char order[] = "{\"resource\":\"order\",\"event\":\"created\",\"company\":{"
			    "\"droplet_installation_uuid\":\"dri_a\"}}";
static const char order_of_company[] = "{\"resource\":\"order\",\"event\":\"created\",\"company\":{"
				       "\"fluid_company_id\":1}}";

struct world {
	char *directory;
	struct receiver *receiver;
};

static void
start(struct world *w)
{
	w->receiver = receiver_new(conf_make(w->directory,
	    "state_dir = state\nmin_free = 1M\nlog_level = error\n"
	    "[droplet]\nuuid = drp_x\nsecrets = secrets\n"));
	assert_non_null(w->receiver);
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->directory = directory_make();
	file_text(w->directory, "secrets", "dws_one\n", 0600);
	state_close(state_make(path_in(w->directory, "state")));
	start(w);
	*state = w;
	return (0);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	receiver_release(w->receiver);
	directory_remove(w->directory);
	free(w);
	return (0);
}

static ssize_t
read_text(void *source, char *out, size_t size)
{
	const char **at = source;
	size_t n = strlen(*at);

	if (n > size)
		n = size;
	memcpy(out, *at, n);
	*at += n;
	return ((ssize_t)n);
}

/* A request on its way, signed with this key. */
struct post {
	struct request request;
	const char *body;
	struct buf answer;
	char header[sizeof("HTTP_X_FLUID_SIGNATURE=") + SIGNATURE_HEX_SIZE];
	char *params[5];
};

static void
sign(struct post *p, const char *body, const char *key)
{
	static char method[] = "REQUEST_METHOD=POST",
		    timestamp[] = "HTTP_X_FLUID_TIMESTAMP=2000000000",
		    shop[] = "HTTP_X_FLUID_SHOP=a.fluid.app";
	unsigned char signature[SIGNATURE_LEN];
	char hex[SIGNATURE_HEX_SIZE];

	*p = (struct post){ .body = body, .params = { method, timestamp, shop, p->header, NULL } };
	signature_compute(signature, key, "2000000000", body, strlen(body));
	signature_hex(hex, signature);
	snprintf(p->header, sizeof(p->header), "HTTP_X_FLUID_SIGNATURE=%s", hex);
	request_from_params(&p->request, p->params);
	p->request.read = read_text;
	p->request.source = &p->body;
}

static int
status_of(struct post *p)
{
	int status = p->answer.data ? atoi(p->answer.data + strlen("Status: ")) : 0;

	buf_free(&p->answer);
	return (status);
}

/* The status that a request signed with this key gets. */
static int
post(struct world *w, const char *body, const char *key, bool one_of_many)
{
	struct post p;

	sign(&p, body, key);
	p.request.one_of_many = one_of_many;
	handle(w->receiver, &p.request, &p.answer);
	return (status_of(&p));
}

/* Goal: a new secret counts at once, whatever was seen before; a retired one for 10 ms at most. */
static void
test_secret(void **state)
{
	struct world *w = *state;

	/* The first one changes a record, after which everything is looked at again. */
	assert_int_equal(post(w, install, "dws_one", true), 200);
	assert_int_equal(post(w, install, "dws_one", true), 200);
	file_text(w->directory, "secrets", "dws_two\n", 0600);
	assert_int_equal(post(w, install, "dws_one", true), 200);
	assert_int_equal(post(w, install, "dws_two", true), 200);
	/* That look was a fresh one, and what it found counts from then on. */
	assert_int_equal(post(w, install, "dws_one", true), 401);
	file_text(w->directory, "secrets", "dws_three\n", 0600);
	assert_int_equal(post(w, install, "dws_two", false), 401);
}

/* Goal: the same for the key of an installation. */
static void
test_installation_key(void **state)
{
	struct world *w = *state;
	struct buf record = { 0 };
	char *at;

	assert_int_equal(post(w, install, "dws_one", true), 200);
	assert_int_equal(post(w, order, "wvt_a", true), 200);
	file_read(w->directory, "state/installations/dri_a.json", &record);
	while ((at = strstr(record.data, "wvt_a")) != NULL)
		at[4] = 'b';
	file_write(w->directory, "state/installations/dri_a.json", record.data, record.len, 0600);
	buf_free(&record);
	assert_int_equal(post(w, order, "wvt_b", true), 200);
	assert_int_equal(post(w, order, "wvt_a", true), 401);
}

/* Goal: what the process itself did counts at once: the key of an installation that has ended is none. */
static void
test_own_change(void **state)
{
	struct world *w = *state;
	char uninstall[sizeof(install) + 8];

	assert_int_equal(post(w, install, "dws_one", true), 200);
	assert_int_equal(post(w, order, "wvt_a", true), 200);
	snprintf(uninstall, sizeof(uninstall),
	    "{\"resource\":\"droplet\",\"event\":\"uninstalled\"%s",
	    install + strlen("{\"resource\":\"droplet\",\"event\":\"installed\""));
	assert_int_equal(post(w, uninstall, "dws_one", true), 200);
	assert_int_equal(post(w, order, "wvt_a", true), 401);
}

/* Goal: a secrets file that is gone is noticed where it matters, and one that has come back at once. */
static void
test_secrets_gone(void **state)
{
	struct world *w = *state;

	assert_int_equal(unlink(path_in(w->directory, "secrets")), 0);
	assert_int_equal(post(w, install, "dws_one", true), 503);
	file_text(w->directory, "secrets", "dws_one\n", 0600);
	assert_int_equal(post(w, install, "dws_one", true), 200);
}

/* Goal: no line goes to a journal that was moved away, nor a record to a directory that was. */
static void
test_moved(void **state)
{
	struct world *w = *state;

	assert_int_equal(post(w, install, "dws_one", true), 200);
	assert_int_equal(post(w, order, "wvt_a", true), 200);
	assert_int_equal(rename(path_in(w->directory, "state/journal"),
			     path_in(w->directory, "journal")),
	    0);
	assert_int_equal(post(w, order, "wvt_a", true), 503);
	assert_int_equal(rename(path_in(w->directory, "journal"),
			     path_in(w->directory, "state/journal")),
	    0);
	assert_int_equal(post(w, order, "wvt_a", true), 200);
	assert_int_equal(post(w, order, "wvt_a", true), 200);
	assert_int_equal(rename(path_in(w->directory, "state/shops"),
			     path_in(w->directory, "shops")),
	    0);
	assert_int_equal(
	    post(w,
		"{\"resource\":\"droplet\",\"event\":\"installed\",\"company\":{"
		"\"droplet_installation_uuid\":\"dri_b\",\"droplet_uuid\":\"drp_x\",\"fluid_company_id\":2,"
		"\"fluid_shop\":\"b.fluid.app\",\"name\":\"B\",\"webhook_verification_token\":\"wvt_b\","
		"\"authentication_token\":\"cat_b\"}}",
		"dws_one", true),
	    503);
	assert_false(file_exists(w->directory, "state/installations/dri_b.json"));
}

/*
 * Goal: a thread that serves many requests does not read a record from the disk. Another thread judges and
 * stores the delivery; then the record is in memory.
 */
static void
test_not_in_memory(void **state)
{
	struct world *w = *state;
	struct post p;

	assert_int_equal(post(w, install, "dws_one", true), 200);
	receiver_release(w->receiver);
	start(w);
	for (int n = 0; n < 2; n++) {
		struct handling h = { .receiver = w->receiver,
			.request = &p.request,
			.out = &p.answer };

		sign(&p, order, "dws_one");
		p.request.one_of_many = true;
		assert_int_equal(handle_begin(&h, false), n == 0 ? HANDLED_SLOW : HANDLED_IN_BATCH);
		assert_null(p.answer.data);
		handle_slow(&h);
		assert_int_equal(status_of(&p), 200);
	}
}

/*
 * Goal: an event of a company is accepted while another installation of it is being made, whose index entries
 * are there before its record. A record that is missing for good is an error.
 */
static void
test_being_installed(void **state)
{
	struct world *w = *state;
	char why[STATE_WHY_SIZE];
	struct state *other;

	assert_int_equal(post(w, install, "dws_one", true), 200);
	other = state_open(path_in(w->directory, "state"), why);
	assert_non_null(other);
	assert_int_equal(state_lock(other), 0);
	assert_int_equal(index_link(other->companies, "1", "dri_b"), 0);
	installing_in = w->directory;
	installing = other;
	assert_int_equal(post(w, order_of_company, "dws_one", false), 200);
	assert_null(installing);
	assert_int_equal(unlink(path_in(w->directory, "state/installations/dri_b.json")), 0);
	assert_int_equal(post(w, order_of_company, "dws_one", false), 503);
	state_close(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_secret, setup, teardown),
		cmocka_unit_test_setup_teardown(test_installation_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secrets_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_in_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_being_installed, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
