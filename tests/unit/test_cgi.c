/* A receiver for one request, and what is looked at before one serves: CGI, --check, the supervisor's introduction. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fcgi_client.h"
#include "receiver/backlog.h"
#include "receiver/cgi.h"
#include "receiver/check.h"
#include "receiver/connection.h"
#include "receiver/descriptors.h"
#include "receiver/supervisor.h"

static const char key[] = "dws_one";
static const char install[] =
    "{\"resource\":\"droplet\",\"event\":\"installed\",\"company\":{"
    "\"droplet_installation_uuid\":\"dri_a\",\"droplet_uuid\":\"drp_x\",\"fluid_company_id\":1,"
    "\"fluid_shop\":\"acme\",\"name\":\"A\",\"webhook_verification_token\":\"wvt_a\","
    "\"authentication_token\":\"cat_a\"}}";

static rlim_t open_files = 1024;

int __wrap_getrlimit(int resource, struct rlimit *out);
int __wrap_setrlimit(int resource, const struct rlimit *limit);

int
__wrap_getrlimit(int resource, struct rlimit *out)
{
	(void)resource;
	*out = (struct rlimit){ .rlim_cur = open_files / 2, .rlim_max = open_files };
	if (open_files)
		return (0);
	errno = EPERM;
	return (-1);
}

int
__wrap_setrlimit(int resource, const struct rlimit *limit)
{
	(void)resource;
	assert_true(limit->rlim_cur == open_files && limit->rlim_max == open_files);
	return (0);
}

static int
setup(void **state)
{
	char *directory = directory_make();

	file_text(directory, "secrets", "dws_one\n", 0600);
	state_close(state_make(path_in(directory, "state")));
	conf_free(conf_make(directory,
	    "state_dir = state\nmin_free = 1M\nlog_level = error\n"
	    "[droplet]\nuuid = drp_x\nsecrets = secrets\n"));
	*state = directory;
	return (0);
}

static int
teardown(void **state)
{
	directory_remove(*state);
	return (0);
}

/* Run cgi() with this body on standard input. Returns all that was written. */
static const char *
run_cgi(const char *directory, const char *secret, const char *body, const char *method)
{
	static char *environment[FCGI_CLIENT_PARAMS + 2];
	char **before = environ, conf[300], request[40];
	int input = dup(STDIN_FILENO), fds[2];
	struct fcgi_params p;
	const char *said;
	size_t n = 0;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], body, strlen(body)), (ssize_t)strlen(body));
	close(fds[1]);
	fcgi_sign(&p, secret, body, strlen(body));
	snprintf(conf, sizeof(conf), "FLUIDHOOK_CONF=%s/fluidhook.conf", directory);
	snprintf(request, sizeof(request), "REQUEST_METHOD=%s", method);
	environment[n++] = conf;
	environment[n++] = request;
	for (size_t i = 1; p.text[i]; i++)
		environment[n++] = (char *)p.text[i];
	environment[n] = NULL;
	dup2(fds[0], STDIN_FILENO);
	close(fds[0]);
	environ = environment;
	capture_begin();
	cgi();
	said = capture_end();
	environ = before;
	dup2(input, STDIN_FILENO);
	close(input);
	return (said);
}

/* Goal: a CGI's delivery is stored and answered as any other, and a wrong signature is refused. */
static void
test_cgi(void **state)
{
	const char *said = run_cgi(*state, key, install, "POST");

	CHECK(strncmp(said, "Status: 200 OK\r\n", 16) == 0, "%s", said);
	assert_true(file_exists(*state, "state/installations/dri_a.json"));
	said = run_cgi(*state, "wrong", install, "POST");
	CHECK(strncmp(said, "Status: 401 ", 12) == 0, "%s", said);
}

/* Goal: a configuration that does not work is a 503 that may heal, and the reason is logged. */
static void
test_cgi_unconfigured(void **state)
{
	const char *said;

	file_text(*state, "fluidhook.conf", "nonsense = 1\n", 0600);
	said = run_cgi(*state, key, install, "POST");
	CHECK(strstr(said, "Status: 503 ") && strstr(said, "nonsense") &&
		strstr(said, "{\"error\":\"unavailable\"}\n"),
	    "%s", said);
	said = run_cgi(*state, key, install, "HEAD");
	CHECK(strstr(said, "Status: 503 ") && !strstr(said, "{\"error\""), "%s", said);
}

/* Goal: --check says that all is well, or each thing that is not. */
static void
test_check(void **state)
{
	const char *file = strdup(path_in(*state, "fluidhook.conf")), *said;
	int status;

	capture_begin();
	status = check(file);
	said = capture_end();
	CHECK(status == 0 && strstr(said, "fluidhook.conf is valid, and "), "%d %s", status, said);
	file_text(*state, "secrets", "dws_one\n", 0666);
	capture_begin();
	status = check(file);
	said = capture_end();
	CHECK(status == 2 && strstr(said, "secrets"), "%d %s", status, said);
	file_text(*state, "secrets", "dws_one\n", 0600);
	file_text(*state, "fluidhook.conf",
	    "state_dir = state\nmin_free = 90000G\n[droplet]\nsecrets = secrets\n", 0600);
	capture_begin();
	status = check(file);
	said = capture_end();
	CHECK(status == 2 && strstr(said, "less space is free than min_free"), "%d %s", status,
	    said);
	assert_int_equal(unlink(path_in(*state, "state/VERSION")), 0);
	capture_begin();
	status = check(file);
	said = capture_end();
	CHECK(status == 2 && strstr(said, "VERSION"), "%d %s", status, said);
	file_text(*state, "fluidhook.conf", "state_dir = none\n", 0600);
	capture_begin();
	status = check(file);
	said = capture_end();
	CHECK(status == 2 && strstr(said, "run \"fluidhook init\" or mount it"), "%d %s", status,
	    said);
	file_text(*state, "fluidhook.conf", "x = y\n", 0600);
	capture_begin();
	status = check(file);
	said = capture_end();
	CHECK(status == 2 && strstr(said, "fluidhook.conf:1: "), "%d %s", status, said);
	free((char *)file);
}

/* Goal: threads and connections fit the limit of open files, and too low a limit is an error. */
static void
test_descriptors(void **state)
{
	static const struct {
		rlim_t limit;
		unsigned wanted, threads, connections;
	} cases[] = {
		{ 1024, 16, 16, 1024 - 40 - 8 * 16 },
		{ 1u << 20, 16, 16, 16384 },
		{ 100, 16, 4, 100 - 40 - 8 * 4 },
		{ 64, 16, 1, 64 - 40 - 8 },
		{ 63, 16, 0, 0 },
		{ 0, 16, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct descriptors d = { .threads = cases[i].wanted };
		struct buf error = { 0 };
		int result;

		open_files = cases[i].limit;
		capture_begin();
		result = descriptors_fit(&d, &error);
		capture_end();
		open_files = 1024;
		CHECK((result == 0) == (cases[i].threads != 0), "limit %lu",
		    (unsigned long)cases[i].limit);
		CHECK((result == 0) == (error.len == 0), "limit %lu",
		    (unsigned long)cases[i].limit);
		if (result == 0)
			CHECK(d.threads == cases[i].threads &&
				d.connections == cases[i].connections,
			    "limit %lu: %u threads, %u connections", (unsigned long)cases[i].limit,
			    d.threads, d.connections);
		buf_free(&error);
	}
}

/* Goal: connections leave the backlog in their order, and nobody waits once it has ended. */
static void
test_backlog(void **state)
{
	struct connection a = { .fd = -1 }, b = { .fd = -1 };
	struct backlog l;

	(void)state;
	backlog_init(&l);
	assert_null(backlog_next(&l, false));
	backlog_add(&l, &a);
	backlog_add(&l, &b);
	assert_ptr_equal(backlog_next(&l, true), &a);
	assert_ptr_equal(backlog_next(&l, false), &b);
	backlog_end(&l);
	assert_null(backlog_next(&l, true));
	backlog_add(&l, &a);
	assert_ptr_equal(backlog_next(&l, true), &a);
}

/* Goal: a process knows its supervisor by the environment, once, and only from numbers that fit. */
static void
test_supervised(void **state)
{
	static const struct {
		const char *fd, *parent;
	} bad[] = { { "2", "1" }, { "x", "1" }, { "99999", "1" }, { "9", NULL }, { "9", "0" } };
	struct supervised s;
	char fd[16];
	int open = dup(STDERR_FILENO);

	(void)state;
	snprintf(fd, sizeof(fd), "%d", open);
	setenv("FLUIDHOOK_READY_FD", fd, 1);
	setenv("FLUIDHOOK_SUPERVISOR", "4321", 1);
	s = supervised_by();
	assert_int_equal(s.ready_fd, open);
	assert_int_equal(s.parent, 4321);
	assert_int_equal(fcntl(open, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	s = supervised_by();
	assert_int_equal(s.ready_fd, -1);
	supervised_end_together(&s);
	for (size_t i = 0; i < LENGTH(bad); i++) {
		setenv("FLUIDHOOK_READY_FD", bad[i].fd, 1);
		if (bad[i].parent)
			setenv("FLUIDHOOK_SUPERVISOR", bad[i].parent, 1);
		s = supervised_by();
		CHECK(s.ready_fd == -1, "case %zu", i);
		CHECK(getenv("FLUIDHOOK_READY_FD") == NULL, "case %zu", i);
	}
	close(open);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cgi, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cgi_unconfigured, setup, teardown),
		cmocka_unit_test_setup_teardown(test_check, setup, teardown),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_backlog),
		cmocka_unit_test(test_supervised),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
