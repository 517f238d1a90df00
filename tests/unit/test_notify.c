/* Messages to the service manager (sd_notify(3)). No extra link flags. */
#include "support.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/notify.h"

/* A datagram socket with this address; len counts the bytes of sun_path that are used. */
static int
listening(const char *path, size_t len)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, path, len);
	assert_int_equal(bind(fd, (struct sockaddr *)&address,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
	    0);
	return (fd);
}

static void
check_received(int fd, const char *want)
{
	char text[64] = "";

	assert_int_equal(recv(fd, text, sizeof(text) - 1, 0), strlen(want));
	assert_string_equal(text, want);
	errno = 0;
	assert_int_equal(recv(fd, text, sizeof(text), 0), -1);
	assert_int_equal(errno, EAGAIN);
}

/* Goal: the message reaches a socket in the file system and an abstract one, as one datagram. */
static void
test_sent(void **state)
{
	char *directory = directory_make(), name[64];
	const char *path = path_in(directory, "notify");
	int fd;

	(void)state;
	fd = listening(path, strlen(path));
	setenv("NOTIFY_SOCKET", path, 1);
	notify("READY=1");
	check_received(fd, "READY=1");
	close(fd);

	snprintf(name, sizeof(name), "@fluidhook-test-%d", (int)getpid());
	setenv("NOTIFY_SOCKET", name, 1);
	name[0] = '\0';
	fd = listening(name, 1 + strlen(name + 1));
	notify("STOPPING=1");
	check_received(fd, "STOPPING=1");
	close(fd);
	directory_remove(directory);
}

/* Goal: without a service manager nothing happens; one that cannot be reached is logged, no more. */
static void
test_not_sent(void **state)
{
	char *directory = directory_make(), long_path[300];
	struct buf text = { 0 };

	(void)state;
	stderr_capture(directory, "log");
	unsetenv("NOTIFY_SOCKET");
	notify("READY=1");
	setenv("NOTIFY_SOCKET", "", 1);
	notify("READY=1");
	setenv("NOTIFY_SOCKET", path_in(directory, "none"), 1);
	notify("READY=1");
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = '\0';
	setenv("NOTIFY_SOCKET", long_path, 1);
	notify("READY=1");
	unsetenv("NOTIFY_SOCKET");
	stderr_restore();
	file_read(directory, "log", &text);
	CHECK(strstr(text.data, "error=\"No such file or directory\"\n") &&
		strstr(text.data, "error=\"File name too long\"\n") &&
		strstr(text.data, "time=") == text.data,
	    "%s", text.data);
	buf_free(&text);
	directory_remove(directory);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sent),
		cmocka_unit_test(test_not_sent),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
