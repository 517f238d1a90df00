#include "support.h"

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void
permissions_apply(void)
{
	const uint32_t bits = 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, data))
		err(1, "capget");
	data[0].effective &= ~bits;
	data[0].permitted &= ~bits;
	if (syscall(SYS_capset, &header, data))
		err(1, "capset");
}

bool
text_same(const char *a, const char *b)
{
	return (a && b ? strcmp(a, b) == 0 : a == b);
}

const char *
or_none(const char *s)
{
	return (s ? s : "(none)");
}

char *
directory_make(void)
{
	const char *tmp = getenv("TMPDIR");
	char template[PATH_MAX];
	char *path;

	snprintf(template, sizeof(template), "%s/fluidhook-unit-XXXXXX",
	    tmp && *tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(template));
	path = realpath(template, NULL);
	assert_non_null(path);
	return (path);
}

static int
make_removable(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)at;
	if (type != FTW_SL && S_ISDIR(st->st_mode))
		chmod(path, 0700);
	return (0);
}

static int
remove_entry(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return (remove(path));
}

void
directory_remove(char *path)
{
	if (path == NULL)
		return;
	nftw(path, make_removable, 16, FTW_PHYS);
	nftw(path, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
	free(path);
}

const char *
path_in(const char *directory, const char *name)
{
	static char paths[4][PATH_MAX];
	static unsigned next;
	char *path = paths[next++ % LENGTH(paths)];

	assert_true(snprintf(path, PATH_MAX, "%s/%s", directory, name) < PATH_MAX);
	return (path);
}

void
file_write(const char *directory, const char *name, const void *data, size_t len, mode_t mode)
{
	int fd = open(path_in(directory, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CHECK(fd != -1, "%s/%s cannot be made", directory, name);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

void
file_text(const char *directory, const char *name, const char *text, mode_t mode)
{
	file_write(directory, name, text, strlen(text), mode);
}

void
file_read(const char *directory, const char *name, struct buf *out)
{
	FILE *fp = fopen(path_in(directory, name), "re");
	char piece[4096];
	size_t n;

	CHECK(fp != NULL, "%s/%s cannot be read", directory, name);
	buf_add(out, "", 0);
	while ((n = fread(piece, 1, sizeof(piece), fp)) > 0)
		buf_add(out, piece, n);
	fclose(fp);
	assert_false(out->failed);
}

bool
file_exists(const char *directory, const char *name)
{
	struct stat st;

	return (lstat(path_in(directory, name), &st) == 0);
}

size_t
directory_count(const char *path)
{
	DIR *dir = opendir(path);
	size_t n = 0;

	CHECK(dir != NULL, "%s cannot be listed", path);
	while (readdir(dir))
		n++;
	closedir(dir);
	return (n - 2);
}

struct conf *
conf_make(const char *directory, const char *text)
{
	struct buf errors = { 0 };
	struct conf *c;

	file_text(directory, "fluidhook.conf", text, 0600);
	c = conf_load(path_in(directory, "fluidhook.conf"), &errors);
	CHECK(c != NULL, "configuration: %s", errors.data);
	buf_free(&errors);
	return (c);
}

struct state *
state_make(const char *path)
{
	char why[STATE_WHY_SIZE] = "";
	struct state *s;

	CHECK(mkdir(path, 0700) == 0, "%s cannot be made", path);
	CHECK(state_init(path, NULL, NULL, why) == 0, "%s", why);
	s = state_open(path, why);
	CHECK(s != NULL, "%s", why);
	return (s);
}

struct delivery *
delivery_of(const void *body, size_t len)
{
	struct delivery *d = delivery_new();

	assert_non_null(d);
	delivery_feed(d, body, len);
	delivery_finish(d);
	return (d);
}

const char *
quoted(const char *text)
{
	static char *kept;

	free(kept);
	kept = strdup(text);
	assert_non_null(kept);
	for (char *p = kept; *p; p++)
		if (*p == '\'')
			*p = '"';
	return (kept);
}

static int real_stderr = -1;

void
stderr_capture(const char *directory, const char *name)
{
	int fd = open(path_in(directory, name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_int_not_equal(fd, -1);
	fflush(stderr);
	real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_int_not_equal(real_stderr, -1);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	close(fd);
}

void
stderr_restore(void)
{
	if (real_stderr == -1)
		return;
	fflush(stderr);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	real_stderr = -1;
}

static int captured_fd = -1, outside[2] = { -1, -1 };

void
capture_begin(void)
{
	fflush(NULL);
	captured_fd = memfd_create("captured", MFD_CLOEXEC);
	assert_int_not_equal(captured_fd, -1);
	for (int i = 0; i < 2; i++) {
		outside[i] = fcntl(STDOUT_FILENO + i, F_DUPFD_CLOEXEC, 3);
		assert_int_not_equal(outside[i], -1);
		assert_int_equal(dup2(captured_fd, STDOUT_FILENO + i), STDOUT_FILENO + i);
	}
}

const char *
capture_end(void)
{
	static struct buf text;
	char piece[4096];
	ssize_t n;

	fflush(NULL);
	for (int i = 0; i < 2; i++) {
		dup2(outside[i], STDOUT_FILENO + i);
		close(outside[i]);
	}
	buf_reset(&text);
	assert_int_equal(lseek(captured_fd, 0, SEEK_SET), 0);
	while ((n = read(captured_fd, piece, sizeof(piece))) > 0)
		buf_add(&text, piece, (size_t)n);
	close(captured_fd);
	buf_addc(&text, '\0');
	assert_false(text.failed);
	return (text.data);
}
