/* The socket of --listen: which addresses are accepted, what is replaced, and what is left alone. */
#include "support.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <netinet/in.h>
#include <unistd.h>

#include "receiver/listen.h"

static int
setup(void **state)
{
	*state = directory_make();
	return (0);
}

static int
teardown(void **state)
{
	directory_remove(*state);
	return (0);
}

static const char *
address_of(const char *path)
{
	static char address[300];

	snprintf(address, sizeof(address), "unix:%s", path);
	return (address);
}

/* Goal: an address that is not understood, or would be open to all, is refused with the reason. */
static void
test_addresses(void **state)
{
	static const struct {
		const char *address, *said;
	} cases[] = {
		{ "9000", "neither unix:PATH nor HOST:PORT" },
		{ ":9000", "neither unix:PATH nor HOST:PORT" },
		{ "localhost:", "the port is a number from 1 to 65535" },
		{ "127.0.0.1:0", "the port is a number from 1 to 65535" },
		{ "127.0.0.1:65536", "the port is a number from 1 to 65535" },
		{ "127.0.0.1:99999", "the port is a number from 1 to 65535" },
		{ "127.0.0.1:80x", "the port is a number from 1 to 65535" },
		{ "::1:9000", "an IPv6 address goes in brackets: [::1]:9000" },
		{ "*:9000", "whoever can connect is trusted" },
		{ "unix:@name", "an abstract socket has no permissions" },
		{ "unix:", "the absolute path of a unix socket has 1 to 107 bytes" },
	};
	struct listening l;

	(void)state;
	for (size_t i = 0; i < LENGTH(cases); i++) {
		struct buf error = { 0 };

		CHECK(listen_open(&(const struct listen){ .address = cases[i].address }, &l,
			  &error) == -1,
		    "%s", cases[i].address);
		CHECK(strstr(error.data, cases[i].said) != NULL, "%s: %s", cases[i].address,
		    error.data);
		assert_int_equal(l.fd, -1);
		buf_free(&error);
	}
}

/* Goal: a TCP address is listened on, and a second time it is in use. */
static void
test_tcp(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(addr);
	struct buf error = { 0 };
	struct listening l, other;
	char address[40];
	int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(bind(probe, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(getsockname(probe, (struct sockaddr *)&addr, &len), 0);
	snprintf(address, sizeof(address), "127.0.0.1:%u", (unsigned)ntohs(addr.sin_port));
	/* It is bound here, so nobody else can. */
	assert_int_equal(listen(probe, 1), 0);
	assert_int_equal(listen_open(&(const struct listen){ .address = address }, &other, &error),
	    -1);
	CHECK(strstr(error.data, strerror(EADDRINUSE)) != NULL, "%s", error.data);
	close(probe);
	buf_reset(&error);
	CHECK(listen_open(&(const struct listen){ .address = address }, &l, &error) == 0, "%s",
	    error.data);
	assert_true(listen_is_listening(l.fd));
	assert_null(l.path);
	assert_false(listen_is_lost(&l));
	listen_close(&l, true);
	buf_free(&error);
}

/* Goal: a unix socket has the mode that was asked for, and its file goes when it is closed for good. */
static void
test_unix(void **state)
{
	const char *path = path_in(*state, "socket");
	struct buf error = { 0 };
	struct listening l;
	struct stat st;

	CHECK(listen_open(&(const struct listen){ .address = address_of(path), .mode = 0620 }, &l,
		  &error) == 0,
	    "%s", error.data);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0620);
	assert_true(listen_is_listening(l.fd));
	assert_false(listen_is_listening(STDERR_FILENO));
	assert_false(listen_is_lost(&l));
	listen_close(&l, true);
	assert_int_equal(access(path, F_OK), -1);
}

/* Goal: a socket that nobody listens on is replaced; one in use, and any other file, is left alone. */
static void
test_stale(void **state)
{
	const char *path = strdup(path_in(*state, "socket"));
	const struct listen how = { .address = address_of(path), .mode = 0600 };
	struct buf error = { 0 };
	struct listening first, second;

	assert_int_equal(listen_open(&how, &first, &error), 0);
	assert_int_equal(listen_open(&how, &second, &error), -1);
	CHECK(strstr(error.data, "in use by another process") != NULL, "%s", error.data);
	/* A crash: closed, and the file stays. */
	listen_close(&first, false);
	assert_int_equal(access(path, F_OK), 0);
	CHECK(listen_open(&how, &second, &error) == 0, "%s", error.data);
	/* Another process puts its own file there: that one is not removed. */
	assert_int_equal(unlink(path), 0);
	assert_true(listen_is_lost(&second));
	file_text(*state, "socket", "mine", 0600);
	assert_false(listen_is_lost(&second));
	listen_close(&second, true);
	assert_int_equal(access(path, F_OK), 0);
	buf_reset(&error);
	assert_int_equal(listen_open(&how, &second, &error), -1);
	CHECK(strstr(error.data, "exists and is no socket") != NULL, "%s", error.data);
	free((char *)path);
	buf_free(&error);
}

/* Goal: a socket that cannot be given to its group is not there at all. */
static void
test_group(void **state)
{
	const char *path = path_in(*state, "socket");
	struct buf error = { 0 };
	struct listening l;

	assert_int_equal(listen_open(&(const struct listen){ .address = address_of(path),
					 .mode = 0660,
					 .group = "no such group" },
			     &l, &error),
	    -1);
	CHECK(strstr(error.data, "--socket-group: no group \"no such group\"") != NULL, "%s",
	    error.data);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(listen_open(&(const struct listen){ .address = address_of(
								 path_in(*state, "none/socket")) },
			     &l, &error),
	    -1);
	buf_free(&error);
}

/* Goal: a relative path is made absolute, since the working directory can change. */
static void
test_relative(void **state)
{
	char *before = getcwd(NULL, 0);
	struct buf error = { 0 };
	struct listening l;

	assert_int_equal(chdir(*state), 0);
	assert_int_equal(listen_open(&(const struct listen){ .address = "unix:here", .mode = 0600 },
			     &l, &error),
	    0);
	CHECK_TEXT(l.path, path_in(*state, "here"), "path");
	assert_int_equal(chdir(before), 0);
	listen_close(&l, true);
	assert_false(file_exists(*state, "here"));
	free(before);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test_setup_teardown(test_unix, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(test_group, setup, teardown),
		cmocka_unit_test_setup_teardown(test_relative, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
