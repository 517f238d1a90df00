/* Log lines and what is escaped in them (contract section 7). No extra link flags. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

struct logged {
	char *directory;
	struct buf text;
};

static int
setup(void **state)
{
	struct logged *l = calloc(1, sizeof(*l));

	l->directory = directory_make();
	stderr_capture(l->directory, "log");
	log_open("test", LOG_TO_STDERR, NULL, LOG_LEVEL_INFO);
	*state = l;
	return (0);
}

static int
teardown(void **state)
{
	struct logged *l = *state;

	stderr_restore();
	log_open("test", LOG_TO_STDERR, NULL, LOG_LEVEL_INFO);
	directory_remove(l->directory);
	buf_free(&l->text);
	free(l);
	return (0);
}

/* What was logged so far. */
static const char *
lines(struct logged *l)
{
	buf_reset(&l->text);
	stderr_restore();
	file_read(l->directory, "log", &l->text);
	return (l->text.data);
}

static bool
like(const char *text, const char *pattern)
{
	regex_t re;
	bool match;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	match = regexec(&re, text, 0, NULL, 0) == 0;
	regfree(&re);
	return (match);
}

/*
 * Goal: one event is one line of key=value, with time and level, and pairs without a value left
 * out.
 */
static void
test_shape(void **state)
{
	const char *text;

	log_line(LOG_LEVEL_INFO, "answer", "status", "200", "event", NULL, "ms", "0.512", NULL);
	text = lines(*state);
	CHECK(like(text,
		  "^time=[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{6}Z level=info "
		  "msg=answer status=200 ms=0\\.512\n$"),
	    "%s", text);
}

/* Goal: bytes that could forge a pair, a line or a terminal's command are escaped. */
static void
test_escaping(void **state)
{
	static const struct {
		const char *value, *want;
	} cases[] = {
		{ "plain-1._:/+@,%", "v=plain-1._:/+@,%\n" },
		{ "", "v=\"\"\n" },
		{ "two words", "v=\"two words\"\n" },
		{ "a=b", "v=\"a=b\"\n" },
		{ "quote\"back\\slash", "v=\"quote\\\"back\\\\slash\"\n" },
		{ "line\nlevel=error", "v=\"line\\x0alevel=error\"\n" },
		{ "\r\t\x1b[2J\x7f", "v=\"\\x0d\\x09\\x1b[2J\\x7f\"\n" },
		{ "\xc3\xa9\xff", "v=\"\\xc3\\xa9\\xff\"\n" },
	};
	const char *text, *at;

	for (size_t i = 0; i < LENGTH(cases); i++)
		log_line(LOG_LEVEL_INFO, "m", "v", cases[i].value, NULL);
	at = text = lines(*state);
	for (size_t i = 0; i < LENGTH(cases); i++) {
		at = strstr(at, " v=");
		CHECK(at && strncmp(at + 1, cases[i].want, strlen(cases[i].want)) == 0,
		    "case %zu: want %s in %s", i, cases[i].want, text);
		at++;
	}
}

/* Goal: long values are cut, and no number of them makes a line overflow or lose its end. */
static void
test_bounds(void **state)
{
	static char big[100000];
	const char *text;

	memset(big, 'a', sizeof(big) - 1);
	log_line(LOG_LEVEL_INFO, "m", "v", big, "next", "here", NULL);
	memset(big, '\n', sizeof(big) - 1);
	log_line(LOG_LEVEL_INFO, big, "a", big, "b", big, "c", big, "d", big, "e", big, "f", big,
	    NULL);
	text = lines(*state);
	CHECK(like(text, " v=\"a{256}\\.\\.\\.\" next=here\n"), "%.400s", text);
	assert_true(strlen(text) < 8192);
	assert_ptr_equal(strrchr(text, '\n'), text + strlen(text) - 1);
	text = strchr(text, '\n') + 1;
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

/* Goal: what is less important than the chosen level is not written, the rest is. */
static void
test_levels(void **state)
{
	log_open("test", LOG_TO_STDERR, NULL, LOG_LEVEL_WARN);
	log_line(LOG_LEVEL_DEBUG, "one", NULL);
	log_line(LOG_LEVEL_INFO, "two", NULL);
	log_line(LOG_LEVEL_WARN, "three", NULL);
	log_line(LOG_LEVEL_ERROR, "four", NULL);
	assert_true(
	    like(lines(*state), "^[^\n]*level=warn msg=three\n[^\n]*level=error msg=four\n$"));
}

/* Goal: log_errno says what errno was, and neither call changes it. */
static void
test_errno(void **state)
{
	errno = ENOENT;
	log_errno(LOG_LEVEL_ERROR, "m", "file", "x", NULL);
	assert_int_equal(errno, ENOENT);
	errno = EEXIST;
	log_line(LOG_LEVEL_ERROR, "m", NULL);
	assert_int_equal(errno, EEXIST);
	assert_true(like(lines(*state), "file=x error=\"No such file or directory\"\n"));
}

static void *
write_many(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_line(LOG_LEVEL_INFO, "thread", "v", arg, NULL);
	return (NULL);
}

/* Goal: lines of several threads do not run into each other. */
static void
test_threads(void **state)
{
	pthread_t threads[4];
	size_t n = 0;

	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, "some words"), 0);
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	for (char *at = strtok((char *)(uintptr_t)lines(*state), "\n"); at;
	     at = strtok(NULL, "\n")) {
		CHECK(like(at, "^time=[^ ]* level=info msg=thread v=\"some words\"$"), "%s", at);
		n++;
	}
	assert_int_equal(n, 2000);
}

/* Make standard error this descriptor, and tell the log. */
static void
log_to(int fd)
{
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(log_open("test", LOG_TO_STDERR, NULL, LOG_LEVEL_INFO), 0);
}

/* Read what is there, at most size - 1 bytes, until a read would wait. */
static size_t
drain(int fd, char *out, size_t size)
{
	size_t len = 0;
	ssize_t n;

	while (len < size - 1 && (n = read(fd, out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	return (len);
}

/*
 * Write more than a reader that has stopped leaves room for: no call waits. When it reads again, the
 * next line says how many are missing, and every line that was written is whole.
 */
static void
check_not_read(int reader, int writer)
{
	static char text[1 << 20];
	unsigned long written = 0, missing = 0;
	char *count;

	log_to(writer);
	for (int i = 0; i < 5000; i++)
		log_line(LOG_LEVEL_INFO, "line", "v", "some words that fill the pipe", NULL);
	drain(reader, text, sizeof(text));
	for (char *at = text; (at = strstr(at, "msg=line")) != NULL; at++)
		written++;
	assert_true(written > 0 && written < 5000);
	assert_int_equal(text[strlen(text) - 1], '\n');
	log_line(LOG_LEVEL_INFO, "again", NULL);
	drain(reader, text, sizeof(text));
	assert_non_null(count = strstr(text, "count="));
	missing = strtoul(count + strlen("count="), NULL, 10);
	assert_int_equal(written + missing, 5000);
	assert_non_null(strstr(count, "\n"));
	assert_non_null(strstr(count, "msg=again\n"));
	close(reader);
	close(writer);
}

/* Goal: a log that nobody reads delays nothing; the lines that it costs are counted. */
static void
test_not_read(void **state)
{
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	check_not_read(fds[0], fds[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	check_not_read(fds[0], fds[1]);
}

/* Goal: a log file is opened anew, so that it can be renamed; one that cannot be opened changes nothing. */
static void
test_file(void **state)
{
	struct logged *l = *state;
	struct buf text = { 0 };
	char *file = strdup(path_in(l->directory, "file.log"));

	assert_int_equal(log_open("test", LOG_TO_FILE, file, LOG_LEVEL_INFO), 0);
	log_line(LOG_LEVEL_INFO, "one", NULL);
	assert_int_equal(rename(file, path_in(l->directory, "file.log.1")), 0);
	log_line(LOG_LEVEL_INFO, "two", NULL);
	assert_int_equal(log_open("test", LOG_TO_FILE, file, LOG_LEVEL_INFO), 0);
	log_line(LOG_LEVEL_INFO, "three", NULL);
	assert_int_equal(log_open("test", LOG_TO_FILE, path_in(l->directory, "none/x"),
			     LOG_LEVEL_INFO),
	    -1);
	log_line(LOG_LEVEL_INFO, "four", NULL);
	file_read(l->directory, "file.log.1", &text);
	assert_true(like(text.data, "^[^\n]*msg=one\n[^\n]*msg=two\n$"));
	buf_reset(&text);
	file_read(l->directory, "file.log", &text);
	assert_true(like(text.data, "^[^\n]*msg=three\n[^\n]*msg=four\n$"));
	buf_free(&text);
	free(file);
}

/* Goal: lines carry their priority where systemd's journal reads them, and only there. */
static void
test_priority(void **state)
{
	struct stat st;
	char stream[64];
	const char *text;

	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_open("test", LOG_TO_STDERR, NULL, LOG_LEVEL_DEBUG);
	log_line(LOG_LEVEL_ERROR, "one", NULL);
	log_line(LOG_LEVEL_WARN, "two", NULL);
	log_line(LOG_LEVEL_INFO, "three", NULL);
	log_line(LOG_LEVEL_DEBUG, "four", NULL);
	setenv("JOURNAL_STREAM", "1:1", 1);
	log_open("test", LOG_TO_STDERR, NULL, LOG_LEVEL_INFO);
	log_line(LOG_LEVEL_ERROR, "five", NULL);
	unsetenv("JOURNAL_STREAM");
	text = lines(*state);
	CHECK(like(text, "^<3>time=[^\n]*\n<4>[^\n]*\n<6>[^\n]*\n<7>[^\n]*\ntime=[^\n]*\n$"), "%s",
	    text);
}

/* What one write was, where each one can be told from the next. -1: there was none. */
static ssize_t
one_write(int fd, struct buf *text)
{
	char data[8192];
	ssize_t n = recv(fd, data, sizeof(data), MSG_DONTWAIT);

	buf_reset(text);
	if (n > 0)
		buf_add(text, data, (size_t)n);
	return (n);
}

/*
 * Goal: lines that are held back are one write, in their order, no later than the buffer is full; an error
 * does not wait.
 */
static void
test_held(void **state)
{
	struct log_hold hold, inner;
	struct buf text = { 0 };
	char value[200];
	int fds[2], lines = 0;

	(void)state;
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(log_open("test", LOG_TO_STDERR, NULL, LOG_LEVEL_INFO), 0);

	log_hold(&hold);
	log_line(LOG_LEVEL_INFO, "one", NULL);
	log_line(LOG_LEVEL_WARN, "two", NULL);
	assert_int_equal(one_write(fds[0], &text), -1);
	log_release(&hold);
	assert_true(one_write(fds[0], &text) > 0);
	assert_true(like(text.data, "^[^\n]*msg=one\n[^\n]*msg=two\n$"));
	assert_int_equal(one_write(fds[0], &text), -1);

	log_hold(&hold);
	log_line(LOG_LEVEL_INFO, "three", NULL);
	log_hold(&inner);
	log_line(LOG_LEVEL_INFO, "four", NULL);
	log_release(&inner);
	assert_int_equal(one_write(fds[0], &text), -1);
	log_line(LOG_LEVEL_ERROR, "five", NULL);
	assert_true(one_write(fds[0], &text) > 0);
	assert_true(like(text.data, "^[^\n]*msg=three\n[^\n]*msg=four\n$"));
	assert_true(one_write(fds[0], &text) > 0);
	assert_true(like(text.data, "^[^\n]*msg=five\n$"));

	while (one_write(fds[0], &text) == -1) {
		log_line(LOG_LEVEL_INFO, "more", "value", value, NULL);
		lines++;
	}
	assert_true(lines > 1 && text.len <= sizeof(hold.text));
	log_release(&hold);
	assert_true(one_write(fds[0], &text) > 0);
	log_line(LOG_LEVEL_INFO, "after", NULL);
	assert_true(one_write(fds[0], &text) > 0);
	assert_true(like(text.data, "^[^\n]*msg=after\n$"));
	stderr_restore();
	close(fds[0]);
	close(fds[1]);
	buf_free(&text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_shape, setup, teardown),
		cmocka_unit_test_setup_teardown(test_escaping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errno, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_priority, setup, teardown),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
