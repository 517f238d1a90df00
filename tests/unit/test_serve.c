/* A whole receiver in this process: serve() in a thread, and requests over its socket. */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <linux/sockios.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "fcgi_client.h"
#include "receiver/descriptors.h"
#include "receiver/listen.h"
#include "receiver/serve.h"

static const char key[] = "dws_one";
static const char install[] =
    "{\"resource\":\"droplet\",\"event\":\"installed\",\"company\":{"
    "\"droplet_installation_uuid\":\"dri_a\",\"droplet_uuid\":\"drp_x\",\"fluid_company_id\":1,"
    "\"fluid_shop\":\"acme\",\"name\":\"A\",\"webhook_verification_token\":\"wvt_a\","
    "\"authentication_token\":\"cat_a\"}}";
static const char order[] = "{\"resource\":\"order\",\"event\":\"created\",\"company\":{"
			    "\"droplet_installation_uuid\":\"dri_a\"}}";

#define CONFIGURATION \
	"state_dir = state\nmin_free = 1M\nmax_body = 64K\nlog_level = error\n" \
	"[droplet]\nuuid = drp_x\nsecrets = secrets\n"

struct world {
	char *directory, *path, *conf_file;
	struct listening listening;
	pthread_t thread;
	int ready;
	struct conf *conf;
	struct serving serving;
	int status;
};

static void *
run(void *user)
{
	struct world *w = user;

	w->status = serve(&w->serving, w->conf);
	return (NULL);
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct buf error = { 0 };
	char address[200], c;
	int fds[2];

	assert_non_null(w);
	w->directory = directory_make();
	w->path = strdup(path_in(w->directory, "socket"));
	file_text(w->directory, "secrets", "dws_one\n", 0600);
	state_close(state_make(path_in(w->directory, "state")));
	w->conf = conf_make(w->directory, CONFIGURATION);
	w->conf_file = strdup(w->conf->file);
	snprintf(address, sizeof(address), "unix:%s", w->path);
	CHECK(listen_open(&(const struct listen){ .address = address, .mode = 0600 }, &w->listening,
		  &error) == 0,
	    "%s", error.data);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	w->ready = fds[0];
	w->serving = (struct serving){ .listener = w->listening.fd,
		.conf_file = w->conf_file,
		.descriptors = { .threads = 4, .connections = 20 },
		.ready_fd = fds[1] };
	stderr_capture(w->directory, "log");
	assert_int_equal(pthread_create(&w->thread, NULL, run, w), 0);
	assert_int_equal(read(w->ready, &c, 1), 1);
	close(fds[1]);
	*state = w;
	return (0);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	if (w->thread) {
		pthread_kill(w->thread, SIGTERM);
		pthread_join(w->thread, NULL);
	}
	stderr_restore();
	listen_close(&w->listening, true);
	close(w->ready);
	directory_remove(w->directory);
	free(w->path);
	free(w->conf_file);
	free(w);
	return (0);
}

/* Send a POST on a connection of its own. Returns the status. */
static int
post(struct world *w, const char *body, size_t len, const char *secret, const char **text)
{
	struct fcgi_params p;
	struct buf data = { 0 };
	int fd = fcgi_connect(w->path), status;

	fcgi_sign(&p, secret, body, len);
	fcgi_add_request(&data, p.text, body, len, false);
	fcgi_send(fd, data.data, data.len);
	status = fcgi_answer(fd, text);
	buf_free(&data);
	close(fd);
	return (status);
}

static size_t
lines_of_journal(struct world *w)
{
	char command[300];
	size_t n = 0;
	FILE *fp;

	snprintf(command, sizeof(command), "cat %s/state/journal/*.jsonl 2>/dev/null",
	    w->directory);
	fp = popen(command, "re");
	assert_non_null(fp);
	for (int c; (c = getc(fp)) != EOF;)
		n += c == '\n';
	pclose(fp);
	return (n);
}

/* Goal: an install and an order of its installation are stored before they are answered with 200. */
static void
test_delivery(void **state)
{
	struct world *w = *state;
	const char *text;

	assert_int_equal(post(w, install, sizeof(install) - 1, key, &text), 200);
	assert_int_equal(lines_of_journal(w), 1);
	assert_true(file_exists(w->directory, "state/installations/dri_a.json"));
	assert_int_equal(post(w, order, sizeof(order) - 1, "wvt_a", &text), 200);
	CHECK(strstr(text, "\"status\":\"accepted\"") &&
		strstr(text, "\"event\":\"order.created\""),
	    "%s", text);
	assert_int_equal(lines_of_journal(w), 2);
	assert_int_equal(post(w, order, sizeof(order) - 1, "wrong", &text), 401);
	assert_int_equal(lines_of_journal(w), 2);
}

/* Goal: a request that arrives byte by byte is the same request. */
static void
test_pieces(void **state)
{
	struct world *w = *state;
	struct fcgi_params p;
	struct buf data = { 0 };
	const char *text;
	int fd = fcgi_connect(w->path);

	fcgi_sign(&p, key, install, sizeof(install) - 1);
	fcgi_add_request(&data, p.text, install, sizeof(install) - 1, false);
	for (size_t i = 0; i < data.len; i++)
		fcgi_send(fd, data.data + i, 1);
	assert_int_equal(fcgi_answer(fd, &text), 200);
	close(fd);
	buf_free(&data);
}

/* Goal: a kept connection takes one request after the other, also if two arrive at once. */
static void
test_kept(void **state)
{
	struct world *w = *state;
	struct fcgi_params p;
	struct buf one = { 0 }, two = { 0 };
	const char *text;
	int fd = fcgi_connect(w->path);

	fcgi_sign(&p, key, install, sizeof(install) - 1);
	fcgi_add_request(&one, p.text, install, sizeof(install) - 1, true);
	for (int i = 0; i < 3; i++) {
		fcgi_send(fd, one.data, one.len);
		assert_int_equal(fcgi_answer(fd, &text), 200);
	}
	buf_add(&two, one.data, one.len);
	buf_add(&two, one.data, one.len);
	fcgi_send(fd, two.data, two.len);
	assert_int_equal(fcgi_answer(fd, &text), 200);
	assert_int_equal(fcgi_answer(fd, &text), 200);
	close(fd);
	buf_free(&one);
	buf_free(&two);
}

/* Goal: a body over max_body is answered 413, whether it arrives as a whole or is still on its way. */
static void
test_too_large(void **state)
{
	enum { SIZE = 300 * 1024 };
	struct world *w = *state;
	char *body = malloc(SIZE);
	struct fcgi_params p;
	struct buf data = { 0 };
	const char *text;
	int fd = fcgi_connect(w->path);

	memset(body, ' ', SIZE);
	assert_int_equal(post(w, body, 70 * 1024, key, &text), 413);
	/* The last record is not sent: the answer does not wait for it. */
	fcgi_sign(&p, key, body, SIZE);
	fcgi_add_request(&data, p.text, body, SIZE, false);
	fcgi_send(fd, data.data, data.len - 8);
	assert_int_equal(fcgi_answer(fd, &text), 413);
	close(fd);
	buf_free(&data);
	free(body);
	assert_int_equal(lines_of_journal(w), 0);
}

/* Goal: bytes that are no FastCGI, and a request that breaks off, cost only their own connection. */
static void
test_broken(void **state)
{
	struct world *w = *state;
	struct fcgi_params p;
	struct buf data = { 0 };
	const char *text;
	int fd = fcgi_connect(w->path);

	fcgi_send(fd, "GET / HTTP/1.0\r\n\r\n", 18);
	assert_int_equal(fcgi_answer(fd, &text), 0);
	close(fd);
	fcgi_sign(&p, key, install, sizeof(install) - 1);
	fcgi_add_request(&data, p.text, install, sizeof(install) - 1, false);
	fd = fcgi_connect(w->path);
	fcgi_send(fd, data.data, data.len - 20);
	close(fd);
	fd = fcgi_connect(w->path);
	close(fd);
	assert_int_equal(lines_of_journal(w), 0);
	assert_int_equal(post(w, install, sizeof(install) - 1, key, &text), 200);
	buf_free(&data);
}

/* Goal: methods, types and encodings that are not served get their own status, and GET says whether it works. */
static void
test_other_requests(void **state)
{
	static const struct {
		const char *params[4];
		int status;
	} cases[] = {
		{ { "REQUEST_METHOD=GET" }, 200 },
		{ { "REQUEST_METHOD=HEAD" }, 200 },
		{ { "REQUEST_METHOD=DELETE" }, 405 },
		{ { "REQUEST_METHOD=POST", "CONTENT_TYPE=text/plain" }, 415 },
		{ { "REQUEST_METHOD=POST", "HTTP_CONTENT_ENCODING=gzip" }, 415 },
		{ { "REQUEST_METHOD=POST", "CONTENT_LENGTH=x" }, 400 },
	};
	struct world *w = *state;
	const char *text;

	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct buf data = { 0 };
		int fd = fcgi_connect(w->path), status;

		fcgi_add_request(&data, cases[i].params, "{}", i < 3 ? 0 : 2, false);
		fcgi_send(fd, data.data, data.len);
		status = fcgi_answer(fd, &text);
		CHECK(status == cases[i].status, "case %zu: %d %s", i, status, text);
		buf_free(&data);
		close(fd);
	}
	assert_int_equal(lines_of_journal(w), 0);
}

/* Goal: without its state directory the receiver answers 503, and once that is back, it goes on. */
static void
test_state_gone(void **state)
{
	struct world *w = *state;
	const char *text;

	assert_int_equal(rename(path_in(w->directory, "state"), path_in(w->directory, "elsewhere")),
	    0);
	assert_int_equal(post(w, install, sizeof(install) - 1, key, &text), 503);
	assert_int_equal(rename(path_in(w->directory, "elsewhere"), path_in(w->directory, "state")),
	    0);
	assert_int_equal(post(w, install, sizeof(install) - 1, key, &text), 200);
	assert_true(file_exists(w->directory, "state/installations/dri_a.json"));
}

/* Wait until the log has this text. */
static void
await_log(struct world *w, const char *text)
{
	struct buf log = { 0 };

	for (int i = 0; i < 6000; i++) {
		buf_reset(&log);
		file_read(w->directory, "log", &log);
		if (log.len && strstr(log.data, text)) {
			buf_free(&log);
			return;
		}
		usleep(10000);
	}
	fail_msg("the log does not say \"%s\": %s", text, log.data);
}

/* Goal: SIGHUP takes a new configuration over, and a broken one is logged while the old one stays. */
static void
test_reload(void **state)
{
	struct world *w = *state;
	const char *text;

	file_text(w->directory, "fluidhook.conf", "nonsense = 1\n", 0600);
	pthread_kill(w->thread, SIGHUP);
	await_log(w, "configuration not taken, the old one stays");
	assert_int_equal(post(w, install, sizeof(install) - 1, key, &text), 200);
	file_text(w->directory, "other", "dws_two\n", 0600);
	file_text(w->directory, "fluidhook.conf",
	    "state_dir = state\nmin_free = 1M\n[droplet]\nuuid = drp_x\nsecrets = other\n", 0600);
	pthread_kill(w->thread, SIGHUP);
	await_log(w, "configuration read");
	assert_int_equal(post(w, install, sizeof(install) - 1, "dws_two", &text), 200);
	assert_int_equal(post(w, install, sizeof(install) - 1, key, &text), 401);
}

/* Wait until the other end has read all that was sent. */
static void
await_read(int fd)
{
	int left = 1;

	for (int i = 0; i < 6000 && left; i++) {
		assert_int_equal(ioctl(fd, SIOCOUTQ, &left), 0);
		if (left)
			usleep(10000);
	}
	assert_int_equal(left, 0);
}

/* Goal: SIGTERM ends it with status 0 after what has begun is answered. */
static void
test_stop(void **state)
{
	struct world *w = *state;
	struct fcgi_params p;
	struct buf data = { 0 };
	const char *text;
	int fd = fcgi_connect(w->path);

	fcgi_sign(&p, key, install, sizeof(install) - 1);
	fcgi_add_request(&data, p.text, install, sizeof(install) - 1, true);
	fcgi_send(fd, data.data, data.len);
	assert_int_equal(fcgi_answer(fd, &text), 200);
	fcgi_send(fd, data.data, data.len - 1);
	await_read(fd);
	pthread_kill(w->thread, SIGTERM);
	fcgi_send(fd, data.data + data.len - 1, 1);
	assert_int_equal(fcgi_answer(fd, &text), 200);
	pthread_join(w->thread, NULL);
	w->thread = 0;
	assert_int_equal(w->status, 0);
	close(fd);
	buf_free(&data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_delivery, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_broken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_state_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reload, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
