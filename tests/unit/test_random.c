/* Random bytes. Link with --wrap=getrandom. */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"

/* What the kernel gives: the next bytes of a script, in calls of at most `most`, interrupted first. */
static const unsigned char *script;
static size_t most;
static unsigned interruptions;
static bool missing;

ssize_t __real_getrandom(void *out, size_t len, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t len, unsigned flags);

ssize_t
__wrap_getrandom(void *out, size_t len, unsigned flags)
{
	assert_int_equal(flags, 0);
	if (missing || interruptions) {
		errno = missing ? ENOSYS : EINTR;
		interruptions -= interruptions > 0;
		return (-1);
	}
	if (most && len > most)
		len = most;
	if (script == NULL)
		return (__real_getrandom(out, len, flags));
	memcpy(out, script, len);
	script += len;
	return ((ssize_t)len);
}

static int
reset(void **state)
{
	(void)state;
	script = NULL;
	most = 0;
	interruptions = 0;
	missing = false;
	return (0);
}

/* Goal: every byte asked for comes from the kernel, in whatever parts it gives them. */
static void
test_all_bytes(void **state)
{
	static const unsigned char bytes[] = "the bytes of the kernel, in order";
	unsigned char out[sizeof(bytes)] = "";

	(void)state;
	script = bytes;
	most = 5;
	interruptions = 3;
	random_bytes(out, sizeof(out));
	assert_memory_equal(out, bytes, sizeof(bytes));
}

/* Goal: hexadecimal digits of all bytes, and different ones each time. */
static void
test_hex(void **state)
{
	static const unsigned char bytes[] = { 0x00, 0x0f, 0xa5, 0xff };
	struct buf a = { 0 }, b = { 0 };

	(void)state;
	script = bytes;
	buf_adds(&a, "dws_");
	random_add_hex(&a, sizeof(bytes));
	assert_string_equal(a.data, "dws_000fa5ff");
	script = NULL;
	buf_reset(&a);
	random_add_hex(&a, 64);
	random_add_hex(&b, 64);
	assert_int_equal(a.len, 128);
	assert_int_equal(strspn(a.data, "0123456789abcdef"), 128);
	assert_string_not_equal(a.data, b.data);
	buf_free(&a);
	buf_free(&b);
}

/*
 * Goal: no number is likelier than another. Of 2^32 = 3 * 1431655765 + 1 values the first is one too many
 * for thirds: it is thrown away, and the next one counts.
 */
static void
test_below(void **state)
{
	const uint32_t values[] = { 0, 1, UINT32_MAX, 5 };

	(void)state;
	script = (const unsigned char *)values;
	assert_int_equal(random_below(3), 1);
	assert_int_equal(random_below(3), UINT32_MAX % 3);
	assert_int_equal(random_below(1), 0);
	script = NULL;
	for (int i = 0; i < 1000; i++)
		assert_true(random_below(10) < 10);
}

/* Goal: where the kernel has no random bytes the process ends, and goes on with nothing else instead. */
static void
test_no_way_on(void **state)
{
	const struct rlimit no_core = { 0, 0 };
	unsigned char out[8];
	int status;
	pid_t pid;

	(void)state;
	assert_true((pid = fork()) != -1);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		missing = true;
		random_bytes(out, sizeof(out));
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_all_bytes, reset),
		cmocka_unit_test_setup(test_hex, reset),
		cmocka_unit_test_setup(test_below, reset),
		cmocka_unit_test_setup(test_no_way_on, reset),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
