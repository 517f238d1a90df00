/*
 * A thread that must not wait for the disk gets EAGAIN instead of what is not in memory. What the kernel has
 * in memory is the test's to say. Link with: -Wl,--wrap=syscall -Wl,--wrap=preadv2
 */
#include "support.h"
#include "wrap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store/index.h"
#include "store/records.h"
#include "store/wait.h"

long __wrap_syscall(long number, ...);
ssize_t __wrap_preadv2(int fd, const struct iovec *parts, int n, off_t at, int flags)
    AS_PREADV2("__wrap_");

/* The error with which the kernel says that it would have to wait, or cannot tell; 0: it has everything. */
static int open_error, read_error;

long
__wrap_syscall(long number, ...)
{
	const char *name;
	va_list ap;
	int dir;

	assert_int_equal(number, SYS_openat2);
	va_start(ap, number);
	dir = va_arg(ap, int);
	name = va_arg(ap, const char *);
	va_end(ap);
	if ((errno = open_error) != 0)
		return (-1);
	return (openat(dir, name, O_RDONLY | O_CLOEXEC));
}

ssize_t
__wrap_preadv2(int fd, const struct iovec *parts, int n, off_t at, int flags)
{
	assert_int_equal(n, 1);
	assert_int_equal(flags, RWF_NOWAIT);
	if ((errno = read_error) != 0)
		return (-1);
	return (pread(fd, parts->iov_base, parts->iov_len, at));
}

struct world {
	char *directory;
	struct state *state;
	struct records *records;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	open_error = read_error = 0;
	w->directory = directory_make();
	w->state = state_make(path_in(w->directory, "state"));
	w->records = records_new(w->state->installations);
	file_text(w->directory, "state/installations/dri_a.json", quoted("{'status':'active'}"),
	    0600);
	assert_int_equal(index_link(w->state->shops, "acme", "dri_a"), 0);
	wait_permit(false);
	*state = w;
	return (0);
}

static int
teardown(void **state)
{
	struct world *w = *state;

	wait_permit(true);
	records_free(w->records);
	state_close(w->state);
	directory_remove(w->directory);
	free(w);
	return (0);
}

static int
count(void *n, const char *record)
{
	(void)record;
	++*(int *)n;
	return (0);
}

/* What a look-up of the record and one of the shop come to: 0, or errno. */
static int
get(struct world *w)
{
	const struct record *r = records_get(w->records, "dri_a");

	if (r == NULL)
		return (errno);
	assert_int_equal(r->installation->status, INSTALLATION_ACTIVE);
	records_release(w->records, r);
	return (0);
}

static int
each(struct world *w)
{
	int n = 0;

	if (records_each(w->records, w->state, w->state->shops, "acme", count, &n))
		return (errno);
	assert_int_equal(n, 1);
	return (0);
}

/* Goal: what is in memory is read at once. */
static void
test_in_memory(void **state)
{
	assert_int_equal(get(*state), 0);
	assert_int_equal(each(*state), 0);
	assert_false(wait_was_needed());
}

/* Goal: what would have to be waited for is not read, and the thread can tell; later it is. */
static void
test_not_in_memory(void **state)
{
	open_error = EAGAIN;
	assert_int_equal(get(*state), EAGAIN);
	assert_true(wait_was_needed());
	wait_permit(false);
	assert_false(wait_was_needed());
	assert_int_equal(each(*state), EAGAIN);
	assert_true(wait_was_needed());
	open_error = 0;
	read_error = EAGAIN;
	wait_permit(false);
	assert_int_equal(get(*state), EAGAIN);
	assert_true(wait_was_needed());
	read_error = EOPNOTSUPP;
	assert_int_equal(get(*state), EAGAIN);
	wait_permit(true);
	open_error = read_error = EIO;
	assert_int_equal(get(*state), 0);
	assert_int_equal(each(*state), 0);
	assert_false(wait_was_needed());
}

/* Goal: any other error is one, also in such a thread. */
static void
test_errors(void **state)
{
	open_error = EACCES;
	assert_int_equal(get(*state), EACCES);
	assert_int_equal(each(*state), EACCES);
	open_error = ENOENT;
	assert_int_equal(get(*state), ENOENT);
	open_error = 0;
	read_error = EIO;
	assert_int_equal(get(*state), EIO);
	assert_false(wait_was_needed());
}

/* Goal: a kernel that cannot tell is asked once, and then taken as one that would have to wait. Last. */
static void
test_old_kernel(void **state)
{
	open_error = ENOSYS;
	assert_int_equal(get(*state), EAGAIN);
	assert_true(wait_was_needed());
	open_error = 0;
	assert_int_equal(get(*state), EAGAIN);
	wait_permit(true);
	assert_int_equal(get(*state), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_in_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_kernel, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
